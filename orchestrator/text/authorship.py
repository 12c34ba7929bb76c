"""Who wrote each character of a shared file, as the hub's log tells it.

Each update comes from the connection of one writer, and the hub takes under a client id only what its owner brings. So
what an update inserts is that writer's. Nothing in the text says it (formatting would be inherited by whoever types
beside it), so nobody can write it wrongly, and edges of slots may come and go.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from orchestrator.board.files import author_agent, file_topic
from orchestrator.board.log import read_history
from orchestrator.errors import BoardError
from orchestrator.text.document import Added, FileText, Kept
from orchestrator.text.places import Words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.board.frame import Frame
    from orchestrator.text.document import Delta

__all__ = ["Authorship", "Range", "Runs", "read_updates"]

_EDGE = None


@dataclass(frozen=True, slots=True)
class Range:
    """Characters of the file, `end` not among them, that one writer wrote."""

    start: int
    end: int
    author: str

    @property
    def agent(self) -> str | None:
        """The agent that wrote it; None if it was a person, or the run itself."""
        return author_agent(self.author)


class Runs:
    """How many indices in a row are whose: what a sequence of changes leaves, without the text."""

    def __init__(self) -> None:
        self._runs: list[tuple[str | None, int]] = []  # nobody's are edges

    def apply(self, delta: Delta, author: str) -> None:
        """Follow one change, which `author` made.

        Raises:
            BoardError: it reaches beyond the end.
        """
        at = 0  # the run at which the rest of the change begins
        for item in delta:
            match item:
                case Added():
                    words = isinstance(item.segment, Words)
                    length = len(item.segment.text.encode()) if isinstance(item.segment, Words) else 1
                    at = self._insert(at, author if words else _EDGE, length)
                case Kept():
                    at = self._split(at, item.length)
                case _:
                    end = self._split(at, item.length)
                    del self._runs[at:end]
        self._merge(at)

    def ranges(self, text: str) -> list[Range]:
        """Return whose the characters are, given all of them; no two neighbours are of one author.

        Raises:
            BoardError: the text is another one.
        """
        raw, start, found = text.encode(), 0, list[Range]()
        at = 0
        for author, length in self._runs:
            if author is _EDGE:
                continue
            end = start + _characters(raw[at : at + length])
            at += length
            if found and found[-1].author == author:
                found[-1] = Range(found[-1].start, end, author)
            else:
                found.append(Range(start, end, author))
            start = end
        if at != len(raw):
            raise BoardError("the updates of a file do not build its text")
        return found

    def _insert(self, at: int, author: str | None, length: int) -> int:
        """Insert before a run; return the run after what was inserted."""
        if at and self._runs[at - 1][0] == author:
            self._runs[at - 1] = (author, self._runs[at - 1][1] + length)
            return at
        self._runs.insert(at, (author, length))
        return at + 1

    def _split(self, at: int, length: int) -> int:
        """Make a run begin so many indices after the beginning of run `at`, and return which."""
        ends = list(accumulate(n for _, n in self._runs[at:]))
        n = bisect_right(ends, length) if length else 0
        begun = ends[n - 1] if n else 0
        if begun != length:
            if n == len(ends):
                raise BoardError("a change of a text reaches beyond its end")
            author, whole = self._runs[at + n]
            self._runs[at + n : at + n + 1] = [(author, length - begun), (author, whole - length + begun)]
            n += 1
        return at + n

    def _merge(self, at: int) -> None:
        """Join neighbours of one author around the last change, so that the runs stay few."""
        for n in (at, at - 1):
            if 0 < n < len(self._runs) and self._runs[n][0] == self._runs[n - 1][0]:
                author, length = self._runs.pop(n)
                self._runs[n - 1] = (author, self._runs[n - 1][1] + length)


def _characters(raw: bytes) -> int:
    return sum(byte & 0xC0 != 0x80 for byte in raw)


class Authorship:
    """Follows the updates of one file and knows whose each character is; give it to `SharedFiles.follow`, or a log."""

    def __init__(self) -> None:
        self._text = FileText()
        self._text.watch()
        self._runs = Runs()

    def take(self, frame: Frame) -> None:
        """Take in the next update.

        Raises:
            BoardError: it does not fit.
        """
        self._text.apply(frame.update)
        for delta in self._text.deltas():
            self._runs.apply(delta, frame.by)

    def text(self) -> str:
        """Return the content of the file."""
        return str(self._text)

    def ranges(self) -> list[Range]:
        """Return who wrote what, in code points from the beginning to the end, without a gap."""
        return self._runs.ranges(str(self._text))


def read_updates(log_path: Path, path: str) -> Iterator[tuple[float, str, bytes]]:
    """Yield when, by whom, and with which update a file was changed, in order: all that is needed to play it again.

    Raises:
        BoardError: there is no such log, or it is no path of a file.
    """
    for frame in read_history(log_path, file_topic(path)):
        yield frame.at, frame.by, frame.update
