"""What the page shows of a run beside its board, out of the run's folder and its repository."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.board.schema import is_name
from orchestrator.errors import UsageError
from orchestrator.git import query
from orchestrator.git.patch import readable_patch
from orchestrator.inbox import send
from orchestrator.journal.journal import is_free, state_in

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.git.repository import Repository
    from orchestrator.inbox import Message
    from orchestrator.model.state import TaskState

__all__ = ["RunFiles"]

_LONGEST_TRANSCRIPT = 1024 * 1024  # bytes, the last ones
_LONGEST_DIFF = 512 * 1024  # characters, the first ones
_AT_ONCE = 20  # files that are compared by one git, so that a diff without bounds is never held
_CUT = "\n[the rest is left out: git diff {} {}]\n"


@dataclass(frozen=True, slots=True)
class RunFiles:
    """One run, worked on or not; see `routes.PageSource`."""

    folder: Path
    repository: Repository

    def transcript(self, task: str, generation: int | None) -> bytes | None:
        """Return the whole lines among the last MiB of an attempt's transcript; None if there is none."""
        if not is_name(task):
            return None
        if generation is None:
            known = self._task(task)
            generation = known.generation if known else 0
        return _tail(self.folder / "transcripts" / f"{task}.gen-{generation}.jsonl")

    def diff(self, task: str) -> str | None:
        """Return what the newest attempt at a task has changed, as far as it is kept: of its end, else of its last snapshot."""
        state = self._task(task)
        if state is None or state.attempt is None:
            return None
        base, attempt, git = state.attempt.commit, state.attempt, self.repository.own
        ends = [f"refs/orch/{self.folder.name}/{task}/gen-{attempt.generation}/snapshot"]
        if state.kept is not None and state.kept.generation == attempt.generation:
            ends.insert(0, state.kept.commit)
        head = next((found for name in ends if (found := query.resolve(git, name)) is not None), None)
        if head is None or query.resolve(git, base) is None:
            return None
        paths = [change.path for change in query.changed_paths(git, base, head)]
        text = ""
        for first in range(0, len(paths), _AT_ONCE):
            text += readable_patch(git, base, head, paths[first : first + _AT_ONCE]).decode("utf-8", "replace")
            if len(text) > _LONGEST_DIFF:
                return text[:_LONGEST_DIFF] + _CUT.format(base[:12], head[:12])
        return text

    def act(self, message: Message) -> None:
        """Leave a message for the run.

        Raises:
            UsageError: the run is over, or has no such task.
        """
        state = state_in(self.folder / "journal")
        if state.ended is not None and is_free(self.folder / "journal"):
            raise UsageError(f"The run {self.folder.name} is over.")
        if message.kind == "cancel" and message.about not in state.tasks:
            raise UsageError(f"The run {self.folder.name} has no task {message.about[:100]}.")
        send(self.folder, message)

    def _task(self, task: str) -> TaskState | None:
        return state_in(self.folder / "journal").tasks.get(task)


def _tail(path: Path) -> bytes | None:
    """Return the whole lines at the end of an ordinary file; None if there is none."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            return None
        left_out = max(status.st_size - _LONGEST_TRANSCRIPT, 0)
        file.seek(left_out)
        content = file.read(_LONGEST_TRANSCRIPT)
    return content.partition(b"\n")[2] if left_out else content
