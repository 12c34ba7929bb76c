"""A single folder of a commit, as git stores it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.errors import GitError

if TYPE_CHECKING:
    from orchestrator.git.command import Git

__all__ = ["FOLDER", "Folder", "entry_of", "in_order", "read_folder", "tree_in"]

Folder = dict[bytes, bytes]
"""The entries of a tree by their names, each as it is stored, in the order of git."""

FOLDER = b"40000 "
"""How an entry that is itself a folder begins."""

_ENTRY = {
    digits: re.compile(rb"[0-7]+ ([^\0]+)\0.{%d}" % (digits // 2), re.DOTALL) for digits in (40, 64)
}  # by the digits of a name


def read_folder(git: Git, tree: str) -> Folder:
    """Return what a tree holds.

    Raises:
        GitError: there is no such tree, or it is none that git would write.
    """
    found = git.find(tree)
    if found is None or found.kind != "tree":
        raise GitError(["git", "cat-file", "tree", tree], git.cwd, 128, f"{tree} is no tree here")
    folder = {entry[1]: entry[0] for entry in _ENTRY[len(found.id)].finditer(found.data)}
    if sum(map(len, folder.values())) != len(found.data):
        raise GitError(["git", "cat-file", "tree", tree], git.cwd, 128, f"{tree} is malformed, or has a name twice")
    return folder


def entry_of(mode: bytes, name: bytes, identity: str) -> bytes:
    """Return an entry as it is stored."""
    return mode + b" " + name + b"\0" + bytes.fromhex(identity)


def tree_in(entry: bytes, name: bytes) -> str | None:
    """Return the tree that an entry of this name points at; None if it is no folder."""
    return entry[len(FOLDER) + len(name) + 1 :].hex() if entry.startswith(FOLDER) else None


def in_order(folder: Folder) -> Folder:
    """Return a folder in the order of git: by name, that of a folder with a slash behind it."""
    return dict(sorted(folder.items(), key=_place))


def _place(item: tuple[bytes, bytes]) -> bytes:
    name, entry = item
    return name + b"/" if entry.startswith(FOLDER) else name
