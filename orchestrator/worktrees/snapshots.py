"""Snapshots of a worktree while its agent is at work: what it has written so far survives the loss of the folder.

Each heartbeat that finds changed files writes the worktree, untracked files too, as a commit on
`refs/orch/<run>/<task>/gen-<n>/snapshot`; its parent is the snapshot before it, so that none is lost. An index of our own is
used, which the agent never sees; a file that has not changed since the last heartbeat is not read. Secret-looking and very large
files are left out and spoken of, and so is everything after the limit of one attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orchestrator.effects import reached
from orchestrator.errors import GitError, WorkspaceError
from orchestrator.git import change, query
from orchestrator.git.gc_lock import no_gc
from orchestrator.worktrees.intake import (
    ignored_but_listed,
    refuse_another_folder,
    refuse_what_git_cannot_take,
    remarks_on,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from orchestrator.git.command import Git
    from orchestrator.git.parse import CommitId, TreeId
    from orchestrator.model.globs import Scope
    from orchestrator.worktrees.workspace import Workspace

__all__ = ["Snapshot", "Snapshots"]

_SHARE = 0.1  # of the time may be spent on looking: where a look takes long, heartbeats are rarer
_MOST_BYTES = 512 * 1024 * 1024  # in all snapshots of one attempt, counted as the size of each changed file
_AUTHOR = "orch snapshot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One snapshot: its commit, how many files have changed since the one before, and what should be said about it."""

    commit: CommitId | None
    files: int
    remarks: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Snapshots:
    """Takes the snapshots of one attempt. `own` moves refs; `files` works on the worktree with the snapshots' own index."""

    own: Git
    git_folder: Path
    files: Git
    identity: tuple[int, int] | None
    submodules: frozenset[str]
    scope: Scope
    ref: str
    last: CommitId
    """The newest snapshot, at first the commit that the attempt started from."""
    tree: TreeId
    _bytes: int = 0
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    _said: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, space: Workspace, ref: str) -> Snapshots:
        """Prepare to take snapshots of a worktree in which nobody has worked yet."""
        assert space.files.index is not None
        index = space.files.index.with_name(f"{space.files.index.name}.snapshot")
        shutil.copyfile(space.files.index, index)
        return cls(
            own=space.repository.own, git_folder=space.repository.common_dir,
            files=replace(space.files, index=index), identity=space.identity,
            submodules=space.submodules, scope=space.scope, ref=ref, last=space.commit,
            tree=query.tree_of(space.repository.objects, space.commit),
        )  # fmt: skip

    async def keep_taking(self, every: float, stop: asyncio.Event, tell: Callable[[Snapshot], Awaitable[None]]) -> None:
        """Look every so many seconds, until told to stop; `tell` hears of each snapshot, and of what is wrong, once."""
        pause = every
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
                return
            started = time.monotonic()
            await self.take_now(tell)
            pause = max(every, (time.monotonic() - started) / _SHARE)

    async def take_now(self, tell: Callable[[Snapshot], Awaitable[None]]) -> None:
        """Look at once; `tell` hears of the snapshot if anything has changed, and of what is wrong, once."""
        async with self._one_at_a_time, no_gc(self.git_folder):
            taken = await asyncio.to_thread(self._try)
        if taken:
            await tell(taken)

    def _try(self) -> Snapshot | None:
        said = ""
        for _ in range(2):  # files come and go while we look
            try:
                return self.take()
            except (GitError, WorkspaceError, OSError) as error:
                said = error.stderr.strip() if isinstance(error, GitError) else str(error)
                self._begin_again()
        remarks = self._new_remarks({"": f"no snapshot could be taken ({said}); the next heartbeat tries again"})
        return Snapshot(commit=None, files=0, remarks=remarks) if remarks else None

    def take(self) -> Snapshot | None:
        """Take a snapshot if anything has changed since the last one; None if nothing has.

        Raises:
            GitError, WorkspaceError, OSError: it cannot be taken now; the worktree and the snapshots before are as they were.
        """
        folder = self.files.work_tree
        assert folder is not None
        refuse_another_folder(folder, self.identity)
        refuse_what_git_cannot_take(folder, self.submodules)
        listed = ignored_but_listed(self.files, self.scope)
        changed = query.unstaged_files(self.files)
        withheld = {path: "it is a repository of its own" for path in changed if path.endswith("/")}
        withheld |= remarks_on(folder, [path for path in (*changed, *listed) if path not in withheld])
        remarks = self._new_remarks({path: f"{path} is left out of snapshots: {why}" for path, why in withheld.items()})
        wanted = {path for path in (*changed, *listed) if path not in withheld}
        if not self._fits(folder, wanted):
            full = f"its snapshots have reached their limit of {_MOST_BYTES >> 20} MiB; no more are taken"
            remarks += self._new_remarks({"full": f"{full}, but what it has at its end is"})
            wanted = set()
        commit = self._write(sorted(wanted)) if wanted else None
        return Snapshot(commit=commit, files=len(wanted), remarks=remarks) if commit or remarks else None

    def _write(self, paths: list[str]) -> CommitId | None:
        change.stage(self.files, paths)
        tree = change.write_tree(self.files)
        if tree == self.tree:
            return None
        commit = change.commit_tree(self.files, tree, [self.last], f"Snapshot of {len(paths)} changed files", _AUTHOR)
        reached("snapshot-take")
        there = query.resolve(self.own, self.ref)
        change.move_ref(self.own, self.ref, commit, there)
        reached("snapshot-taken")
        self.last, self.tree = commit, tree
        return commit

    def _fits(self, folder: Path, paths: set[str]) -> bool:
        """Count the sizes of changed files; once the limit is passed, nothing fits any more."""
        for path in paths:
            with contextlib.suppress(OSError):
                self._bytes += (folder / path).lstat().st_size
        return self._bytes <= _MOST_BYTES

    def _new_remarks(self, found: dict[str, str]) -> tuple[str, ...]:
        new = {key: text for key, text in found.items() if key not in self._said}
        self._said.update(new)
        return tuple(new.values())

    def _begin_again(self) -> None:
        """Read the index anew: what it says may be half done, or the objects that it names may be gone (`git gc`)."""
        with contextlib.suppress(GitError):
            change.unlock_index(self.files)
            self.files.run("read-tree", self.last)
