"""The worktree in which gates run: it is moved from one candidate to the next, and what a gate leaves in it is put away.

Agents run as the same user and may do anything to the folder's name. So git works in the folder that was opened when it was
made, wherever its name leads now: a link in its place is not followed into somebody else's files.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import GitError, WorkspaceError
from orchestrator.files import folder_id
from orchestrator.git import change
from orchestrator.worktrees.intake import refuse_another_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.git.command import Git
    from orchestrator.git.parse import TreeId

__all__ = ["GateFolder", "opened"]


@dataclass(slots=True, kw_only=True)
class GateFolder:
    """A folder that holds one commit at a time, exactly; nothing in it is anybody's work."""

    folder: Path
    _files: Git
    _record: Path
    _identity: tuple[int, int] | None
    _exact: str | None
    """The commit that it holds, if nothing but git has worked here since."""

    async def hold(self, commit: str) -> TreeId:
        """Make the folder hold exactly a commit, no file more, and return the tree that it really holds.

        If it was tidied since the last gate, only the paths are touched in which the two commits differ.

        Raises:
            WorkspaceError: it is not the folder that was made.
            GitError: a gate has left what cannot be removed.
        """

        def move() -> TreeId:
            previous, self._exact = self._exact, None
            if previous and change.move_detached(self._files, self._record, previous, commit):
                return change.write_tree(self._files)
            return self._clean(commit)

        return await asyncio.to_thread(self._safely, move)

    async def tidy(self, commit: str) -> None:
        """Put away what a gate has left beside a commit's files, so that the next `hold` is quick.

        What cannot be put away is left to that, which will say so.
        """
        with contextlib.suppress(GitError, WorkspaceError, OSError):  # the last: a full disk
            await asyncio.to_thread(self._safely, lambda: self._clean(commit))
            self._exact = commit

    def _safely(self, deed: Callable[[], TreeId]) -> TreeId:
        refuse_another_folder(self.folder, self._identity)
        change.unlock_index(self._files)
        try:
            return deed()
        except GitError:
            refuse_another_folder(self.folder, self._identity)  # the better reason, if it was taken away meanwhile
            raise

    def _clean(self, commit: str) -> TreeId:
        change.reset_detached(self._files, self._record, commit)
        return change.stage_everything(self._files)


@contextmanager
def opened(folder: Path, files: Git, record: Path, commit: str) -> Iterator[GateFolder]:
    """Give the worktree in `folder`, which was just made at a commit with this index and git's record, to gates."""
    identity = folder_id(folder)
    if not sys.platform.startswith("linux"):  # no other system leads from an open folder to it by a path
        yield GateFolder(folder=folder, _files=files, _record=record, _identity=identity, _exact=commit)
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        there = replace(files, cwd=Path(f"/proc/self/fd/{handle}"), work_tree=Path())
        yield GateFolder(folder=folder, _files=there, _record=record, _identity=identity, _exact=commit)
    finally:
        os.close(handle)
