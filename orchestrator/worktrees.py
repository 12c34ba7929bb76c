"""One isolated worktree an attempt: made, handed out, taken in, and removed only when everything in it is kept elsewhere.

Rules, each from work that other tools lost: outside the repository's folder and inside no other worktree; registered with
git under one lock for the repository, on no branch and without git's own checkout; the orchestrator commits what it finds,
through an index of its own that the agent never saw, so that no flag in the agent's index can hide a file; there is no
`rm -rf` as a way out: what cannot be proved to be kept stays where it is, and the run says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import gate_folder
from orchestrator.effects import reached
from orchestrator.errors import WorkspaceError
from orchestrator.files import delete, folder_id
from orchestrator.git import change, query
from orchestrator.git.durable import sync_objects, sync_ref
from orchestrator.git.parse import decode
from orchestrator.intake import ignored_but_listed, refuse_another_folder, refuse_what_git_cannot_take, remarks_on

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from orchestrator.gate_folder import GateFolder
    from orchestrator.git.command import Git
    from orchestrator.git.parse import Change, CommitId, TreeId
    from orchestrator.git.repository import Repository
    from orchestrator.model.globs import Scope

_GATE = "gate-"  # and a number that nobody can know before; an attempt's folder has its generation at the end

__all__ = ["Captured", "Workspace", "Worktrees"]


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


class Worktrees:
    """Makes and removes the worktrees of one run, below `home`."""

    def __init__(self, repository: Repository, home: Path, indexes: Path, notice: Callable[[str], None]) -> None:
        self._repository = repository
        self._home = home
        self._indexes = indexes
        self._notice = notice
        self._submodules: frozenset[str] | None = None

    @asynccontextmanager
    async def attempt(self, name: str, commit: CommitId, scope: Scope) -> AsyncIterator[Workspace]:
        """Hand out a worktree at a commit, for work in a scope; it is removed afterwards if all in it is kept."""
        folder, files, admin = await self._add(name, commit)
        space = self._space(folder, commit, scope, files, admin)
        try:
            yield space
        finally:
            await self.close(space)

    async def adopt(self, name: str, commit: CommitId, scope: Scope) -> Workspace | None:
        """Return the worktree of an attempt whose orchestrator has gone; None if there is none."""
        folder, index = self._home / name, self._indexes / name
        record = await asyncio.to_thread(self._record_of, folder)
        if record is None or not folder.is_dir():
            return None
        files = self._repository.objects.at(work_tree=folder, index=index)
        change.unlock_index(files)
        if not index.is_file():
            await asyncio.to_thread(files.run, "read-tree", commit)
        return self._space(folder, commit, scope, files, record)

    def _space(self, folder: Path, commit: CommitId, scope: Scope, files: Git, admin: Path) -> Workspace:
        if self._submodules is None:  # once: those that change during the run show as changes
            self._submodules = query.submodules(self._repository.objects, commit)
        return Workspace(
            folder=folder, commit=commit, repository=self._repository, files=files, admin=admin,
            identity=folder_id(folder), submodules=self._submodules, scope=scope,
        )  # fmt: skip

    async def close(self, space: Workspace) -> None:
        """Remove a worktree if all in it is kept elsewhere; else leave it, and say why."""
        if space.keep and os.path.lexists(space.folder):  # noqa: ASYNC240 - a look, no more; else it was deleted by hand
            self._notice(f"The folder {space.folder} is kept: {space.keep}.")
        else:
            await asyncio.to_thread(self._remove, space.folder, space.admin)

    async def discard(self, name: str) -> None:
        """Remove a worktree in which no agent ever worked, as far as it was made."""
        await asyncio.to_thread(self._discard, self._home / name)

    async def discard_gates(self) -> None:
        """Remove every folder in which gates of this run ran."""
        for folder in self._home.glob(f"{_GATE}*"):
            if folder.name.removeprefix(_GATE).isdigit():
                await self.discard(folder.name)

    def leftovers(self) -> list[str]:
        """Return the names of the worktrees that are here, after what was being removed is gone for good."""
        if not self._home.is_dir():
            return []
        for trash in self._home.glob(".*.trash"):
            delete(trash)
        for pointer in self._repository.common_dir.glob("worktrees/*/gitdir"):
            folder = Path(pointer.read_text(errors="replace").strip()).parent
            if folder.parent == self._home and not folder.exists():
                self._forget(pointer.parent)  # git's record of what was that trash
        return sorted(place.name for place in self._home.iterdir() if place.is_dir())

    def _record_of(self, folder: Path) -> Path | None:
        for pointer in self._repository.common_dir.glob("worktrees/*/gitdir"):
            if pointer.read_text(errors="replace").strip() == f"{folder}/.git":
                return pointer.parent
        return None

    def _forget(self, record: Path) -> None:
        """Remove git's record of a worktree at one stroke: a git that lists worktrees fails on one that is half gone."""
        away = Path(tempfile.mkdtemp(prefix=".worktree-", dir=self._repository.runs_folder))
        with contextlib.suppress(OSError):  # an agent may have taken it away
            record.rename(away / "record")
        reached("worktree-forget")
        delete(away)

    def _discard(self, folder: Path) -> None:
        record = self._record_of(folder)
        with change.file_lock(self._repository.runs_folder / "worktrees.lock"):
            for draft in self._repository.runs_folder.glob(".worktree-*"):
                delete(draft)
            if record is not None:
                self._forget(record)
        delete(folder)

    @asynccontextmanager
    async def gates(self, commit: CommitId) -> AsyncIterator[GateFolder]:
        """Hand out a new folder in which this run's gates run; nothing in it is anybody's work."""
        folder, files, admin = await self._add(f"{_GATE}{secrets.randbelow(10**9):09}", commit)
        try:
            with gate_folder.opened(folder, files, admin, commit) as opened:
                yield opened
        finally:
            await asyncio.to_thread(self._remove, folder, admin)

    async def _add(self, name: str, commit: CommitId) -> tuple[Path, Git, Path]:
        folder, index = self._home / name, self._indexes / name
        files = self._repository.objects.at(work_tree=folder, index=index)

        def add() -> Path:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with change.file_lock(self._repository.runs_folder / "worktrees.lock"):
                admin = change.add_worktree(self._repository, folder, commit)
            try:
                change.unlock_index(files)
                change.checkout(files, commit)
                shutil.copyfile(index, admin / "index")  # the agent's own git starts from a clean status
            except BaseException:
                self._remove(folder, admin)  # nobody has been there
                raise
            reached("worktree-filled")
            return admin

        return folder, files, await asyncio.to_thread(add)

    def _remove(self, folder: Path, admin: Path) -> None:
        # Out of the way first: a half-deleted worktree must never look like one. Then what `git worktree remove` deletes:
        # the one record that git made for it, known from before the agent could change the pointer to another's. An agent
        # may have taken either away, or put a link there; then there is less to do, and nothing that was refused by it.
        trash = folder.with_name(f".{folder.name}.trash")
        with contextlib.suppress(OSError):
            folder.rename(trash)
        if os.path.lexists(folder):  # on a disk that is read-only now: whoever takes the run over finds it as it is
            return
        reached("worktree-trashed")
        with change.file_lock(self._repository.runs_folder / "worktrees.lock"):
            self._forget(admin)
        reached("worktree-forgotten")
        delete(trash)
        reached("worktree-removed")
