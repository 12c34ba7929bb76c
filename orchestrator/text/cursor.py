"""The cursor by which a model chooses where it writes: it names a place in words and gets a position and a preview.

Nothing is written without a position. Every refusal is a sentence that a model can act on.
"""

from __future__ import annotations

import difflib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from orchestrator.errors import BoardError

if TYPE_CHECKING:
    from orchestrator.text.places import Layout
    from orchestrator.text.slots import NewLine, Slot, Slots

__all__ = ["MARK", "Cursor", "CursorRefused", "Position", "Side", "preview"]

MARK = "⟨cursor⟩"
"""Where a preview shows the position."""
Side = Literal["before", "after"]
_AROUND, _WIDTH = 3, 160  # lines before and after, characters of each


class CursorRefused(BoardError):
    """A cursor cannot be put where it was asked for; the hint says what to do instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where the next words go; `token` names the place to whoever asked, and to nobody else."""

    token: str
    preview: str
    note: str = ""


class Cursor:
    """The cursors of one writer in one file."""

    def __init__(self, slots: Slots) -> None:
        """Choose places for the writer of these slots."""
        self._slots = slots
        self._positions: dict[str, Slot] = {}

    def start(self, *, new_line: bool = False) -> Position:
        """Put a cursor at the beginning of the file; with `new_line`, what is written ends its line."""
        return self._open(0, "after" if new_line else None)

    def end(self, *, new_line: bool = False) -> Position:
        """Put a cursor at the end of the file; with `new_line`, what is written begins a line."""
        return self._open(len(self._layout.text), "before" if new_line else None)

    def search(self, words: str, side: Side, *, delete: str = "", new_line: bool = False) -> Position:
        """Put a cursor before or after the first place where exactly these words stand.

        `delete` is removed in the same step: before, it must be how the words begin, after, how they end. With
        `new_line`, what is written is parted by a line end from what is found.

        Raises:
            CursorRefused: the words are not there, `delete` is not at that side of them, or somebody else is writing them.
        """
        self._check(words, side, delete)
        text = self._layout.text
        start = text.find(words)
        if start < 0:
            raise _not_found(words, text)
        end = start + len(words)
        line: NewLine | None = None
        if new_line:
            line = "after" if side == "before" else "before"
        matches = text.count(words)
        note = f"These words stand there {matches} times; this is the first." if matches > 1 else ""
        if not delete:
            return self._open(start if side == "before" else end, line, note)
        first, last = (start, start + len(delete)) if side == "before" else (end - len(delete), end)
        if (other := self._layout.owner_at(first, last, self._slots.owner)) is not None:
            raise CursorRefused(
                f"{delete[:80]!r} cannot be removed: {other} is writing there just now",
                hint="Leave `delete` out, search for other text, or try again when it is finished.",
            )
        return self._position(self._slots.replace(first, last, new_line=line), note)

    def slot(self, token: str) -> Slot:
        """Return the slot of a position that this writer was given.

        Raises:
            CursorRefused: it was given no such position.
        """
        if (slot := self._positions.get(token)) is None:
            raise CursorRefused(
                f"{token[:80]!r} is no position that was given to you",
                hint="Ask for a cursor, and copy the position that it returns.",
            )
        return slot

    def positions(self) -> dict[str, Slot]:
        """Return all positions that were given, by their tokens."""
        return dict(self._positions)

    @property
    def _layout(self) -> Layout:
        return self._slots.text.layout()

    def _open(self, position: int, new_line: NewLine | None, note: str = "") -> Position:
        slot, place = self._slots.open(position, new_line=new_line)
        if place.position != position:
            who = f"the text that {place.taken_by} is writing" if place.taken_by else "text that belongs together"
            where = "before" if place.position < position else "after"
            note = f"{note} That place is inside {who}, so the cursor was moved outside, {where} it.".strip()
        return self._position(slot, note)

    def _position(self, slot: Slot, note: str) -> Position:
        token = secrets.token_urlsafe(16)  # a slot's own id can be read by everybody
        self._positions[token] = slot
        layout = self._layout
        return Position(token=token, preview=preview(layout.text, layout.content(slot.id)[1]), note=note)

    def _check(self, words: str, side: Side, delete: str) -> None:
        if not words:
            raise CursorRefused("there is nothing to search for", hint="Copy a line of the file, or use start or end.")
        if side == "before" and not words.startswith(delete):
            raise CursorRefused(
                f"{delete[:80]!r} cannot be removed before {words[:80]!r}, which does not begin with it",
                hint="Before a text, only its own beginning can be removed: search for text that begins with it.",
            )
        if side == "after" and not words.endswith(delete):
            raise CursorRefused(
                f"{delete[:80]!r} cannot be removed after {words[:80]!r}, which does not end with it",
                hint="After a text, only its own end can be removed: search for text that ends with it.",
            )


def preview(text: str, position: int) -> str:
    """Return a few lines around a position, with a mark where it is; long lines are cut."""
    before, after = text[:position].split("\n"), text[position:].split("\n")
    here = f"{before[-1][-_WIDTH:]}{MARK}{after[0][:_WIDTH]}"
    lines = [*before[:-1][-_AROUND:], here, *after[1:][:_AROUND]]
    return "\n".join(line if line is here else line[:_WIDTH] for line in lines)


def _not_found(words: str, text: str) -> CursorRefused:
    first = next((line.strip() for line in words.splitlines() if line.strip()), "")
    lines = {line.strip(): n for n, line in reversed(list(enumerate(text.splitlines(), start=1)))}
    near = difflib.get_close_matches(first, [line for line in lines if line], n=1, cutoff=0.5)
    nearest = f" The nearest line is line {lines[near[0]]}: {near[0][:_WIDTH]!r}." if near else ""
    return CursorRefused(
        f"{words[:80]!r} stands nowhere in the file (0 matches).{nearest}",
        hint="Copy the text exactly as it is in the file, with its spaces and line ends.",
    )
