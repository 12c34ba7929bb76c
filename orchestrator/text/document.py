"""One shared file: a replicated text with the edges of slots in it.

This module and `board.document` are the only ones that touch pycrdt. Its sharp edges stay in here:

* An index counts UTF-8 bytes. One inside a character does not fail: the text lands elsewhere, and replicas differ from then
  on (measured). So every index comes from a `Layout`, or from an edge, and is checked.
* A sticky index is exact only on an embedded value (measured), so a slot is written through its closing edge.
* What formats text is inherited by whoever types next to it, so who wrote a text cannot be said by formatting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pycrdt

from orchestrator.board.document import NO_CHANGE, Replica, check_text, guarded
from orchestrator.errors import BoardError
from orchestrator.text.places import NO_SLOT, Edge, Layout, Segment, Words

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Added", "Cut", "Delta", "FileText", "Insert", "Kept", "Removed", "SlotLost"]

_ROOT = "t"


class SlotLost(BoardError):
    """Somebody removed an edge of a slot, so nothing can be written into it any more."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Remove so many indices from one on."""

    index: int
    length: int


@dataclass(frozen=True, slots=True)
class Insert:
    """Put words and edges at an index, in this order."""

    index: int
    parts: tuple[str | Edge, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """So many indices that did not change."""

    length: int


@dataclass(frozen=True, slots=True)
class Removed:
    """So many indices that went away."""

    length: int


@dataclass(frozen=True, slots=True)
class Added:
    """A segment that is new."""

    segment: Segment


Delta = tuple[Kept | Removed | Added, ...]
"""What one transaction changed, from the beginning of the text on."""


class FileText(Replica):
    """A replica of one shared file, for any number of writers."""

    def __init__(self, wrote: Callable[[bytes], None] = lambda _update: None) -> None:
        """Begin empty; `wrote` is called with the update of each change that is made here."""
        super().__init__()
        self._wrote = wrote
        self._text: pycrdt.Text = self._doc.get(_ROOT, type=pycrdt.Text)
        self._layout: Layout | None = None
        self._anchors: dict[str, pycrdt.StickyIndex] = {}
        self._deltas: list[Delta] = []
        self.removals = 0
        """How many changes removed something; as long as this stays, no edge went away."""
        self._doc.observe(lambda event: self._changed(event.update))

    def __str__(self) -> str:
        """Return what can be seen: the content of the file."""
        with guarded("read a text"):
            return str(self._text)

    def layout(self) -> Layout:
        """Return the text as it is now, with its slots."""
        if self._layout is None:
            with guarded("read a text"):
                self._layout = Layout(tuple(_segment(content) for content, _ in self._text.diff()))
        return self._layout

    def segments(self) -> tuple[Segment, ...]:
        """Return the words and edges of the text, in order."""
        return self.layout().segments

    def edit(self, *changes: Cut | Insert) -> bytes:
        """Make all changes in one transaction, and return its update; indices count the text as it is before.

        Raises:
            BoardError: an index is inside a character, or words are not valid Unicode; nothing was changed.
        """
        self._check(changes)
        with guarded("change a text"):
            self._made.clear()
            with self._doc.transaction():
                # From the end, so that no change moves what another one means; at one index what goes goes first.
                for change in sorted(changes, key=lambda c: (c.index, isinstance(c, Cut)), reverse=True):
                    self._make(change)
            update = self._made.pop() if self._made else NO_CHANGE
        if update != NO_CHANGE:
            self._wrote(update)
        return update

    def append(self, slot: str, words: str) -> None:
        """Put words before the closing edge of a slot, which must be there.

        Raises:
            BoardError: they are not valid Unicode.
        """
        check_text(words)
        if not words:
            return
        with guarded("write into a slot"):
            if slot not in self._anchors:
                index = self.layout().edge(slot, opens=False)
                self._anchors[slot] = self._text.sticky_index(index, pycrdt.Assoc.AFTER)
            self._made.clear()
            with self._doc.transaction():
                self._text.insert(self._anchors[slot].get_index(), words)
            update = self._made.pop()
        self._wrote(update)

    def forget(self, slot: str) -> None:
        """Let go of what is kept for writing into a slot."""
        self._anchors.pop(slot, None)

    def watch(self) -> None:
        """From now on take down what each transaction changes, for `deltas`."""
        self._text.observe(lambda event: self._deltas.append(_delta(event.delta)))  # type: ignore[attr-defined]

    def deltas(self) -> list[Delta]:
        """Return what changed since the last call, a transaction each."""
        noted, self._deltas = self._deltas, []
        return noted

    def _changed(self, update: bytes) -> None:
        self._layout = None
        if not update.endswith(b"\x00"):  # an update ends with its deletions: with a zero if there are none
            self.removals += 1

    def _check(self, changes: tuple[Cut | Insert, ...]) -> None:
        layout = self.layout()
        for change in changes:
            ends = (change.index, change.index + change.length) if isinstance(change, Cut) else (change.index,)
            if not all(layout.is_boundary(end) for end in ends):
                raise BoardError("a change of a text begins or ends within a character")
            for part in change.parts if isinstance(change, Insert) else ():
                check_text(part if isinstance(part, str) else part.owner)

    def _make(self, change: Cut | Insert) -> None:
        if isinstance(change, Cut):
            del self._text[change.index : change.index + change.length]
            return
        index = change.index
        for part in change.parts:
            if isinstance(part, Edge):
                self._text.insert_embed(index, _embedded(part))
                index += 1
            elif part:
                self._text.insert(index, part)
                index += len(part.encode())


def _embedded(edge: Edge) -> dict[str, Any]:
    if not edge.opens:
        return {"slot": edge.slot, "edge": "close"}
    return {"slot": edge.slot, "edge": "open", "owner": edge.owner} | ({"tied": True} if edge.tied else {})


def _segment(content: object) -> Segment:
    match content:
        case str():
            return Words(content)
        case {"slot": str(slot), "edge": "open", "owner": str(owner), **more}:
            return Edge(slot=slot, opens=True, owner=owner, tied=more.get("tied") is True)
        case {"slot": str(slot), "edge": "close"}:
            return Edge(slot=slot, opens=False)
        case _:
            return NO_SLOT


def _delta(items: list[dict[str, Any]]) -> Delta:
    return tuple(
        Kept(int(item["retain"]))
        if "retain" in item
        else Removed(int(item["delete"]))
        if "delete" in item
        else Added(_segment(item["insert"]))
        for item in items
    )
