"""Folders in which one command works in a repository of its own: a comparison, a probe, an architect.

The command holds a lock on its folder for as long as it lives, and the system takes that away when the command is killed. So a
folder that nobody holds is of a command that has ended; what that has left running there is ended before the folder goes.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.confine.confinement import delete_scratch, scratch_left
from orchestrator.files import folder_id
from orchestrator.processes import table
from orchestrator.processes.orphans import processes_in
from orchestrator.processes.process import end_group_of, marked_processes
from orchestrator.worktrees.mounts import is_mounted, unmount

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "ARCHITECT",
    "COMPARISON",
    "PROBE",
    "delete_left",
    "delete_with_runs",
    "left_in",
    "owned_folder",
    "runs_below",
]

COMPARISON, PROBE, ARCHITECT = "orch-compare-", ".probe-", ".architect-"
"""What the names of such folders begin with: of `orch compare`, of `orch doctor --probe`, and of `orch plan`."""
_ROUNDS = 3  # of looking for processes: one that is ended may just have started another


@contextmanager
def owned_folder(prefix: str, above: Path) -> Iterator[Path]:
    """Make a folder and hold it; what becomes of it in the end is for the caller."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=above))
        with _held(folder, fcntl.LOCK_EX) as ours:
            if ours:
                yield folder
                return
        with suppress(OSError):  # somebody looked at it, or took it for left, in its first instant
            folder.rmdir()


def left_in(above: Path, prefix: str) -> list[Path]:
    """Return the folders of this sort that are ours and that nobody holds any more."""
    found = []
    for place in sorted(above.glob(f"{prefix}*")):
        with _held(place, fcntl.LOCK_SH) as free:
            if free and place.lstat().st_uid == os.getuid():
                found.append(place)
    return found


def delete_left(folder: Path, beside: Iterable[Path] = ()) -> str:
    """End what still works for a folder that nobody holds, and delete it; return why that was not done, or an empty text.

    `beside` are folders of worktrees that belong to it and are somewhere else.
    """
    if not table.is_complete():
        return "this system does not show whether anybody works there"
    with _held(folder, fcntl.LOCK_EX) as ours:
        if not ours:
            return "somebody works there now"
        places = [folder, *beside]
        if left := asyncio.run(_end_processes(places)):
            return f"process {left[0]} there could not be ended"
        for place in reversed(places):  # that by which the others are found goes last
            delete_with_runs(place)
    return next((f"not all of {place} could be deleted" for place in places if os.path.lexists(place)), "")


def delete_with_runs(folder: Path) -> None:
    """Delete a folder that holds repositories, with what killed runs of theirs have left: mounts, and temporary files."""
    for run in runs_below(folder):
        for scratch in scratch_left(run):
            delete_scratch(scratch)
    _unmount_below(folder)
    delete_scratch(folder)


def runs_below(folder: Path) -> list[Path]:
    """Return the folders of the runs in the repositories that are in such a folder."""
    return [place for depth in ("", "*/") for place in folder.glob(f"{depth}*.git/orch/*") if folder_id(place)]


@contextmanager
def _held(folder: Path, how: int) -> Iterator[bool]:
    """Lock a folder, unless somebody else has; tell whether that was done, and whether it is still the one of that name."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
            known = os.fstat(descriptor)
            ours = folder_id(folder) == (known.st_dev, known.st_ino)
        except OSError:
            ours = False
        yield ours
    finally:
        os.close(descriptor)


async def _end_processes(places: list[Path]) -> list[int]:
    """End what works there, the oldest first, since it may have started the others; return the numbers of those that run on."""
    for _ in range(_ROUNDS):
        found = {
            process.pid: process
            for place in map(Path.resolve, places)
            for process in (*processes_in(place), *marked_processes(place))
        }
        for pid in sorted(found):
            await end_group_of(pid, found[pid].started)
        if not found:
            return []
    return [pid for pid, process in found.items() if table.start_time(pid) == process.started]


def _unmount_below(folder: Path) -> None:
    for top, folders, _ in os.walk(folder):
        for place in [Path(top, name) for name in folders]:
            if is_mounted(place):
                with suppress(OSError):
                    unmount(place, even_if_used=True)
                folders.remove(place.name)
