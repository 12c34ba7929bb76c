"""Processes that outlive whoever started them: found by where they are and what they carry, and ended.

An agent can leave its process group and clear its environment, and is then no child of anybody here. So for as long as a
run works, this program is the parent of every process whose own parent ended (on Linux: a "child subreaper"). What it
started itself it knows; any other child is an orphan of something that it started.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakSet

from orchestrator.processes import table

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path
    from typing import IO

    from orchestrator.processes.table import Process

__all__ = ["adopting", "belonging_to", "end_orphans", "kill", "processes_in", "remember", "untouchable"]

_EVERY = 5.0  # seconds; orphans that ended by themselves are collected this often
_SET_CHILD_SUBREAPER = 36  # prctl(2)


@dataclass(slots=True)
class _Adoption:
    """Which children of this program are none of our orphans: what it starts, and what it had before (`foo & exec orch`)."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    started: WeakSet[subprocess.Popen[bytes]] = field(default_factory=WeakSet)
    before: frozenset[Process] = frozenset()
    active: bool = False


_adoption = _Adoption()  # one for the process, as its children are


def remember(start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Start a child, and know it from its first instant: an orphan is killed, and collected by whoever comes first."""
    with _adoption.lock:
        process = start()
        _adoption.started.add(process)
    return process


@asynccontextmanager
async def adopting() -> AsyncIterator[None]:
    """Be the parent of all orphans for as long as this lasts, and end those that are left; where that cannot be, do nothing."""
    if not _be_subreaper(yes=True):
        yield
        return
    _adoption.before = frozenset(p for p in table.all_processes() if p.parent == os.getpid())
    _adoption.active = True
    collecting = asyncio.create_task(_collect())
    try:
        yield
    finally:
        collecting.cancel()
        await end_orphans(lambda _pid: True)
        _adoption.active = False
        _be_subreaper(yes=False)


def _be_subreaper(*, yes: bool) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    try:
        done: int = ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, *map(ctypes.c_ulong, (yes, 0, 0, 0)))
    except (OSError, AttributeError):  # a system library without it
        return False
    return done == 0


async def _collect() -> None:
    while True:
        await asyncio.sleep(_EVERY)
        await asyncio.to_thread(_orphans)


def _orphans() -> set[Process]:
    """Return the orphans that run, with everything below them, and collect those that have ended."""
    me = os.getpid()
    with _adoption.lock:  # nothing is started meanwhile, so what is in the table and not known here is an orphan
        known = {process.pid for process in _adoption.started if process.returncode is None}
        processes = table.all_processes()
        known |= {process.pid for process in processes if process in _adoption.before}
        adopted = [process for process in processes if process.parent == me and process.pid not in known]
        for process in adopted:
            if process.ended:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(process.pid, os.WNOHANG)
    return {process for process in table.descendants(processes, adopted) if not process.ended}


async def end_orphans(belongs: Callable[[int], bool], *, patience: float = 3.0) -> None:
    """Kill the orphans that belong somewhere, and everything below them, and those that appear while they are killed.

    Returns when none is left, or after `patience` seconds: some cannot be killed (in the middle of a broken disk's answer).
    """

    def look() -> list[Process]:
        orphans = _orphans()
        roots = [process for process in orphans if belongs(process.pid)]
        return _own(table.descendants(orphans, roots))

    until = time.monotonic() + patience
    while _adoption.active and (found := await asyncio.to_thread(look)):
        for process in found:
            kill(process)
        if time.monotonic() > until:
            return
        await asyncio.sleep(0.01)  # a process that was killed needs a moment to end


def belonging_to(folder: Path, marks: Iterable[str], pipe: IO[bytes]) -> Callable[[int], bool]:
    """Return what tells whether a process works in a folder, holds the other end of a pipe, or carries all of the marks.

    Marks are `NAME=value` of its environment; without any, no process carries them.
    """
    place, wanted = folder.resolve(), frozenset(map(os.fsencode, marks))
    held = f"pipe:[{os.fstat(pipe.fileno()).st_ino}]"

    def belongs(pid: int) -> bool:
        works = any(path == held or table.below(path, place) for path in table.paths_of(pid))
        return works or (bool(wanted) and wanted <= table.environment(pid))

    return belongs


def kill(process: Process) -> None:
    """Kill a process, unless it has ended and its number is another's by now."""
    if table.start_time(process.pid) == process.started:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, signal.SIGKILL)


def processes_in(folder: Path) -> list[Process]:
    """Return the processes that work in a folder, and all below them, of the user that we are (Linux).

    Left out are those that are `untouchable`, and those that are attached to a terminal or hold one up for others (such as
    tmux): a person may look at what an agent has left.
    """
    processes = table.all_processes()
    attended = [process for process in processes if process.terminal]
    attended += [above for process in attended for above in table.ancestors(processes, process)]
    spared = untouchable(processes) | set(attended)
    working = [
        process
        for process in set(processes) - spared
        if any(table.below(path, folder) for path in table.paths_of(process.pid))
    ]
    return _own(table.descendants(processes, working) - spared)


def untouchable(processes: Iterable[Process]) -> set[Process]:
    """Return which processes are not to be ended, whatever they do: us, what we descend from, what we started, our session.

    An agent starts a session of its own; in ours there may be the reader of our pipe.
    """
    processes = list(processes)
    me = next((process for process in processes if process.pid == os.getpid()), None)
    if me is None:
        return set(processes)
    session = {process for process in processes if process.session == me.session}
    return session | table.descendants(processes, [me]) | table.ancestors(processes, me)


def _own(processes: Iterable[Process]) -> list[Process]:
    return [process for process in processes if not process.ended and table.user_of(process.pid) == os.getuid()]
