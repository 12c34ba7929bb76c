"""The folder of one attempt: patches are applied there, and what the agent has left is taken in from there.

What it holds is committed through an index of our own that the agent never saw, so that no flag in the agent's index can hide a
file. What cannot be proved to be kept elsewhere keeps the folder where it is.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import WorkspaceError
from orchestrator.git import change, query
from orchestrator.git.durable import sync_objects, sync_ref
from orchestrator.git.parse import decode
from orchestrator.worktrees.intake import (
    ignored_but_listed,
    refuse_another_folder,
    refuse_what_git_cannot_take,
    remarks_on,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.git.command import Git
    from orchestrator.git.parse import Change, CommitId, TreeId
    from orchestrator.git.repository import Repository
    from orchestrator.model.globs import Scope
    from orchestrator.worktrees.technique import Technique

__all__ = ["Captured", "Workspace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """What an attempt left: its tree, how that differs from its base, and what the agent committed itself on the way."""

    tree: TreeId
    changes: tuple[Change, ...]
    agent_head: CommitId | None
    agent_changes: tuple[Change, ...]
    remarks: tuple[str, ...]
    """What should be said about new files: that one looks like a secret, or is very large."""


@dataclass(slots=True, kw_only=True)
class Workspace:
    """One attempt's worktree. `files` works on it through an index that only this program knows.

    `keep` says why the folder must stay when the attempt is over; it is empty once everything in it is kept elsewhere.
    """

    folder: Path
    commit: CommitId
    repository: Repository
    files: Git
    admin: Path
    identity: tuple[int, int] | None
    submodules: frozenset[str]
    scope: Scope
    technique: Technique
    """How the folder was made."""
    keep: str = "the attempt ended before its files were taken in"

    async def apply_patch(self, patch: bytes) -> str:
        """Apply a patch to the files, exactly; return what git says against it, empty if it applied.

        Raises:
            WorkspaceError: the folder holds what git cannot take in.
        """

        def apply() -> str:
            self._stage()  # earlier steps may have written files that the patch builds on
            return change.apply_patch(self.files, patch)

        return await asyncio.to_thread(apply)

    def _stage(self) -> TreeId:
        refuse_another_folder(self.folder, self.identity)
        refuse_what_git_cannot_take(self.folder, self.submodules)
        return change.stage_everything(self.files, ignored_but_listed(self.files, self.scope))

    async def capture(self) -> Captured:
        """Take in every file as it is now; nothing may write here any more.

        Raises:
            GitError: git cannot take the files in (a nested repository without a commit, an unreadable file).
            WorkspaceError: the folder holds what git must not be let near, or is another folder.
        """
        return await asyncio.to_thread(self._capture)

    def _capture(self) -> Captured:
        objects = self.repository.objects
        tree = self._stage()
        head = self._agent_head()
        changes = query.changed_paths(objects, self.commit, tree)
        found = remarks_on(self.folder, (c.path for c in changes if c.added))
        return Captured(
            tree=tree,
            changes=changes,
            remarks=tuple(f"{path} is taken in, though {why}" for path, why in found.items()),
            agent_head=head,
            agent_changes=query.every_change_between(objects, self.commit, head) if head else (),
        )

    def _agent_head(self) -> CommitId | None:
        """Return what the agent's own commits lead to, if it made any, HEAD holds on to them, and no `git gc` took some away."""
        try:
            with (self.admin / "HEAD").open("rb") as file:
                pointed = decode(file.read(4096)).strip().removeprefix("ref: ")
        except OSError:
            return None
        commit = query.resolve(self.repository.own, pointed) if pointed else None
        return commit if commit and query.new_objects(self.repository.objects, commit, self.commit) else None

    def start_over(self) -> None:
        """Forget what the index says: it may be half done, or objects that it names may be gone (`git gc --prune=now`)."""
        change.unlock_index(self.files)
        self.files.run("read-tree", self.commit)

    def kept_as(self, captured: Captured, refs: Mapping[str, CommitId]) -> None:
        """Point refs at what was captured, each moved only from where it is now, and let the folder go.

        What the commit does not hold keeps the folder here: the files of a nested repository, and files that are ignored
        by rules which the attempt itself has written. What the base's own rules ignore is throw-away by its owner's word.

        Raises:
            WorkspaceError: a ref could not be moved, or objects of what it points at are gone; the folder stays.
        """
        for ref, commit in refs.items():
            if not change.move_ref(self.repository.own, ref, commit, query.resolve(self.repository.own, ref)):
                raise WorkspaceError(f"{ref} could not be pointed at {commit}, so {self.folder} is kept.")
            if not sync_objects(self.repository, commit, self.commit):
                raise WorkspaceError(
                    f"Objects of {commit} were removed while it was written, so {self.folder} is kept."
                )
            sync_ref(self.repository, ref)
        self.keep = self._left_out(captured)

    def _left_out(self, captured: Captured) -> str:
        for found in captured.changes:
            if found.is_submodule and not found.deleted and self._holds_files(found.path):
                return f"{found.path} is a repository of its own, whose files git does not take in"
            if found.path.rpartition("/")[2] == ".gitignore" and (ignored := query.ignored_files(self.files)):
                return f"{found.path} was changed by the agent, and {ignored[0]} is ignored now"
        return ""

    def _holds_files(self, path: str) -> bool:
        """Tell whether a submodule's folder holds anything: one that only a patch has named is empty."""
        place = self.folder / path
        return place.is_dir() and not place.is_symlink() and any(place.iterdir())
