"""Who else works with git in a repository, and the lock that a git of ours leaves when it is killed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.processes import table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.git.command import Git
    from orchestrator.processes.table import Process

__all__ = ["unlock_killed", "unlock_refs", "unlock_refused", "works_in"]

_IN_THE_WAY = re.compile(r"Unable to create '(.+?\.lock)': File exists")


def unlock_killed(git: Git) -> None:
    """Remove the lock of the index that a git of ours has left because it was killed, unless another one may hold it."""
    index = git.index or git.git_dir / "index"
    _unlock(index.with_name(f"{index.name}.lock"), [git.git_dir, git.cwd])


def unlock_refs(common_dir: Path, refs: Iterable[str]) -> None:
    """Remove the locks of refs that a git of ours has left because it was killed, unless another one may hold them."""
    for ref in refs:
        _unlock(common_dir / f"{ref}.lock", _places_of(common_dir))


def unlock_refused(git: Git, refusal: str) -> bool:
    """Remove the lock because of which git refused to move a ref, after one of ours was killed; tell whether that was done."""
    found = _IN_THE_WAY.search(refusal)
    lock = Path(os.path.realpath(found[1])) if found else None
    common_dir = Path(os.path.realpath(git.git_dir))
    return lock is not None and table.below(str(lock), common_dir) and _unlock(lock, _places_of(common_dir))


def _places_of(common_dir: Path) -> list[Path]:
    """Return the folders in which a git that moves refs of this repository may work."""
    pointers = common_dir.glob("worktrees/*/gitdir")
    trees = [Path(pointer.read_text(errors="replace").strip()).parent for pointer in pointers if pointer.is_file()]
    return [common_dir, *([common_dir.parent] if common_dir.name == ".git" else []), *trees]


def _unlock(lock: Path, places: Iterable[Path]) -> bool:
    """Remove a lock that nobody can hold; tell whether that was done.

    A lock does not say who made it. But whoever holds it now is there now, and nobody gets hold of it from now on.
    """
    if not os.path.lexists(lock) or not table.is_complete():
        return False
    where = [Path(os.path.realpath(place)) for place in places]
    others = [p for p in table.all_processes() if not p.ended and os.getpid() not in (p.pid, p.parent)]
    if any(works_in(p, where) or str(lock) in table.paths_of(p.pid) for p in others):
        return False
    lock.unlink(missing_ok=True)
    return True


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
