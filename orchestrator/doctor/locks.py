"""Locks of git that nobody holds any more.

A git that is killed leaves its lock files, and every git after it fails on them: a branch cannot be moved, or no branch can be
deleted. (A half-written `packed-refs.new` stands in the way just like one.) A lock does not say who made it, so one counts as
stale only if no process that could hold it is there.
"""

from __future__ import annotations

import os
import shlex
import stat
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.doctor.leftover import Kind, Leftover
from orchestrator.git.at_work import works_in
from orchestrator.processes import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchestrator.doctor.scene import Scene

__all__ = ["Evidence", "gather_evidence", "stale_locks", "why_not_dead"]

_PLACES = (
    "packed-refs.lock", "packed-refs.new", "config.lock", "HEAD.lock", "index.lock", "shallow.lock",
    "worktrees/*/HEAD.lock", "worktrees/*/index.lock",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Who could be working in a repository: processes by number.

    `openers` have a file open, by its path; `gits` work in the repository, or may not be looked into; `run` is worked on.
    """

    complete: bool
    openers: Mapping[str, int]
    gits: tuple[int, ...]
    run: str


def why_not_dead(path: str, owner: int, evidence: Evidence, *, user: int) -> str:
    """Return why it is not proved that nobody holds a lock, or an empty text."""
    if not evidence.complete:
        return "this system does not show whether a process still holds it"
    if evidence.run:
        return f"a process is working on the run {evidence.run}"
    if path in evidence.openers:
        return f"process {evidence.openers[path]} has it open"
    if evidence.gits:
        return f"a git is at work here, or may be (process {evidence.gits[0]})"
    return "" if owner == user else "it is another user's"


def stale_locks(scene: Scene) -> Iterator[Leftover]:
    """Yield the locks that are there, those that may be held too; what is proved to be dead can be removed."""
    common = scene.repository.common_dir
    paths = [path for place in _PLACES for path in common.glob(place)]
    # Not by glob(), which fails on a folder that vanishes while it looks.
    paths += [Path(top, name) for top, _, names in os.walk(common / "refs") for name in names if name.endswith(".lock")]
    found = {path: _identity(path) for path in sorted(paths)}
    if not found:
        return
    # After the identities: who holds one of exactly these locks made it before, and is there now. Nobody gets hold of one later.
    evidence = gather_evidence(scene, found)
    for path, identity in found.items():
        if identity is None:
            continue  # released while we looked
        why = why_not_dead(str(path), identity[0], evidence, user=os.getuid())
        advice = f"It stays, since {why}. If you know that no git works here: rm {shlex.quote(str(path))}"
        yield Leftover(
            kind=Kind.LOCK, name=str(path), what="a lock that a git left" if not why else "a lock of git", deed="removed",
            repair=None if why else partial(_remove, path, identity), advice=advice if why else "",
        )  # fmt: skip


def _remove(path: Path, identity: tuple[int, ...]) -> str:
    if _identity(path) != identity:
        return "it is another one by now"
    path.unlink()
    return ""


def _identity(path: Path) -> tuple[int, ...] | None:
    """Return the owner of a file, and what tells it from another of its name; None if there is no such file."""
    try:
        found = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_uid, found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def gather_evidence(scene: Scene, files: Iterable[Path]) -> Evidence:
    """Look who works in the repository, and who has one of these files open."""
    processes = [p for p in table.all_processes() if not p.ended and p.parent != os.getpid() and p.pid != os.getpid()]
    names = {str(path) for path in files}
    openers = {path: process.pid for process in processes for path in table.paths_of(process.pid) if path in names}
    places = _places(scene)
    return Evidence(
        complete=table.is_complete(), openers=openers, run=scene.at_work(),
        gits=tuple(process.pid for process in processes if works_in(process, places)),
    )  # fmt: skip


def _places(scene: Scene) -> list[Path]:
    """Return the folders in which a git that works in this repository, or is told to, would be."""
    common = scene.repository.common_dir
    pointers = [pointer.read_text(errors="replace").strip() for pointer in common.glob("worktrees/*/gitdir")]
    trees = [(common / "worktrees" / "record" / pointer).parent for pointer in pointers]
    main = [common.parent] if common.name == ".git" else []
    own = [scene.repository.work_tree] if scene.repository.work_tree else []
    return [Path(os.path.realpath(place)) for place in (common, *main, *own, *trees)]
