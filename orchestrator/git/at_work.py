"""Who else works with git in a repository, and the lock that a git of ours leaves when it is killed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.processes import table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.git.command import Git
    from orchestrator.processes.table import Process

__all__ = ["unlock_killed", "works_in"]


def unlock_killed(git: Git) -> None:
    """Remove the lock of the index that a git of ours has left because it was killed, unless another one may hold it.

    A lock does not say who made it. But whoever holds it now is there now, and nobody gets hold of it from now on.
    """
    index = git.index or git.git_dir / "index"
    lock = index.with_name(f"{index.name}.lock")
    if not os.path.lexists(lock) or not table.is_complete():
        return
    places = [Path(os.path.realpath(place)) for place in (git.git_dir, git.cwd)]
    others = [p for p in table.all_processes() if not p.ended and os.getpid() not in (p.pid, p.parent)]
    if not any(works_in(p, places) or str(lock) in table.paths_of(p.pid) for p in others):
        lock.unlink(missing_ok=True)


def works_in(process: Process, places: Iterable[Path]) -> bool:
    """Tell whether a process is a git that works in one of these folders, is told to, or may not be looked into."""
    if not process.name.startswith("git"):
        return False
    here = table.working_folder(process.pid)
    if here is None:
        return table.start_time(process.pid) == process.started  # it has not ended: it may not be looked into
    words = [os.fsdecode(word) for word in table.arguments(process.pid)]
    values = [word.partition("=")[2] if word.startswith("-") else word for word in words]
    settings = (os.fsdecode(word) for word in table.environment(process.pid) if word.startswith(b"GIT_"))
    values += [setting.partition("=")[2] for setting in settings]
    named = [os.path.realpath(Path(here) / value) for value in values if value and "\0" not in value]
    return any(table.below(path, place) for path in [here, *named] for place in places)
