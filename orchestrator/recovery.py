"""Taking a run over from an orchestrator that has gone: what the journal says, held against what is really there.

Whatever instant it was killed at, afterwards the base branch and its checkouts agree, what landed is known as landed, no
process of an agent runs on, the work of every attempt is on a branch, and no worktree or record of one is left over.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from orchestrator.crew.crew import Attempt, take_in
from orchestrator.errors import ClaimRefused, GitError, WorkspaceError
from orchestrator.git import query
from orchestrator.git.gc_lock import no_gc
from orchestrator.git.parse import CommitId
from orchestrator.landing.candidate import forget_candidates
from orchestrator.model import events as happened
from orchestrator.model.claims import GrantState
from orchestrator.model.outcome import Outcome, OutcomeStatus
from orchestrator.model.reconcile import CutOff, GiveUp, LandAgain, NoteContracts, NoteLanded, TakeBack, to_settle
from orchestrator.processes.orphans import processes_in
from orchestrator.processes.process import end_group_of, marked_processes
from orchestrator.processes.table import still_there

if TYPE_CHECKING:
    from orchestrator.context import RunContext
    from orchestrator.model.events import AttemptStarted
    from orchestrator.model.reconcile import Settlement
    from orchestrator.model.state import RunState

__all__ = ["reconcile"]

_CUT_SHORT = "its orchestrator ended before it did"
_GIVEN_UP = "the board gave it up, or lost it, before its orchestrator ended"


async def reconcile(context: RunContext, state: RunState) -> None:
    """Settle everything that was under way, and say so in events; the run can then go on as if it had never stopped."""
    await _end_processes(context, state)
    for text in context.guard.settle():
        context.emit(happened.Noticed(text=text))
    if state.moving is not None:
        context.base.unlock()
    moved = state.moving is not None and _is_on_base(context, state.moving.new)
    given_up = {t for t, task in state.tasks.items() if task.submitted and not _counts(context, t, task.generation)}
    for settlement in to_settle(state, moved=moved, given_up=given_up):
        await _carry_out(context, settlement)
    async with no_gc(context.repository.common_dir):  # what the dead orchestrator has left of this lock goes with it
        forget_candidates(context)
    await _clear_folders(context, state)


async def _end_processes(context: RunContext, state: RunState) -> None:
    """End what agents and gates of the dead orchestrator still run: what was written down, says whose it is, or is where it was.

    All three, because a kill may come between the start of a process and its entry, and a process may leave its group, clear
    its environment, or go elsewhere.
    """
    noted = (p for task in state.tasks.values() for p in task.processes)
    written = [process for p in noted if (process := still_there(p.pid, p.started, p.boot))]
    marked = [p for p, run in marked_processes(context.repository.runs_folder).items() if run == context.run]
    working = processes_in(context.base.agents_home / context.run)
    for process in dict.fromkeys((*written, *marked, *working)):
        if await end_group_of(process.pid, process.started):
            context.emit(happened.Noticed(text=f"The process {process.pid} of this run ran on and was ended."))


async def _carry_out(context: RunContext, settlement: Settlement) -> None:
    match settlement:
        case NoteContracts(commit):
            files = len(context.loaded.plan.contracts.files)
            context.emit(happened.ContractsPublished(commit=commit, files=files, seconds=0.0))
        case NoteLanded(task, generation, commit):
            tree = query.tree_of(context.repository.objects, commit)
            context.emit(happened.Landed(task=task, generation=generation, commit=commit, tree=tree, seconds=0.0))
            context.hub.release(task, GrantState.DONE, commit=commit)
        case TakeBack(old, new):
            context.base.take_back(CommitId(old), CommitId(new))
        case CutOff():
            await _end_attempt(context, settlement)
        case GiveUp(task, generation):
            context.refuse(task, generation, _GIVEN_UP, f"The work was not landed: {_GIVEN_UP}.", stopped=True)
        case LandAgain(task, generation, commit, files):
            context.emit(happened.Submitted(task=task, generation=generation, commit=commit, files=files))


def _is_on_base(context: RunContext, commit: str) -> bool:
    tip = context.base.find_tip()
    return tip is not None and query.is_ancestor(context.repository.own, commit, tip)


def _counts(context: RunContext, task: str, generation: int) -> bool:
    """Tell whether work of that generation may land, as the board remembers it."""
    try:
        context.hub.fence(task, generation)
    except ClaimRefused:
        return False
    return True


async def _end_attempt(context: RunContext, cut: CutOff) -> None:
    """Keep what an attempt left, and let its next generation begin."""
    this = _attempt(context, cut.task, cut.generation, cut.attempt)
    if cut.attempt is None:
        await context.worktrees.discard(this.name)
    else:
        kept = query.resolve(this.context.repository.own, f"refs/heads/{this.branch}")
        if kept is None and not os.path.lexists(cut.attempt.worktree):  # noqa: ASYNC240 - a look, no more
            this.remark(
                f"the folder of generation {cut.generation} is gone; `orch recover` lists what snapshots have of it"
            )
        await _keep_all(this)
    this.refuse(_CUT_SHORT, f"The attempt was cut short: {_CUT_SHORT}. Go on from what it left.", stopped=True)


def _briefing(context: RunContext, name: str) -> str:
    file = context.folder / "prompts" / f"{name}.md"
    return file.read_text() if file.is_file() else ""


async def _keep_left(context: RunContext, state: RunState, name: str) -> None:
    """Keep what the newest attempt at a task left, if a second signal or a fault of the machine cut off its end."""
    for task_id, task in state.tasks.items():
        if task.attempt is not None and name == f"{task_id}.gen-{task.attempt.generation}":
            await _keep_all(_attempt(context, task_id, task.attempt.generation, task.attempt))


def _attempt(context: RunContext, task: str, generation: int, began: AttemptStarted | None) -> Attempt:
    return Attempt(
        context=context,
        task=context.loaded.plan.task(task),
        generation=generation,
        session=began.session if began else "",
        commit=CommitId(began.commit if began else ""),
        briefing=_briefing(context, f"{task}.gen-{generation}"),
    )


async def _keep_all(this: Attempt) -> None:
    space = await this.context.worktrees.adopt(this.name, this.commit, this.context.boundary(this.task.id).scope)
    if space is None:
        return
    with contextlib.suppress(GitError, WorkspaceError):  # then the folder stays, and it is said why
        await take_in(this, space, Outcome(status=OutcomeStatus.STOPPED, reason=_CUT_SHORT))
    await this.context.worktrees.close(space)


async def _clear_folders(context: RunContext, state: RunState) -> None:
    """Remove worktrees of attempts that had ended, once all that is in them is proved to be on their branch, or put there."""
    await context.worktrees.discard_gates()
    for name in context.worktrees.leftovers():
        task_id, _, generation = name.rpartition(".gen-")
        branch = f"refs/heads/orch/{context.run}/{task_id}/gen-{generation}"
        commit = query.resolve(context.repository.own, branch)
        boundary = context.boundaries.get(task_id)
        if boundary is None:
            continue  # not ours, or of a task that the plan has no more: it stays
        if commit is None:
            await _keep_left(context, state, name)
            continue
        space = await context.worktrees.adopt(name, commit, boundary.scope)
        if space is None:
            continue
        try:
            captured = await space.capture()
        except (GitError, WorkspaceError):
            continue
        if not captured.changes and captured.tree == query.tree_of(context.repository.objects, commit):
            space.kept_as(captured, {})
            await context.worktrees.close(space)
