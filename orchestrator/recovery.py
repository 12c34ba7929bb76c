"""Taking a run over from an orchestrator that has gone: what the journal says, held against what is really there.

Whatever instant it was killed at, afterwards the base branch and its checkouts agree, what landed is known as landed, no
process of an agent runs on, the work of every attempt is on a branch, and no worktree or record of one is left over.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from orchestrator.crew import Attempt, keep, note_kept
from orchestrator.errors import GitError, WorkspaceError
from orchestrator.git import query
from orchestrator.git.parse import CommitId
from orchestrator.model import events as happened
from orchestrator.model.claims import GrantState
from orchestrator.model.outcome import Outcome, OutcomeStatus
from orchestrator.model.state import TaskStatus
from orchestrator.process import end_group_of, processes_of

if TYPE_CHECKING:
    from orchestrator.context import RunContext
    from orchestrator.model.state import RunState, TaskState
    from orchestrator.worktrees import Workspace

__all__ = ["reconcile"]

_CUT_SHORT = "its orchestrator ended before it did"


async def reconcile(context: RunContext, state: RunState) -> None:
    """Settle everything that was under way, and say so in events; the run can then go on as if it had never stopped."""
    await _end_processes(context, state)
    landed = _settle_base(context, state)
    for task_id, task in state.tasks.items():
        if task.status is TaskStatus.WORKING:
            await _end_attempt(context, task_id, task)
        elif task.status is TaskStatus.LANDING and task_id != landed:
            assert task.submitted is not None, "only submitted work is landed"
            context.emit(
                happened.Submitted(
                    task=task_id,
                    generation=task.generation,
                    commit=task.submitted,
                    files=task.kept.files if task.kept else 0,
                )
            )
    await _clear_folders(context)


async def _end_processes(context: RunContext, state: RunState) -> None:
    """End what agents and gates of the dead orchestrator still run: what was written down, and what says whose it is.

    Both, because a kill may come between the start of a process and its entry, and a process may clear its environment.
    """
    written = {p.pid: p.started for task in state.tasks.values() for p in task.processes}
    for pid, started in {**written, **processes_of("ORCH_RUN", context.run)}.items():
        if await end_group_of(pid, started):
            context.emit(happened.Noticed(text=f"The process {pid} of this run ran on and was ended."))


def _settle_base(context: RunContext, state: RunState) -> str | None:
    """Finish, or take back, a move of the base branch that was under way; return the task that has landed by it."""
    moving = state.moving
    if moving is None:
        return None
    old, new = CommitId(moving.old), CommitId(moving.new)
    if not _is_on_base(context, moving.new):
        context.base.take_back(old, new)
    elif moving.task is None:
        context.emit(
            happened.ContractsPublished(commit=moving.new, files=len(context.loaded.plan.contracts.files), seconds=0.0)
        )
    else:
        generation = state.tasks[moving.task].generation
        tree = query.tree_of(context.repository.objects, moving.new)
        context.emit(
            happened.Landed(task=moving.task, generation=generation, commit=moving.new, tree=tree, seconds=0.0)
        )
        context.hub.release(moving.task, GrantState.DONE, commit=moving.new)
        return moving.task
    return None


def _is_on_base(context: RunContext, commit: str) -> bool:
    tip = context.base.find_tip()
    return tip is not None and query.is_ancestor(context.repository.own, commit, tip)


async def _end_attempt(context: RunContext, task_id: str, task: TaskState) -> None:
    """Keep what an attempt left, and let its next generation begin."""
    attempt = task.attempt
    planned = context.loaded.plan.task(task_id)
    this = Attempt(
        context=context,
        task=planned,
        generation=task.generation,
        session=attempt.session if attempt else "",
        commit=CommitId(attempt.commit if attempt else ""),
        briefing=_briefing(context, f"{task_id}.gen-{task.generation}"),
    )
    if attempt is None or attempt.generation != task.generation:
        await context.worktrees.discard(this.name)  # the agent had not begun
    else:
        space = await context.worktrees.adopt(this.name, this.commit)
        if space is not None:
            await _keep_all(this, space)
    this.refuse(_CUT_SHORT, f"The attempt was cut short: {_CUT_SHORT}. Go on from what it left.", stopped=True)


def _briefing(context: RunContext, name: str) -> str:
    file = context.folder / "prompts" / f"{name}.md"
    return file.read_text() if file.is_file() else ""


async def _keep_all(this: Attempt, space: Workspace) -> None:
    try:
        captured = await space.capture()
        outcome = Outcome(status=OutcomeStatus.STOPPED, reason=_CUT_SHORT)
        commit = await asyncio.to_thread(keep, this, space, captured, outcome)
        note_kept(this, commit, len(captured.changes))
    except (GitError, WorkspaceError) as error:
        space.keep = f"git cannot take in what the agent left ({error})"
    await this.context.worktrees.close(space)


async def _clear_folders(context: RunContext) -> None:
    """Remove worktrees of attempts that had ended, once it is proved that their branch has all that is in them."""
    await context.worktrees.discard("gate")
    for name in context.worktrees.leftovers():
        task_id, _, generation = name.rpartition(".gen-")
        branch = f"refs/heads/orch/{context.run}/{task_id}/gen-{generation}"
        commit = query.resolve(context.repository.own, branch)
        space = await context.worktrees.adopt(name, commit) if commit else None
        if space is None or commit is None:
            continue  # kept on purpose, or not ours: it stays
        try:
            captured = await space.capture()
        except (GitError, WorkspaceError):
            continue
        if not captured.changes and captured.tree == query.tree_of(context.repository.objects, commit):
            space.kept_as(captured, {})
            await context.worktrees.close(space)
