"""Slots: the places in a shared text where one writer's words stay together, whatever others do at the same time.

A slot is a pair of edges that is inserted in one transaction, never inside a slot of somebody else, and written through its
closing edge. Measured over 1,000 random schedules each: two writers at plain positions interleave in 14 to 97 % of
them, and at such pairs in none.

Whoever writes a boundary that something must follow (a heading, a question) opens the place for it in the same transaction,
tied to it, so that nobody ever sees the one without the other, and nobody can step between.
"""

from __future__ import annotations

import secrets
from typing import Literal

from orchestrator.errors import BoardError
from orchestrator.text.document import Cut, FileText, Insert, SlotLost
from orchestrator.text.places import Edge, Place

__all__ = ["NewLine", "Slot", "Slots", "close_all"]

NewLine = Literal["before", "after"]
"""On which side of what a slot will hold a line ends."""


class Slots:
    """The slots of one writer in one text."""

    def __init__(self, text: FileText, owner: str) -> None:
        """Write into `text` as `owner`."""
        self.text = text
        self.owner = owner

    def open(self, position: int, *, new_line: NewLine | None = None) -> tuple[Slot, Place]:
        """Open a slot at a position, or at the nearest place where one may be; `Place` says where that is.

        Raises:
            BoardError: the text does not reach that far.
        """
        self._reaches(position, position)
        place = self.text.layout().place(position, self.owner)
        return self._open(place.index, new_line), place

    def replace(self, start: int, end: int, *, new_line: NewLine | None = None) -> Slot:
        """Remove the words between two positions and open a slot in their place, in one transaction.

        Raises:
            PlaceTaken: somebody else is writing there.
            BoardError: there is nothing between the positions.
        """
        cuts = self._pieces(start, end)
        if not cuts:
            raise BoardError(f"there is no text from {start} to {end}")
        return self._open(cuts[0].index, new_line, *cuts)

    def remove(self, start: int, end: int) -> None:
        """Remove the words between two positions.

        Raises:
            PlaceTaken: somebody else is writing there.
        """
        self.text.edit(*self._pieces(start, end))

    def open_after(self, position: int, boundary: str, *, owner: str | None = None) -> str:
        """Write a boundary and open the slot for what must follow it, in one transaction; return the slot's id.

        The slot belongs to `owner`, who goes on with `adopt`; to this writer, if that is None.
        """
        self._reaches(position, position)
        place = self.text.layout().place(position, self.owner)
        slot = _new_id()
        self.text.edit(Insert(place.index, (boundary, *_pair(slot, owner or self.owner, tied=True))))
        return slot

    def adopt(self, slot: str) -> Slot:
        """Return a slot that was opened for this writer.

        Raises:
            SlotLost: it is not there (yet, or any more).
            BoardError: it is somebody else's.
        """
        owner = self.text.layout().slots.get(slot)
        if owner is None:
            raise SlotLost("there is no such slot")
        if owner != self.owner:
            raise BoardError(f"that slot belongs to {owner}, and not to {self.owner}")
        return Slot(self.text, owner, slot)

    def _open(self, index: int, new_line: NewLine | None, *cuts: Cut) -> Slot:
        slot = _new_id()
        first, last = _pair(slot, self.owner)
        frame = None
        parts: tuple[str | Edge, ...] = (first, last)
        if new_line == "after":
            # What is written comes before this line end, so it needs a pair of its own inside another.
            frame = _new_id()
            opened, closed = _pair(frame, self.owner)
            parts = (opened, first, last, "\n", closed)
        elif new_line == "before":
            parts = (first, "\n", last)
        self.text.edit(*cuts, Insert(index, parts))
        return Slot(self.text, self.owner, slot, frame)

    def _pieces(self, start: int, end: int) -> list[Cut]:
        self._reaches(start, end)
        return [Cut(index, length) for index, length in self.text.layout().pieces(start, end, self.owner)]

    def _reaches(self, start: int, end: int) -> None:
        length = len(self.text.layout().text)
        if not 0 <= start <= end <= length:
            raise BoardError(f"positions {start} to {end} are not in a text of {length} characters")


class Slot:
    """One slot that its owner writes; `frame` is a slot around it that ends with it."""

    def __init__(self, text: FileText, owner: str, slot: str, frame: str | None = None) -> None:
        self.id = slot
        self.owner = owner
        self._text = text
        self._edged = [slot] if frame is None else [slot, frame]
        self._checked = -1

    def alive(self) -> bool:
        """Tell whether both edges are there. It costs nothing as long as nothing was removed from the text."""
        if self._checked != self._text.removals:
            slots = self._text.layout().slots
            if not all(slot in slots for slot in self._edged):
                return False
            self._checked = self._text.removals
            self._text.forget(self.id)  # an edge that was removed and came back by an undo is another one
        return True

    def append(self, words: str) -> None:
        """Write on at the end of the slot.

        Raises:
            SlotLost: an edge was removed; nothing was written.
            BoardError: the words are not valid Unicode.
        """
        self._must_live()
        self._text.append(self.id, words)

    def append_with_slot(self, boundary: str, *, owner: str | None = None) -> str:
        """Write a boundary at the end of this slot, and open the slot for what must follow it; return that one's id.

        Raises:
            SlotLost: an edge was removed; nothing was written.
        """
        self._must_live()
        slot = _new_id()
        index = self._text.layout().edge(self.id, opens=False)
        self._text.edit(Insert(index, (boundary, *_pair(slot, owner or self.owner, tied=True))))
        return slot

    def content(self) -> str:
        """Return what the slot holds, with the slots inside of it.

        Raises:
            SlotLost: an edge was removed.
        """
        self._must_live()
        layout = self._text.layout()
        start, end = layout.content(self.id)
        return layout.text[start:end]

    def remove_prefix(self, words: str) -> None:
        """Remove exactly these words from the beginning of the slot.

        Raises:
            SlotLost: an edge was removed.
            BoardError: the slot does not begin with them, or somebody else wrote them; nothing was changed.
        """
        if not self.content().startswith(words):
            raise BoardError(f"the slot does not begin with {words[:80]!r}")
        start, _ = self._text.layout().content(self.id)
        Slots(self._text, self.owner).remove(start, start + len(words))

    def remove_suffix(self, words: str) -> None:
        """Remove exactly these words from the end of the slot.

        Raises:
            SlotLost: an edge was removed.
            BoardError: the slot does not end with them, or somebody else wrote them; nothing was changed.
        """
        if not self.content().endswith(words):
            raise BoardError(f"the slot does not end with {words[:80]!r}")
        _, end = self._text.layout().content(self.id)
        Slots(self._text, self.owner).remove(end - len(words), end)

    def close(self) -> None:
        """Remove the edges; the words stay. Closing again, or what was lost, does nothing more than that."""
        layout = self._text.layout()
        self._text.edit(*(Cut(index, 1) for slot in self._edged for index in layout.edges(slot)))
        self._text.forget(self.id)

    def _must_live(self) -> None:
        if not self.alive():
            raise SlotLost(
                "the place where this text was being written was removed by somebody else",
                hint="Look at the file as it is now, and choose a place anew.",
            )


def close_all(text: FileText, owner: str) -> None:
    """Remove the edges of all slots of a writer that is gone; its words stay."""
    layout = text.layout()
    mine = [slot for slot, other in layout.slots.items() if other == owner]
    text.edit(*(Cut(index, 1) for slot in mine for index in layout.edges(slot)))


def _new_id() -> str:
    return secrets.token_hex(8)


def _pair(slot: str, owner: str, *, tied: bool = False) -> tuple[Edge, Edge]:
    return Edge(slot=slot, opens=True, owner=owner, tied=tied), Edge(slot=slot, opens=False)
