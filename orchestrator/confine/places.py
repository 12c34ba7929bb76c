"""Where the programs of a task may write: the folders in its worktree that take in its scope."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from orchestrator.model.globs import Scope

__all__ = ["writable_folders"]


def writable_folders(worktree: Path, scope: Scope) -> list[Path]:
    """Return the smallest folders of a worktree that hold all paths of a scope, and make those that are missing.

    Folders and not files, since programs write a new file beside the old one, and rename it. So a scope with a file at the root
    has the whole worktree; what lies outside the scope is refused when the work is handed in. Where a link or a file
    stands in the way, it is the folder above that: no link leads out of the worktree.
    """
    paths = (*scope.included.literals, *(pattern.prefix for pattern in scope.included.wild))
    made = {_make(worktree, path.rpartition("/")[0]) for path in paths}
    return [worktree / folder if folder else worktree for folder in _outermost(made)]


def _make(worktree: Path, folder: str) -> str:
    """Make a folder, as far as no link or file is in its way; return how far that was."""
    handle, done = os.open(worktree, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC), ""
    try:
        for part in folder.split("/") if folder else ():
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, dir_fd=handle)
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=handle)
            os.close(handle)
            handle, done = below, f"{done}/{part}" if done else part
    except OSError:  # a link, a file, or a folder that nobody may read
        return done
    finally:
        os.close(handle)
    return done


def _outermost(folders: Iterable[str]) -> list[str]:
    """Return the folders without those that lie in others, in order."""
    found: list[str] = []
    for folder in sorted(folders, key=lambda name: name.split("/") if name else []):
        if not any(not above or folder == above or folder.startswith(f"{above}/") for above in found):
            found.append(folder)
    return found
