"""What every part of a running plan works with: the plan, the doors to the outside, and where to say what happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.model import events as happened
from orchestrator.model.claims import GrantState

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from orchestrator.agents.base import Agent
    from orchestrator.base_branch import BaseBranch
    from orchestrator.board.hub import Hub
    from orchestrator.git.repository import Repository
    from orchestrator.model.boundary import Boundary
    from orchestrator.planfile import LoadedPlan
    from orchestrator.worktrees import Worktrees

__all__ = ["RunContext"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """One run.

    `emit` writes an event down, and `settle` waits until all are on the disk, before a deed that others can see.
    `stop_agents` and `stop_gates` are set when they must end.
    """

    run: str
    folder: Path
    loaded: LoadedPlan
    repository: Repository
    base: BaseBranch
    worktrees: Worktrees
    hub: Hub
    agents: Mapping[str, Agent]
    boundaries: Mapping[str, Boundary]
    emit: Callable[[happened.Event], None]
    settle: Callable[[], Awaitable[None]]
    stop_agents: asyncio.Event
    stop_gates: asyncio.Event

    def refuse(
        self, task: str, generation: int, reason: str, feedback: str = "", *, stopped: bool = False, final: bool = False
    ) -> None:
        """Give a generation up: its claim ends, and the next one is told why (`model.events.Refused`)."""
        self.hub.release(task, GrantState.FAILED if final else GrantState.OPEN, note=reason)
        self.emit(
            happened.Refused(
                task=task,
                generation=generation,
                reason=reason,
                feedback=feedback or reason,
                final=final,
                stopped=stopped,
            )
        )
