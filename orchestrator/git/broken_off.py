"""A move of a checkout that git broke off in the middle, for a full disk or a loss of power: its files are brought back.

Git writes one file after the other, and the index last. So the index still tells what was there before.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from orchestrator.git import query

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.git.command import Git
    from orchestrator.git.parse import Change

__all__ = ["bring_back", "was_writing"]

_WRITING = ("unable to", "cannot create")


def was_writing(said: str) -> bool:
    """Tell by what git said whether a move failed when it wrote files: before it writes, it only compares."""
    return any(word in said for word in _WRITING)


def bring_back(git: Git, previous: str, tree: str) -> None:
    """Bring back each file that a move from `previous` to `tree` has removed, or has begun to write, or that this has.

    A file that holds anything else is its owner's, and stays.

    Raises:
        GitError: the disk does not take them.
    """
    assert git.work_tree is not None
    changes = query.changed_paths(git, previous, tree)
    broken = [found for found in changes if _is_of_the_move(git, git.work_tree / found.path, found, previous, tree)]
    for found in broken:
        place = git.work_tree / found.path
        place.unlink(missing_ok=True)
        if found.added:
            _remove_empty_folders(place.parent, git.work_tree)
    if before := b"".join(os.fsencode(found.path) + b"\0" for found in broken if not found.added):
        git.run("checkout-index", "--force", "--index", "-z", "--stdin", stdin=before)


def _is_of_the_move(git: Git, place: Path, found: Change, previous: str, tree: str) -> bool:
    if found.is_submodule:
        return False
    if not place.is_symlink() and not place.exists():
        return not found.added
    sides = [f"{side}:{found.path}" for side, gone in ((previous, found.added), (tree, found.deleted)) if not gone]
    written = [git.run("cat-file", "--filters", side).out for side in sides]
    if place.is_symlink():
        return os.fsencode(place.readlink()) in written
    return place.is_file() and any(content.startswith(place.read_bytes()) for content in written)


def _remove_empty_folders(folder: Path, top: Path) -> None:
    with contextlib.suppress(OSError):  # something is in it
        while folder != top:
            folder.rmdir()
            folder = folder.parent
