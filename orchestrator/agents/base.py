"""What every agent is to the rest of the program: something that is given an assignment and comes back with an outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from orchestrator.agents.transcript import Transcript
    from orchestrator.model.outcome import Outcome
    from orchestrator.model.plan import Task

__all__ = ["Agent", "Assignment", "Desk"]


class Desk(Protocol):
    """What an agent can do on the shared board, for the one task that it holds."""

    async def claim(self, todo: str) -> None:
        """Claim a TODO of the task.

        Raises:
            ClaimRefused: somebody else holds it, or it is done.
        """
        ...

    async def done(self, todo: str) -> None:
        """Say that a claimed TODO is done.

        Raises:
            ClaimRefused: it was not claimed, or was taken back.
        """
        ...

    async def report(self, text: str) -> None:
        """Say what is going on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One attempt at one task, with all that an agent may use for it.

    `run_folder` is named as the run is; `folder` is its worktree, the only place it may write; `briefing` is what it is
    told, also in `briefing_file`; `sources` are the plan's own files that script steps name; `on_process` is told of each
    process that is started; `stop` is set when it must end politely.
    """

    run_folder: Path
    task: Task
    generation: int
    session: str
    branch: str
    commit: str
    folder: Path
    briefing: str
    briefing_file: Path
    sources: Mapping[str, bytes]
    desk: Desk
    transcript: Transcript
    apply_patch: Callable[[bytes], Awaitable[str]]
    on_process: Callable[[int], None]
    stop: asyncio.Event


class Agent(Protocol):
    """Something that works on a task."""

    @property
    def model(self) -> str:
        """The model that writes, as `name@version`, for provenance."""
        ...

    async def work(self, assignment: Assignment) -> Outcome:
        """Work until done, failed, out of limits, or stopped; leave the result as files in the assignment's folder.

        A failure is a returned outcome. If the coroutine is cancelled, every process that it started is killed first.
        """
        ...
