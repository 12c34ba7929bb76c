"""Trees of a chain of merges, made without merging: where a path is still as the work found it, the merge takes the work's.

So git itself decides it (merge-ort, trivial cases) when it does not guess renamed folders. A merge as a process of git's reads
and writes the same folders for each; here they are kept in memory from one to the next, and all that is new goes into one pack.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from typing import TYPE_CHECKING

from orchestrator.git.change import commit_body
from orchestrator.git.parse import CommitId, TreeId
from orchestrator.git.query import tree_of
from orchestrator.git.trees import FOLDER, Folder, entry_of, in_order, read_folder, tree_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from orchestrator.git.command import Git
    from orchestrator.git.parse import Change

__all__ = ["Chain"]

_PACKED = {b"commit": 1, b"tree": 2}


class Chain:
    """Grows a chain of commits on top of one, in memory; `write` puts them into the repository."""

    def __init__(self, git: Git, onto: str) -> None:
        """Begin at a commit.

        Raises:
            GitError: there is no such commit.
        """
        tree = tree_of(git, onto)
        self._git = git
        self._algorithm = "sha1" if len(tree) == 40 else "sha256"
        self._folders: dict[bytes, Folder] = {b"": read_folder(git, tree)}
        self._unsorted: set[bytes] = set()  # folders that have got new names
        self._new: dict[str, tuple[bytes, bytes]] = {}  # name → kind and content

    def put(self, changes: Sequence[Change]) -> TreeId | None:
        """Return the tree after these changes; None, and nothing is changed, if one of the paths is not as the change found it.

        Raises:
            GitError: a folder is gone.
        """
        if any(change.is_submodule or not self._is_as_found(change) for change in changes):
            return None
        touched = {b""}
        for change in changes:
            above, _, name = os.fsencode(change.path).rpartition(b"/")
            if change.deleted:
                del self._open(above)[name]
            else:
                self._set(above, name, entry_of(change.new_mode.encode("ascii"), name, change.new_blob))
            while above:
                touched.add(above)
                above = above.rpartition(b"/")[0]
        return TreeId(self._close(touched))

    def commit(self, tree: TreeId, parents: Sequence[str], message: str, author: str) -> CommitId:
        """Add a commit, as `change.commit_tree` writes one, and return its name."""
        return CommitId(self._add(b"commit", commit_body(tree, parents, message, author)))

    def write(self) -> Path:
        """Write all that is new as one pack, which git checks object by object, and return it; nothing refers to it yet.

        Raises:
            GitError: git does not take it: something that it refers to is gone, or it is not as git would have it.
        """
        said = self._git.text("index-pack", "--stdin", "--strict", stdin=self._pack())
        return self._git.object_folder / "pack" / f"pack-{said.split()[-1]}.pack"

    def _is_as_found(self, change: Change) -> bool:
        above, _, name = os.fsencode(change.path).rpartition(b"/")
        folder = self._find(above)
        if change.added:
            return not self._is_blocked(above) if folder is None else name not in folder
        return folder is not None and folder.get(name) == entry_of(
            change.old_mode.encode("ascii"), name, change.old_blob
        )

    def _is_blocked(self, path: bytes) -> bool:
        """Tell whether there is a file where this folder, or one around it, would be."""
        while path:
            above, _, name = path.rpartition(b"/")
            if (folder := self._find(above)) is not None:
                return name in folder
            path = above
        return False

    def _find(self, path: bytes) -> Folder | None:
        """Return a folder's entries; None if there is no such folder."""
        if path not in self._folders:
            above, _, name = path.rpartition(b"/")
            tree = tree_in((self._find(above) or {}).get(name, b""), name)
            if tree is None:
                return None
            self._folders[path] = read_folder(self._git, tree)
        return self._folders[path]

    def _open(self, path: bytes) -> Folder:
        """Return a folder's entries; a new folder's, if there is none."""
        return found if (found := self._find(path)) is not None else self._folders.setdefault(path, {})

    def _set(self, above: bytes, name: bytes, entry: bytes) -> None:
        folder = self._open(above)
        if name not in folder:
            self._unsorted.add(above)
        folder[name] = entry

    def _close(self, paths: Iterable[bytes]) -> str:
        """Give touched folders their new names, from the innermost out, and return the outermost's; empty ones go."""
        tree = ""
        for path in sorted(paths, key=_depth, reverse=True):
            above, _, name = path.rpartition(b"/")
            folder = self._open(path)
            if path in self._unsorted:
                folder = self._folders[path] = in_order(folder)
            if folder or not path:
                tree = self._add(b"tree", b"".join(folder.values()))
            if path and folder:
                self._set(above, name, entry_of(FOLDER.rstrip(), name, tree))
            elif path:
                del self._folders[path]
                self._open(above).pop(name, None)
        self._unsorted.clear()
        return tree

    def _add(self, kind: bytes, body: bytes) -> str:
        name = hashlib.new(self._algorithm, kind + b" %d\0" % len(body) + body, usedforsecurity=False).hexdigest()
        self._new[name] = kind, body
        return name

    def _pack(self) -> bytes:
        parts = [b"PACK" + (2).to_bytes(4, "big") + len(self._new).to_bytes(4, "big")]
        for kind, body in self._new.values():
            parts += [_header(_PACKED[kind], len(body)), zlib.compress(body, 1)]
        whole = b"".join(parts)
        return whole + hashlib.new(self._algorithm, whole, usedforsecurity=False).digest()


def _depth(path: bytes) -> int:
    return path.count(b"/") + 1 if path else 0


def _header(kind: int, size: int) -> bytes:
    """Return how an object in a pack begins: its kind and its size, seven bits a byte after the first four."""
    byte, size = (kind << 4) | (size & 15), size >> 4
    found = bytearray()
    while size:
        found.append(byte | 128)
        byte, size = size & 127, size >> 7
    found.append(byte)
    return bytes(found)
