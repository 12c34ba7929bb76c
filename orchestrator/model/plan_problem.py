"""What a rule about the whole plan says, and what it must leave open because a part could not be read."""

from __future__ import annotations

import difflib
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Gaps", "Problem", "Where", "folded", "hint"]

Where: TypeAlias = tuple[str | int, ...]
"""The keys and indices that lead to a part of the plan, such as `("tasks", 2, "writes", 0)`."""

_LISTED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One way in which parts of a plan do not fit, as a sentence with its remedy.

    `other` is a second place that the sentence speaks of.
    """

    where: Where
    message: str
    other: Where | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaps:
    """What the author wrote and nobody could read, so that no rule concludes anything from its absence.

    `tasks`, `tracks` and `agents` are names that exist without a value; `fields` are (task id, key) pairs of tasks
    whose other keys are fine; `protected` says that contract files or shared paths are missing.
    """

    tasks: frozenset[str] = frozenset()
    tracks: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()
    fields: frozenset[tuple[str, str]] = frozenset()
    protected: bool = False

    def any_of(self, task: str, *keys: str) -> bool:
        """Tell whether one of these keys of the task could not be read."""
        return any((task, key) in self.fields for key in keys)


def hint(name: str, known: Iterable[str], kind: str) -> str:
    """Return the end of a sentence about an unknown name: the nearest known one, or else the list of them."""
    names = list(dict.fromkeys(known))
    if near := difflib.get_close_matches(name, names, n=1):
        return f"did you mean {near[0]!r}?"
    if not names:
        return f"there is no {kind}"
    listed = ", ".join(repr(other) for other in names[:_LISTED])
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"known: {listed}{more}"


def folded(text: str) -> str:
    """Return what two names share if some file system keeps only one of them (letter case, Unicode form)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())
