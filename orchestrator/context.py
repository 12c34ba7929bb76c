"""What every part of a running plan works with: the plan, the doors to the outside, and where to say what happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from orchestrator.agents.base import Agent
    from orchestrator.base_branch import BaseBranch
    from orchestrator.board.hub import Hub
    from orchestrator.git.repository import Repository
    from orchestrator.model.boundary import Boundary
    from orchestrator.model.events import Event
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
    emit: Callable[[Event], None]
    settle: Callable[[], Awaitable[None]]
    stop_agents: asyncio.Event
    stop_gates: asyncio.Event
