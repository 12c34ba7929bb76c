"""A look at a worktree before git looks at it.

What would hang git, lead it elsewhere, or be lost is refused; what would be ignored although the task is to write it is
found; what looks like a secret, or is very large, is remarked on.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from orchestrator.errors import WorkspaceError
from orchestrator.files import folder_id
from orchestrator.git import query
from orchestrator.model.sensitive import LOOKED_AT, remark_on

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from orchestrator.git.command import Git
    from orchestrator.model.globs import Scope

__all__ = ["ignored_but_listed", "refuse_another_folder", "refuse_what_git_cannot_take", "remarks_on"]


def refuse_another_folder(folder: Path, known: tuple[int, int] | None) -> None:
    """Raise if a folder is not the one that was made: an agent may have put a link to somebody else's there.

    Raises:
        WorkspaceError: it is gone, or another one.
    """
    if not os.path.lexists(folder):
        raise WorkspaceError(f"{folder} is not the folder that was made there: it was deleted")
    if known is None or folder_id(folder) != known:
        raise WorkspaceError(f"{folder} is not the folder that was made there; nothing in it was touched.")


def refuse_what_git_cannot_take(folder: Path, submodules: Iterable[str]) -> None:
    """Raise if a worktree holds what git would wait for, or would not take in.

    A pipe called `.gitignore` makes `git add` wait for ever. The files of a submodule are no part of the commit, and git
    looks into it under a configuration that whoever filled it wrote.

    Raises:
        WorkspaceError: it does; the message names the path.
    """
    for path in submodules:
        place = folder / path
        if place.is_symlink() or (place.is_dir() and any(place.iterdir())):
            raise WorkspaceError(f"the submodule {path} was filled or replaced; what is in it cannot be taken in")
    for special in _special_files(folder):
        raise WorkspaceError(f"{os.path.relpath(special, folder)} is no file, folder or link; take it away")


def ignored_but_listed(files: Git, scope: Scope) -> list[str]:
    """Return the ignored files that a task is to write: its scope names them, or spells out a folder that is ignored whole.

    `dist/**` names what is below an ignored `dist/`; `src/**` does not name `src/module.pyc`.
    """
    found: list[str] = []
    for path in query.ignored_files(files):
        if path.endswith("/") and scope.reaches_into(path):
            found += (inside for inside in query.ignored_in(files, path) if scope.matches(inside))
        elif scope.names(path) and scope.matches(path):
            found.append(path)
    return found


def remarks_on(folder: Path, paths: Iterable[str]) -> dict[str, str]:
    """Return path → why it should not be taken in without a word, for those of these files where something speaks against it."""
    found = {}
    for path in paths:
        place = folder / path
        try:
            size = _size_of_file(place)
            start = b""
            if size:
                with os.fdopen(os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
                    start = file.read(LOOKED_AT)
        except OSError:
            continue  # gone again
        if size is not None and (remark := remark_on(path, size, start)):
            found[path] = remark
    return found


def _size_of_file(place: Path) -> int | None:
    """Return the size of an ordinary file; None if it is something else.

    Raises:
        OSError: nothing is there.
    """
    known = place.lstat()
    return known.st_size if stat.S_ISREG(known.st_mode) else None


def _special_files(folder: Path | str) -> Iterable[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink() or entry.is_file(follow_symlinks=False):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _special_files(entry.path)
            else:
                yield entry.path
