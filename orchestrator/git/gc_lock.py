"""Git's own lock against a second garbage collection, held while objects are written that no ref leads to yet.

A `git gc --prune=now` that has looked at the refs before ours was there removes its objects after it. Whoever collects puts
process and machine into `gc.pid` in the git folder, and gives way to a process that has done so and still runs (git and JGit).
It is held for moments only; of a process that was killed it hinders nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile
import time
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.effects import reached

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["no_gc"]

_PATIENCE = 600.0  # seconds for one collection; after them it is written beside it, as by any other git
_EVERY = 0.002  # seconds between two looks: somebody may collect again and again
_TAKING = 60.0  # seconds; git has its draft of the lock for an instant, and an older one is a leftover


@asynccontextmanager
async def no_gc(git_folder: Path) -> AsyncIterator[None]:
    """Keep garbage collection out of a repository for as long as this lasts, after the end of one that is under way.

    Where no such file can be made nothing is held. `git prune` and `git repack` do not look for it, nor do other machines.
    """
    lock = _lock_of(git_folder)
    await lock.enter()
    try:
        yield
    finally:
        lock.leave()


class _GcLock:
    """The lock of one repository, which all tasks of this program share."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own = f"{os.getpid()} {socket.gethostname()}"
        self._inside = 0
        self._waited_for = ""
        for draft in path.parent.glob(f"{path.name}-*-*"):
            if not _runs(draft.name.split("-")[1]):
                draft.unlink(missing_ok=True)  # it was killed in the middle of taking the lock
        taking = Path(f"{path}.lock")
        with contextlib.suppress(OSError):
            left_by = taking.read_text(errors="replace").strip()
            if left_by.endswith(socket.gethostname()) and not _runs_here(left_by):
                taking.unlink()  # likewise

    async def enter(self) -> None:
        until = time.monotonic() + _PATIENCE
        while not self._inside and not self._take():
            if time.monotonic() > until:
                self._waited_for = self._holder()
            await asyncio.sleep(_EVERY)
        self._inside += 1

    def leave(self) -> None:
        self._inside -= 1
        if not self._inside:
            self._let_go()

    def _take(self) -> bool:
        """Take the lock, or see that it need not or cannot be; return False if somebody collects."""
        if holder := self._holder():
            if holder == self._waited_for:
                return True
            if _runs_here(holder):
                return False
        try:
            handle, draft = tempfile.mkstemp(prefix=f"{self._path.name}-{os.getpid()}-", dir=self._path.parent)
            try:
                os.write(handle, self._own.encode())
                reached("gc-lock-drafted")
                if holder:
                    return self._replace(Path(draft))
                os.link(draft, self._path)
                reached("gc-locked")
            finally:
                os.close(handle)
                Path(draft).unlink()
        except FileExistsError:
            return False
        except OSError:
            return True
        # A git that looked before the link was made has its own draft still, or has put it in the place of ours by now.
        if self._is_being_taken() or self._holder() != self._own:
            self._let_go()
            return False
        return True

    def _replace(self, draft: Path) -> bool:
        """Put ours in the place of the lock of a process that has gone, as git does it: nobody else may look meanwhile.

        To remove it first would remove that of a git which has taken it since we looked.
        """
        taking = Path(f"{self._path}.lock")
        os.link(draft, taking)
        if _runs_here(self._holder()):
            taking.unlink()
            return False
        taking.rename(self._path)
        return True

    def _let_go(self) -> None:
        if self._holder() == self._own:
            self._path.unlink(missing_ok=True)

    def _holder(self) -> str:
        """Return who has the lock, as `process machine`; empty if nobody."""
        try:
            return self._path.read_text(errors="replace").strip()
        except OSError:
            return ""

    def _is_being_taken(self) -> bool:
        try:
            return time.time() - self._path.with_name("gc.pid.lock").stat().st_mtime < _TAKING
        except OSError:
            return False


_lock_of = cache(lambda git_folder: _GcLock(git_folder / "gc.pid"))


def _runs_here(holder: str) -> bool:
    """Tell whether a process of this machine runs; of another machine's nothing can be known."""
    pid, _, machine = holder.partition(" ")
    return machine == socket.gethostname() and _runs(pid)


def _runs(pid: str) -> bool:
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
