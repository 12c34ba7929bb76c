"""One thing that is wrong in a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Fault", "Rule"]

Rule = Literal[
    "syntax",
    "protocol-leak",
    "duplicate-import",
    "duplicate-declaration",
    "nested-import",
    "todo",
    "unresolved",
]


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Fault:
    """A fault; line and column count from 1, columns in code points. Faults sort by their place."""

    line: int
    column: int
    rule: Rule
    message: str

    @classmethod
    def at(cls, rule: Rule, place: tuple[int, int], message: str) -> Fault:
        """Return a fault at a place, line and column."""
        return cls(line=place[0], column=place[1], rule=rule, message=message)
