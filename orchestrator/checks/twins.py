"""Files that only some systems can tell from others: found folder by folder, without reading a whole commit."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from orchestrator.git.parse import decode
from orchestrator.git.query import tree_of
from orchestrator.git.trees import read_folder, tree_in
from orchestrator.model.boundary import forms_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.git.command import Git

__all__ = ["KnownFiles"]

_Names = dict[str, list[tuple[str, str | None]]]


class KnownFiles:
    """The files of one commit; each folder is read when it is first asked for. Threads may share it."""

    def __init__(self, git: Git, commit: str) -> None:
        """Begin with nothing read.

        Raises:
            GitError: there is no such commit.
        """
        self._git = git
        self._root = tree_of(git, commit)
        self._folders: dict[str, _Names] = {}

    def like(self, paths: Sequence[str]) -> Mapping[str, str]:
        """Return what `model.boundary.forms_of` says of all files, as far as it tells of files like these.

        Raises:
            GitError: a folder is gone.
        """
        found = (self._find(self._root, [_form(part) for part in path.split("/")]) for path in paths)
        return forms_of(path for each in found for path in each)

    def _find(self, tree: str, forms: Sequence[str]) -> Iterator[str]:
        for name, folder in self._names_in(tree).get(forms[0], ()):
            if folder is None:
                yield from [name] if len(forms) == 1 else []
            elif len(forms) > 1:
                yield from (f"{name}/{below}" for below in self._find(folder, forms[1:]))

    def _names_in(self, tree: str) -> _Names:
        """Return form → name, and the tree if it is a folder, of what is in a folder."""
        if tree not in self._folders:
            names: _Names = defaultdict(list)
            for name, entry in read_folder(self._git, tree).items():
                names[_form(decode(name))].append((decode(name), tree_in(entry, name)))
            self._folders[tree] = dict(names)
        return self._folders[tree]


def _form(name: str) -> str:
    (form,) = forms_of([name])
    return form
