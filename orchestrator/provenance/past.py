"""Whose line it was before somebody changed it by hand, as git's blame of the files before tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.git import query
from orchestrator.git.blobs import cuts_of_each
from orchestrator.model.replay import heirs

if TYPE_CHECKING:
    from orchestrator.git.parse import BlameLine
    from orchestrator.provenance.view import View

__all__ = ["Past"]

_DEEPEST = 20  # changes by hand of one line, one after the other, that are looked behind; each costs a blame


class Past:
    """Answers for the lines of one revision; what git was asked once is not asked again."""

    def __init__(self, view: View) -> None:
        """Look at a revision."""
        self._view = view
        self._blames: dict[tuple[str, str], tuple[BlameLine, ...]] = {}
        self._cuts: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
        self._known: dict[tuple[str, str, int], str | None] = {}

    def was(self, line: BlameLine, deep: int = 0) -> str | None:
        """Return the commit of a run whose line stood where this one stands, which was changed by hand; None if it is not known.

        Where as many lines went as came, each stands for the one in its place; else all that went must have been one commit's.
        """
        if line.previous is None or line.commit not in self._view.lineage or deep == _DEEPEST:
            return None
        key = (line.commit, line.path, line.there)
        if key not in self._known:
            self._known[key] = self._replaced(line, line.previous, deep)
        return self._known[key]

    def _replaced(self, line: BlameLine, previous: tuple[str, str], deep: int) -> str | None:
        shift = 0  # how much further down a line stands in the new file than in the old one
        for old, removed, added in self._cuts_between(previous, (line.commit, line.path)):
            place = line.there - 1 - (old + shift)
            if 0 <= place < added:
                before = self._blame(previous)[old : old + removed]
                return heirs([self._owner(one, deep + 1) for one in before], added)[place]
            shift += added - removed
        return None

    def _owner(self, line: BlameLine, deep: int) -> str | None:
        return line.commit if line.commit in self._view.provenance else self.was(line, deep)

    def _blame(self, place: tuple[str, str]) -> tuple[BlameLine, ...]:
        if place not in self._blames:
            commit, path = place
            self._blames[place] = query.blame(
                self._view.git, commit, path=path, past=self._view.past, copies=self._view.copies
            )
        return self._blames[place]

    def _cuts_between(self, old: tuple[str, str], new: tuple[str, str]) -> list[tuple[int, int, int]]:
        pair = (self._blob(*old), self._blob(*new))
        if pair not in self._cuts:
            self._cuts |= cuts_of_each(self._view.git, [pair])
        return self._cuts.get(pair, [])

    def _blob(self, commit: str, path: str) -> str:
        return query.files_at(self._view.git, commit, [path])[path][1]
