"""What the run itself sees of the shared files: their text, the TODOs that stand in them, who wrote what, and their faults."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.board.files import RUN, agent_author
from orchestrator.effects import reached
from orchestrator.errors import BoardError
from orchestrator.files import write_in
from orchestrator.model.todo_markers import Watcher
from orchestrator.syntax.faults import faults_of
from orchestrator.text.document import Insert

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.model.todo_markers import Marker
    from orchestrator.syntax.fault import Fault
    from orchestrator.text.door import Followed, SharedDoor
    from orchestrator.text.seat import FileSeat

__all__ = ["QUIET", "Observed", "Observer"]

QUIET = 0.5
"""Seconds for which nobody may have typed at a TODO before somebody is sent to it."""


@dataclass(slots=True, kw_only=True)
class Observed:
    """One shared file: the run's own seat at it, the text it began with, and what follows its TODOs."""

    path: str
    seat: FileSeat
    began: str
    hub: Followed
    watcher: Watcher = field(default_factory=lambda: Watcher(quiet=QUIET))
    mirrored: str | None = None

    def text(self) -> str:
        """Return the content of the file as it has arrived here."""
        return str(self.seat.text)

    def look(self) -> None:
        """Tell the watcher what has changed since the last look."""
        old, new = self.watcher.text, self.text()
        if old != new:
            start = _common(old, new)
            end = _common(old[start:][::-1], new[start:][::-1])
            self.watcher.feed(start, len(old) - start - end, new[start : len(new) - end], now=time.monotonic())


@dataclass(slots=True, kw_only=True)
class Observer:
    """All shared files of an attempt, as the run sees them."""

    door: SharedDoor
    files: dict[str, Observed] = field(default_factory=dict)

    async def open(self, path: str, before: str, text: str) -> None:
        """Open a file that stood as `before` in the repository, and begins with a text."""
        hub = self.door.follow(path)
        seat = await self.door.seat_at(path)
        if text:
            seat.text.edit(Insert(0, (text,)))
        self.files[path] = Observed(path=path, seat=seat, began=before, hub=hub)

    def found(self, *, ended: bool = False) -> Iterator[tuple[str, Marker, str]]:
        """Yield the TODOs that have become certain since the last look, with the file and the comment they stand in."""
        for path, file in self.files.items():
            file.look()
            for marker in file.watcher.settled(time.monotonic(), ended=ended):
                yield path, marker, file.watcher.text[marker.start : marker.end]

    def is_quiet(self) -> bool:
        """Tell whether nobody has written anything for a while."""
        for file in self.files.values():
            file.look()
        return all(file.watcher.is_quiet(time.monotonic()) for file in self.files.values())

    def faults(self) -> Iterator[tuple[str, Fault]]:
        """Yield what is wrong with the files as they stand."""
        return ((path, fault) for path, file in self.files.items() for fault in faults_of(path, file.text()))

    def take_in(self, path: str, writer: str, of: FileSeat) -> None:
        """Take in all that a writer has written in a file, also what is still on its way, here and at the hub."""
        self.door.hand_in(path, agent_author(writer), self.files[path].hub.missing(of.text))
        self.level(path)

    def level(self, path: str) -> None:
        """Make the file here and at the hub, which knows who wrote what, the same, up to this moment."""
        file = self.files[path]
        self.door.hand_in(path, RUN, file.hub.missing(file.seat.text))
        file.hub.bring_up_to_date(file.seat.text)

    def take_back(self, path: str, author: str, marker: str | None) -> None:
        """Remove what a writer that failed has written, and put the TODO back that it had replaced."""
        self.level(path)
        file = self.files[path]
        mine = [span for span in file.hub.ranges() if span.author == author]
        place = mine[0].start if mine else len(file.text())
        for span in reversed(mine):
            try:
                file.seat.slots.remove(span.start, span.end)
            except BoardError:  # somebody else writes there just now; what is left is found as a fault, or by a gate
                continue
        if marker is not None and marker not in file.text():
            slot, _ = file.seat.slots.open(min(place, len(file.text())))
            slot.append(marker)
            slot.close()

    def mirror(self, folder: Path) -> None:
        """Write the files as they stand into the worktree, where snapshots, gates and people find them.

        Raises:
            Elsewhere: a file would be written outside of the worktree.
        """
        for path, file in self.files.items():
            text = file.text()
            if text != file.mirrored and (text or file.mirrored is not None or (folder / path).exists()):
                reached("shared-mirror")
                write_in(folder, path, text.encode())
                file.mirrored = text
                reached("shared-mirrored")

    async def close(self) -> None:
        """Leave all files."""
        for file in self.files.values():
            await file.seat.close()


def _common(one: str, other: str) -> int:
    """Return how many characters two texts begin with in common."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low
