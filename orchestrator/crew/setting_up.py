"""What a worktree gets before its agent starts, as the plan says: files of the checkout, ports, and a command that is run.

What this leaves must be ignored by git: nobody could tell it from the agent's work otherwise.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.agents.command import run_command
from orchestrator.crew.ports import leased_ports
from orchestrator.errors import WorkspaceError
from orchestrator.git import query
from orchestrator.model.outcome import Outcome, OutcomeStatus
from orchestrator.model.text import printable
from orchestrator.worktrees.carry_over import carry_over

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.agents.base import Agent, Assignment
    from orchestrator.model.plan import WorktreeSetup
    from orchestrator.worktrees.workspace import Workspace

__all__ = ["set_up_and_work"]


async def set_up_and_work(
    agent: Agent, assignment: Assignment, space: Workspace, setup: WorktreeSetup, remark: Callable[[str], None]
) -> Outcome:
    """Give an attempt what the plan says, then let its agent work; the ports are its own for as long as that takes.

    If something of it cannot be given, the attempt has failed, and its agent does not start.
    """
    started = time.monotonic()
    try:
        with leased_ports(setup.ports) as ports:
            own = replace(assignment, ports=ports)
            for text in await asyncio.to_thread(_copy, space, setup):
                remark(text)
            failed = await _run(own, space, setup) if setup.setup is not None else None
            return failed or await agent.work(own)
    except WorkspaceError as error:
        return Outcome(status=OutcomeStatus.FAILED, reason=error.message, seconds=time.monotonic() - started)


def _copy(space: Workspace, setup: WorktreeSetup) -> list[str]:
    try:
        return carry_over(space.repository.own, space.files, setup.copied, space.scope)
    except OSError as error:
        raise WorkspaceError(f"{error.filename} cannot be copied into the worktree: {error.strerror}.") from error


async def _run(assignment: Assignment, space: Workspace, setup: WorktreeSetup) -> Outcome | None:
    """Run the command that sets a worktree up; return how the attempt ended with it, None if it can begin."""
    assert setup.setup is not None
    limits = assignment.task.limits.model_copy(update={"wall": setup.timeout, "stall": None})
    task = assignment.task.model_copy(update={"limits": limits})
    whole = replace(assignment.confinement, whole=True)  # what it makes lies outside every scope
    outcome = await run_command(replace(assignment, task=task, confinement=whole), setup.setup, left=setup.timeout)
    if not outcome.done:
        return replace(outcome, reason=f"worktree.setup: {outcome.reason}", final=False)
    changed = await asyncio.to_thread(query.unstaged_files, space.files)
    if not changed:
        return None
    reason = (
        f"worktree.setup has changed {printable(changed[0])}, which git does not ignore; let it write only what"
        " .gitignore names"
    )
    return Outcome(status=OutcomeStatus.FAILED, reason=reason, seconds=outcome.seconds)
