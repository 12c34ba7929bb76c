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
import re
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.effects import reached
from orchestrator.errors import DiskError, GitError
from orchestrator.files import delete, folder_id
from orchestrator.git import change, query
from orchestrator.worktrees import gate_folder
from orchestrator.worktrees.disk_use import bytes_taken, said_size
from orchestrator.worktrees.layers import NOT_MOUNTED, Layers
from orchestrator.worktrees.mounts import forget_probes
from orchestrator.worktrees.reuse import make_as_new
from orchestrator.worktrees.technique import LARGE, Technique, fastest_technique
from orchestrator.worktrees.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from orchestrator.git.command import Git
    from orchestrator.git.parse import CommitId
    from orchestrator.git.repository import Repository
    from orchestrator.model.globs import Scope
    from orchestrator.worktrees.gate_folder import GateFolder

_GATE = "gate-"  # and a number that nobody can know before; an attempt's folder has its generation at the end

FolderId = tuple[int, int]
_TIGHT = 5 << 30  # bytes; with less free, what is deleted at the end otherwise is deleted at once

__all__ = ["Worktrees", "is_gate_folder"]


def is_gate_folder(folder: str | Path) -> bool:
    """Tell by its name whether gates ran in a folder; nothing in it is anybody's work."""
    return re.fullmatch(rf"{_GATE}[0-9]+", Path(folder).name) is not None


@dataclass(slots=True, kw_only=True)
class _Added:
    """A worktree that was just made: its folder, a git on it, git's record of it, and how it was made."""

    folder: Path
    files: Git
    admin: Path
    technique: Technique


class Worktrees:
    """Makes and removes the worktrees of one run, below `home`; without a `technique`, in the fastest way that works."""

    def __init__(
        self, repository: Repository, home: Path, indexes: Path, notice: Callable[[str], None],
        technique: Technique | None = None,
    ) -> None:  # fmt: skip
        self._repository = repository
        self._home = home
        self._indexes = indexes
        self._notice = notice
        self._technique = technique
        self._layers = Layers(repository, home)
        self._large = False
        self._idle: list[tuple[str, FolderId]] = []  # worktrees in the trash that may be used again, by their old names
        self._at_work = 0
        self._one_by_one, self._one_gone = asyncio.Lock(), asyncio.Event()
        self._submodules: frozenset[str] | None = None

    @contextlib.asynccontextmanager
    async def attempt(
        self, name: str, commit: CommitId, scope: Scope, *, disk: int | None = None
    ) -> AsyncIterator[Workspace]:
        """Hand out a worktree at a commit, for work in a scope; it is removed afterwards if all in it is kept.

        If all worktrees of the run would take more than `disk` bytes, this waits until others have gone.

        Raises:
            DiskError: there are no others, and still there is no room.
        """
        async with self._one_by_one if disk is not None else contextlib.nullcontext():
            if disk is not None:
                await self._wait_for_room(name, commit, disk)
            added = await asyncio.to_thread(self._make, name, commit, from_pool=True)
            self._at_work += 1
        try:
            space = self._space(added, commit, scope)
            try:
                yield space
            finally:
                await self.close(space)
        finally:
            self._at_work -= 1
            self._one_gone.set()

    async def _wait_for_room(self, name: str, commit: CommitId, disk: int) -> None:
        self._one_gone.clear()
        while why := await asyncio.to_thread(self._lack_of_room, commit, disk):
            if not self._at_work and not self._one_gone.is_set():
                raise DiskError(why, hint="Raise worktree.disk and go on with `orch resume --plan`, or make room.")
            if not self._one_gone.is_set():
                self._notice(f"{name} waits until another worktree has gone. {why}")
            await self._one_gone.wait()
            self._one_gone.clear()

    def _lack_of_room(self, commit: CommitId, disk: int) -> str:
        """Return why there is no room for one more worktree, or an empty text; trash is deleted if it is in the way."""
        self._home.mkdir(parents=True, exist_ok=True)
        for empty_trash in (False, True):
            if empty_trash:
                self._idle.clear()
                self._empty_trash()
            grows = self._chosen(commit) is not Technique.OVERLAY and not self._idle
            needed = query.size_of(self._repository.objects, commit) if grows else 0
            taken = bytes_taken(self._home) + self._layers.bytes_taken()
            free = shutil.disk_usage(self._home).free
            if taken + needed <= disk and needed <= free:
                return ""
        return (
            f"The worktrees of this run take {said_size(taken)}, one more takes {said_size(needed)}; worktree.disk in the"
            f" plan allows {said_size(disk)}, and {said_size(free)} are free."
        )

    async def adopt(self, name: str, commit: CommitId, scope: Scope) -> Workspace | None:
        """Return the worktree of an attempt whose orchestrator has gone; None if there is none, or it cannot be mounted."""
        folder, index = self._home / name, self._indexes / name
        failed = await asyncio.to_thread(self._layers.bring_back)
        record = await asyncio.to_thread(self._record_of, folder)
        if folder in failed:
            self._notice(
                f"The folder {folder} is kept: it cannot be mounted, and {NOT_MOUNTED} in it says where its files are."
            )
            return None
        if self._layers.is_empty_shell(folder):
            await self.discard(name)
            return None
        if record is None or not folder.is_dir():
            return None
        files = self._repository.objects.at(work_tree=folder, index=index)
        change.unlock_index(files)
        if not index.is_file():
            await asyncio.to_thread(files.run, "read-tree", commit)
        technique = Technique.OVERLAY if self._layers.of(name) else Technique.PLAIN
        return self._space(_Added(folder=folder, files=files, admin=record, technique=technique), commit, scope)

    def _space(self, added: _Added, commit: CommitId, scope: Scope) -> Workspace:
        if self._submodules is None:  # once: those that change during the run show as changes
            self._submodules = query.submodules(self._repository.objects, commit)
        return Workspace(
            folder=added.folder, commit=commit, repository=self._repository, files=added.files, admin=added.admin,
            identity=folder_id(added.folder), submodules=self._submodules, scope=scope, technique=added.technique,
        )  # fmt: skip

    async def close(self, space: Workspace) -> None:
        """Remove a worktree if all in it is kept elsewhere; else leave it, and say why."""
        if space.keep and os.path.lexists(space.folder):  # noqa: ASYNC240 - a look, no more; else it was deleted by hand
            self._notice(f"The folder {space.folder} is kept: {space.keep}.")
        else:
            await asyncio.to_thread(
                self._remove, space.folder, space.admin, again=None if space.keep else space.identity
            )

    async def discard(self, name: str) -> None:
        """Remove a worktree in which no agent ever worked, as far as it was made."""
        await asyncio.to_thread(self._discard, self._home / name)

    async def discard_gates(self) -> None:
        """Remove every folder in which gates of this run ran."""
        for folder in self._home.glob(f"{_GATE}*"):
            if is_gate_folder(folder):
                await self.discard(folder.name)

    def leftovers(self) -> list[str]:
        """Return the names of the worktrees that are here, after what was being removed is gone for good."""
        self._delete_drafts()
        self._layers.bring_back()
        if not self._home.is_dir():
            return []
        self._empty_trash()
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

    def _delete_drafts(self) -> None:  # of records, which a kill has left half made or half deleted
        with change.file_lock(self._repository.runs_folder / "worktrees.lock"):  # whoever makes one holds it
            for draft in self._repository.runs_folder.glob(".worktree-*"):
                delete(draft)

    def _discard(self, folder: Path) -> None:
        record = self._record_of(folder)
        self._delete_drafts()
        with change.file_lock(self._repository.runs_folder / "worktrees.lock"):
            if record is not None:
                self._forget(record)
        self._layers.discard(folder)
        delete(folder)

    @contextlib.asynccontextmanager
    async def gates(self, commit: CommitId) -> AsyncIterator[GateFolder]:
        """Hand out a new folder in which this run's gates run; nothing in it is anybody's work."""
        name = f"{_GATE}{secrets.randbelow(10**9):09}"
        added = await asyncio.to_thread(self._make, name, commit, from_pool=False)
        try:
            with gate_folder.opened(added.folder, added.files, added.admin, commit) as opened:
                yield opened
        finally:
            await asyncio.to_thread(self._remove, added.folder, added.admin)

    def _make(self, name: str, commit: CommitId, *, from_pool: bool) -> _Added:
        self._home.mkdir(parents=True, exist_ok=True)
        technique = self._chosen(commit)
        files = self._repository.objects.at(work_tree=self._home / name, index=self._indexes / name)
        change.unlock_index(files)
        if technique is Technique.OVERLAY and (admin := self._overlay(name, files, commit)):
            return self._filled(files, admin, technique)
        if from_pool and technique is Technique.POOL and (old := self._from_pool(files, commit)):
            return self._filled(files, self._register(name, commit, made_of=old), technique)
        admin = self._register(name, commit)
        try:
            change.checkout(files, commit)
        except BaseException:
            self._remove(self._home / name, admin)  # nobody has been there
            raise
        return self._filled(files, admin, Technique.PLAIN)

    def _filled(self, files: Git, admin: Path, technique: Technique) -> _Added:
        assert files.index is not None
        assert files.work_tree is not None
        shutil.copyfile(files.index, admin / "index")  # the agent's own git starts from a clean status
        reached("worktree-filled")
        return _Added(folder=files.work_tree, files=files, admin=admin, technique=technique)

    def _chosen(self, commit: CommitId) -> Technique:
        if self._technique is None:
            files = query.count_files(self._repository.objects, commit)
            self._large = files >= LARGE  # then the template is worth its room, for the next run
            self._technique = fastest_technique(self._home, files)
        return self._technique

    def _register(self, name: str, commit: CommitId, *, made_of: Path | None = None) -> Path:
        with change.file_lock(self._repository.runs_folder / "worktrees.lock"):
            return change.add_worktree(self._repository, self._home / name, commit, made_of=made_of)

    def _overlay(self, name: str, files: Git, commit: CommitId) -> Path | None:
        """Make a worktree of a template and a layer; None if that cannot be, and nothing of it is left then."""
        folder = self._home / name
        try:
            layer, template = self._layers.add(name, commit)
            admin = self._register(name, commit)
            (folder / ".git").rename(layer.upper / ".git")
            layer.mount(folder)
            reached("layer-mounted")
            assert files.index is not None
            shutil.copyfile(template.index, files.index)
            if template.commit != commit:
                files.run("read-tree", "-m", "-u", template.commit, commit)
        except (OSError, GitError):
            self._discard(folder)
            return None
        return admin

    def _from_pool(self, files: Git, commit: CommitId) -> Path | None:
        """Return an old worktree without a pointer that holds exactly a commit now, and give its index to `files`."""
        assert files.index is not None
        while self._repository.refs_in_files and self._idle:
            old, identity = self._idle.pop()
            place, index = self._trash(old), self._indexes / old
            try:
                if folder_id(place) == identity and make_as_new(place):
                    there = files.at(work_tree=place, index=index)
                    change.unlock_index(there)
                    there.run("read-tree", "--reset", "-u", commit)
                    there.run("clean", "-ffdxq")
                    index.rename(files.index)
                    return place
            except (OSError, GitError):
                continue  # it goes with the rest of the trash
        return None

    def _trash(self, name: str) -> Path:
        return self._home / f".{name}.trash"

    def _remove(self, folder: Path, admin: Path, *, again: FolderId | None = None) -> None:
        # Out of the way first: a half-deleted worktree must never look like one. Then what `git worktree remove` deletes:
        # the one record that git made for it, known from before the agent could change the pointer to another's. An agent
        # may have taken either away, or put a link there; then there is less to do, and nothing that was refused by it.
        trash = self._trash(folder.name)
        layered = self._layers.of(folder.name) is not None
        with contextlib.suppress(OSError):
            self._layers.take_down(folder, trash)
            folder.rename(trash / "folder" if layered else trash)
        if os.path.lexists(folder):  # on a disk that is read-only now: whoever takes the run over finds it as it is
            return
        reached("worktree-trashed")
        with change.file_lock(self._repository.runs_folder / "worktrees.lock"):
            self._forget(admin)
        reached("worktree-forgotten")
        if again and not layered and self._technique is Technique.POOL:
            self._idle.append((folder.name, again))
        elif shutil.disk_usage(self._home).free < _TIGHT:
            delete(trash)

    def tidy(self) -> None:
        """Delete what was removed in the course of the run, and what only a run under way needs.

        Not earlier: where a file system has no journal, many deleted files make new ones slow (measured: ext4, ten times).
        """
        self._idle.clear()
        self._empty_trash()
        reached("worktree-removed")
        self._layers.clear(keep_newest=self._large)
        for place in (self._home, self._home.parent):
            with contextlib.suppress(OSError):  # it holds a folder that was kept, or another run's
                place.rmdir()

    def _empty_trash(self) -> None:
        forget_probes(self._home)
        for trash in self._home.glob(".*.trash"):
            delete(trash)
