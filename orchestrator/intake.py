"""A look at a worktree before git looks at it: what would hang git, lead it elsewhere, or be lost is refused here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchestrator.errors import WorkspaceError
from orchestrator.files import folder_id

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["refuse_another_folder", "refuse_what_git_cannot_take"]


def refuse_another_folder(folder: Path, known: tuple[int, int] | None) -> None:
    """Raise if a folder is not the one that was made: an agent may have put a link to somebody else's there.

    Raises:
        WorkspaceError: it is gone, or another one.
    """
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


def _special_files(folder: Path | str) -> Iterable[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink() or entry.is_file(follow_symlinks=False):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _special_files(entry.path)
            else:
                yield entry.path
