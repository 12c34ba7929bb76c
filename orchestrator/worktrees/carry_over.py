"""Files of the user's checkout that git does not keep and agents need, such as `.env.local`: copied into each worktree.

Which ones is for the user to say, in the plan or in `.worktreeinclude`. Only what git ignores is copied, so that nothing of it
can be committed by the way; a tracked file never is.
"""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from orchestrator.git import query
from orchestrator.model.globs import Scope
from orchestrator.model.text import printable
from orchestrator.worktrees.intake import ignored_but_listed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.git.command import Git

__all__ = ["INCLUDE_FILE", "carry_over"]

INCLUDE_FILE = ".worktreeinclude"
_SHOWN = 3  # names in one remark


def carry_over(checkout: Git, files: Git, globs: Sequence[str], scope: Scope) -> list[str]:
    """Copy ignored files that are named by `globs` or by `.worktreeinclude` into a worktree; return what should be said of it.

    `checkout` is a git on the user's work tree, if there is one, and `files` one on the worktree, where nobody works yet, for a
    task of this scope.

    Raises:
        OSError: a file cannot be read or written.
    """
    source, target = checkout.work_tree, files.work_tree
    if source is None or target is None:
        return [f"there is no checkout that {', '.join(globs)} could be copied from"] if globs else []
    wanted = _wanted(checkout, source, globs)
    if not wanted:
        return [f"there is nothing in {source} that worktree.copy names"] if globs else []
    ignored = query.ignored_of(files, wanted)
    remarks = _remark("is not copied, since git does not ignore it", [path for path in wanted if path not in ignored])
    astray = [path for path in wanted if path in ignored and not _copy(source, target, path)]
    handed_in = sorted(set(ignored_but_listed(files, scope)) & ignored)
    for path in handed_in:
        (target / path).unlink()
    remarks += _remark("is not copied, since the task's scope names it, and it would be taken in as work", handed_in)
    return remarks + _remark("is not copied, since it leads out of the worktree, or is no file", astray)


def _wanted(checkout: Git, source: Path, globs: Sequence[str]) -> list[str]:
    found: list[str] = []
    if globs:
        scope = Scope(globs)
        found += [path for path in query.untracked_files(checkout) if scope.matches(path)]
    include = source / INCLUDE_FILE
    if include.is_file() and not include.is_symlink():
        found += query.untracked_files(checkout, named_in=include)
    return sorted({path for path in found if not path.endswith("/")})


def _remark(what: str, paths: Sequence[str]) -> list[str]:
    if not paths:
        return []
    shown = ", ".join(printable(path) for path in paths[:_SHOWN])
    return [f"{shown} and {len(paths) - _SHOWN} more: each {what}" if len(paths) > _SHOWN else f"{shown} {what}"]


def _copy(source: Path, target: Path, path: str) -> bool:
    """Copy one file or link; return False if it is neither, or leads out of the worktree."""
    old, new = source / path, target / path
    mode = old.lstat().st_mode
    if any(above.is_symlink() for above in _above(old, source) | _above(new, target)):
        return False
    new.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(new):
        return True  # the commit has one of its own
    if stat.S_ISLNK(mode):
        leads_to = os.readlink(old)  # noqa: PTH115 - as it stands there
        inside = os.path.normpath(os.path.join(os.path.dirname(path), leads_to))  # noqa: PTH118, PTH120 - no path of ours
        if os.path.isabs(leads_to) or inside.split("/")[0] == "..":  # noqa: PTH117
            return False
        new.symlink_to(leads_to)
        return True
    if not stat.S_ISREG(mode):
        return False
    shutil.copy2(old, new, follow_symlinks=False)
    return True


def _above(place: Path, top: Path) -> set[Path]:
    return {above for above in place.parents if above.is_relative_to(top) and above != top}
