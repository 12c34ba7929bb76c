"""The places at which one model writes in the shared files: positions that it was given, and what becomes of them in the end."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.errors import BoardError
from orchestrator.model.todo_markers import markers
from orchestrator.text.cursor import Cursor, CursorRefused, Position
from orchestrator.text.places import Edge, Words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from orchestrator.model.todo_markers import Marker
    from orchestrator.text.seat import FileSeat
    from orchestrator.text.slots import NewLine, Slot

__all__ = ["Cursors", "FirstPlace", "PlaceCursor", "Target"]


class PlaceCursor(BaseModel):
    """Choose where your next code goes; returns a position and a preview. Each place needs a cursor of its own.

    Positions stay where they are, in the sense of the text, whatever others write. What you delete goes at once.
    """

    model_config = ConfigDict(extra="forbid")

    path: str = Field(description="one of the shared files")
    where: Literal["start", "end", "before", "after"] = Field(
        description="at the start or the end of the file, or before or after the first place where `text` stands"
    )
    text: str = Field(
        default="", description="for before and after: exactly as it stands in the file, enough to be unique"
    )
    delete: str = Field(
        default="", description="what to remove: before, the beginning of `text`; after, its end; it may be all of it"
    )
    new_line: bool = Field(default=False, description="part what you write from what it stands beside by a line end")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A place in a file; `new_line` is on which side of it a line end was made, `stood` the marker that it replaced."""

    path: str
    seat: FileSeat
    slot: Slot
    new_line: NewLine | None = None
    stood: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstPlace:
    """Where a TODO is to be done: its marker, and the position in its stead."""

    path: str
    marker: Marker
    token: str
    target: Target

    def position(self) -> int:
        """Return where it is now."""
        return self.target.seat.text.layout().content(self.target.slot.id)[1]


@dataclass(slots=True)
class Cursors:
    """The positions that one writer was given; `against` returns why a path may not be written, empty if it may.

    `deleted` counts the cursors that removed something.
    """

    files: Mapping[str, FileSeat]
    against: Callable[[str], str]
    deleted: int = 0
    _cursors: dict[str, Cursor] = field(default_factory=dict)
    _targets: dict[str, Target] = field(default_factory=dict)

    def place(self, wanted: PlaceCursor) -> Position:
        """Put a cursor where the model wants it.

        Raises:
            CursorRefused: it cannot be there; the hint says what to do instead.
        """
        seat = self._writable(wanted.path)
        cursor = self._cursors.setdefault(wanted.path, Cursor(seat.slots))
        line: NewLine | None = None
        match wanted.where:
            case "start" | "end" if wanted.text or wanted.delete:
                raise CursorRefused(
                    f"at the {wanted.where} of a file nothing is searched for and nothing deleted",
                    hint="Leave `text` and `delete` out, or use before or after.",
                )
            case "start":
                position, line = cursor.start(new_line=wanted.new_line), "after"
            case "end":
                position, line = cursor.end(new_line=wanted.new_line), "before"
            case "before" | "after" as side:
                position = cursor.search(wanted.text, side, delete=wanted.delete, new_line=wanted.new_line)
                line = "after" if side == "before" else "before"
        self.deleted += bool(wanted.delete)
        self._targets[position.token] = Target(
            path=wanted.path, seat=seat, slot=cursor.slot(position.token), new_line=line if wanted.new_line else None
        )
        return position

    def replace_marker(self, path: str, names: Collection[str]) -> FirstPlace | None:
        """Put a cursor in the stead of a marker of such a name, in one transaction; None if none is there, or somebody writes it.

        The blanks before it go with it if it stands alone on its lines: what is written begins a line then.
        """
        seat = self._writable(path)
        text = seat.text.layout().text
        marker = next((found for found in markers(text) if found.name in names), None)
        if marker is None:
            return None
        start = marker.start - len(marker.indent or "")
        try:
            slot = seat.slots.replace(start, marker.end)
        except BoardError:
            return None
        target = Target(path=path, seat=seat, slot=slot, stood=text[start : marker.end])
        token = secrets.token_urlsafe(16)
        self._targets[token] = target
        return FirstPlace(path=path, marker=marker, token=token, target=target)

    def target(self, token: str) -> Target:
        """Return the place of a position.

        Raises:
            CursorRefused: this writer was given no such position.
        """
        if (target := self._targets.get(token)) is None:
            raise CursorRefused(
                f"{token[:80]!r} is no position that was given to you, so nothing of this block was written",
                hint="Ask for a cursor, and copy the position that it returns.",
            )
        return target

    def close(self, *, done: bool) -> None:
        """Close all slots.

        A line end that was made for words which never came goes. Unless the part is `done`, the marker comes back if nothing
        stands in its stead.
        """
        targets, self._targets = list(self._targets.values()), {}
        for target in reversed(targets):
            with suppress(BoardError):  # what cannot be tidied up is closed all the same
                _tidy(target, done=done)
            with suppress(BoardError):
                target.slot.close()

    def _writable(self, path: str) -> FileSeat:
        if path not in self.files:
            raise CursorRefused(
                f"{path[:200]!r} is no shared file",
                hint=f"Choose one of: {', '.join(self.files) or '(there is none)'}.",
            )
        if why := self.against(path):
            raise CursorRefused(f"you may not write {path}: {why}", hint="Leave it as it is, or ask.")
        return self.files[path]


def _tidy(target: Target, *, done: bool) -> None:
    if not target.slot.alive():
        return
    content = target.slot.content()
    if target.new_line == "before" and content == "\n":
        target.slot.remove_prefix("\n")
    elif content:
        return
    elif target.new_line == "after":
        _remove_line_end(target)
    elif target.stood and not done:
        target.slot.append(target.stood)


def _remove_line_end(target: Target) -> None:
    """Remove the line end that stands alone between the closing edge of a slot and that of the frame around it."""
    layout = target.seat.text.layout()
    closing = Edge(slot=target.slot.id, opens=False)
    after = layout.segments[layout.segments.index(closing) + 1 :]
    if after[:1] == (Words("\n"),) and isinstance(after[1], Edge) and not after[1].opens:
        end = layout.content(target.slot.id)[1]
        target.seat.slots.remove(end, end + 1)
