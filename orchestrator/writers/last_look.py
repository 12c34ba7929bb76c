"""What a model has seen of the shared files, so that it is shown each once, and afterwards only what others have changed."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.text.cursor import MARK, CursorRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.text.places import Layout
    from orchestrator.text.seat import FileSeat

__all__ = ["LastLook", "LookAt"]

_LONGEST = 60_000  # characters of one file, or of what changed in it
_AROUND = 2  # lines around a change


class LookAt(BaseModel):
    """Look at the shared files as they are now: what others have changed since you looked last, or lines of one file.

    Your own words are left out of what has changed.
    """

    model_config = ConfigDict(extra="forbid")

    path: str | None = Field(default=None, description="one of the shared files; left out: all of them")
    start: int | None = Field(
        default=None, ge=1, description="the first line, to see lines; left out: what has changed"
    )
    lines: int = Field(default=200, ge=1, le=2000, description="how many lines")


@dataclass(slots=True)
class LastLook:
    """The files, and what was last seen of each."""

    files: Mapping[str, FileSeat]
    _seen: dict[str, list[str]] = field(default_factory=dict)

    def look(self, wanted: LookAt) -> str:
        """Return what the model wants to see.

        Raises:
            CursorRefused: there is no such file.
        """
        if wanted.path is None and wanted.start is not None:
            raise CursorRefused("lines are counted in one file", hint="Say in which: give its path.")
        paths = list(self.files) if wanted.path is None else [wanted.path]
        if not set(paths) <= set(self.files):
            raise CursorRefused(
                f"{paths[0][:200]!r} is no shared file", hint=f"Choose one of: {', '.join(self.files)}."
            )
        if wanted.start is not None:
            return self._lines(paths[0], wanted.start, wanted.lines)
        return "\n\n".join(self._changes(path) if path in self._seen else self.whole(path) for path in paths)

    def whole(self, path: str, mark: int | None = None) -> str:
        """Return a file as it is now, with a mark at a position."""
        layout = self.files[path].text.layout()
        self._seen[path] = self._of_others(layout, self.files[path].slots.owner)
        text = layout.text if mark is None else f"{layout.text[:mark]}{MARK}{layout.text[mark:]}"
        if not text:
            return f"{path} is empty."
        lines = text.count("\n") + (not text.endswith("\n"))
        return f"{path} ({lines} line{'s' * (lines > 1)}):\n{_cut(text)}"

    def _lines(self, path: str, start: int, count: int) -> str:
        lines = self.files[path].text.layout().text.split("\n")
        part = lines[start - 1 : start - 1 + count]
        if not part:
            return f"{path} has only {len(lines)} lines."
        return _cut("\n".join(f"{number}\t{line}" for number, line in enumerate(part, start)))

    def _changes(self, path: str) -> str:
        before = self._seen[path]
        now = self._seen[path] = self._of_others(self.files[path].text.layout(), self.files[path].slots.owner)
        found = list(difflib.unified_diff(before, now, n=_AROUND, lineterm=""))[2:]
        if not found:
            return f"Nobody else has changed {path} since you looked."
        shown = "\n".join("…" if line.startswith("@@") else line for line in found)
        return f"Changed in {path} since you looked:\n{_cut(shown)}"

    @staticmethod
    def _of_others(layout: Layout, owner: str) -> list[str]:
        """Return the lines of a text without what its owner has in slots."""
        kept, at = "", 0
        for start, end in sorted(layout.content(slot) for slot, other in layout.slots.items() if other == owner):
            kept += layout.text[at : max(at, start)]
            at = max(at, end)
        return (kept + layout.text[at:]).split("\n")


def _cut(text: str) -> str:
    return (
        text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n(cut after {_LONGEST} characters; look at lines of it)"
    )
