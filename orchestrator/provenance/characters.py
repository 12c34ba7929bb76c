"""Who wrote which characters of a file that several agents wrote at the same time, as its run wrote it down."""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from orchestrator.board.files import RUN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["Characters", "Written", "characters_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Characters in a row of one author; lines and columns count from 1, the end is not among them, in code points."""

    start: int
    end: int
    line: int
    column: int
    author: str
    part: str | None
    task: str | None
    agent: str | None
    text: str

    @property
    def name(self) -> str:
        """How the author is called where there is little room."""
        return self.part or ("-" if self.author == RUN else self.author)


@dataclass(frozen=True, slots=True, kw_only=True)
class Characters:
    """A file as a run left it, with whoever wrote each character."""

    run: str
    written: tuple[Written, ...]

    def lines(self) -> Iterator[str]:
        """Yield a line for each piece of a line that one author wrote."""
        room = max((len(piece.name) for piece in self.written), default=0)
        for piece in self.written:
            line, column = piece.line, piece.column
            for part in piece.text.splitlines(keepends=True):
                words = part.rstrip("\n")
                if words or column == 1:
                    yield f"{piece.name:{room}}  {line}:{column}  {words}"
                line, column = line + 1, 1


def characters_of(folders: Iterable[Path], path: str, text: str) -> Characters | None:
    """Return who wrote the characters of a file with this text; None if no run of these folders left exactly that."""
    for folder in folders:
        place = folder / "authors" / f"{path}.json"
        try:
            known = json.loads(place.read_bytes())
        except (OSError, ValueError):
            continue
        if known.get("text") == text:
            return Characters(run=folder.name, written=tuple(_pieces(known)))
    return None


def _pieces(known: dict[str, Any]) -> Iterator[Written]:
    text: str = known["text"]
    begins = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
    for start, end, author in known["spans"]:
        line = bisect_right(begins, start)
        who = known["writers"].get(author, {})
        yield Written(
            start=start, end=end, line=line, column=start - begins[line - 1] + 1, author=author, part=who.get("part"),
            task=who.get("task"), agent=who.get("agent"), text=text[start:end],
        )  # fmt: skip
