"""The story of a run: plan → contracts → (crew ∥ landing) → report. A new run and a resumed one differ in how they begin."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.agents.registry import agents_of
from orchestrator.base_branch import open_base
from orchestrator.board.hub import open_board
from orchestrator.context import RunContext
from orchestrator.contracts import write_contracts
from orchestrator.disk_faults import refuse_faulty_disk
from orchestrator.driver import Driver
from orchestrator.effects import reached
from orchestrator.engine import LocalEngine
from orchestrator.errors import BaseBranchError, UsageError
from orchestrator.files import delete
from orchestrator.gating import Gating
from orchestrator.git import query
from orchestrator.git.gc_lock import no_gc
from orchestrator.git.repository import private_git_folder
from orchestrator.journal import Journal
from orchestrator.landing import Landing
from orchestrator.model import events as happened
from orchestrator.model.boundary import boundary_of
from orchestrator.model.claims import GrantState
from orchestrator.model.decide import verdict
from orchestrator.model.independence import Independence
from orchestrator.model.replan import compare
from orchestrator.model.state import TaskStatus
from orchestrator.model.todo import TaskCard
from orchestrator.orphans import adopting
from orchestrator.planfile import contract_files, load_plan, patches_of
from orchestrator.radar import Radar
from orchestrator.recovery import reconcile
from orchestrator.report import write_report
from orchestrator.worktrees import Worktrees
from orchestrator.worktrees_home import worktrees_home

if TYPE_CHECKING:
    from orchestrator.agents.base import Agent
    from orchestrator.base_branch import BaseBranch
    from orchestrator.driver import Recorder
    from orchestrator.git.repository import Repository
    from orchestrator.model.boundary import Boundary
    from orchestrator.model.formats import Report
    from orchestrator.model.state import RunState
    from orchestrator.planfile import LoadedPlan

_TRIES = 20
__all__ = ["Run", "begin_run", "new_run_id", "pinned_plan", "take_over_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that has begun, here or in a process that has gone; `go` does the rest.

    `loaded` is the plan under which it was left, `edited` the one with which it goes on, if that is another.
    """

    name: str
    folder: Path
    loaded: LoadedPlan
    repository: Repository
    base: BaseBranch
    home: Path
    agents: dict[str, Agent]
    jobs: int
    recorder: Recorder
    edited: LoadedPlan | None = None

    async def go(self, *, stop_agents: asyncio.Event, stop_gates: asyncio.Event, heartbeat: float) -> Report:
        """Run to the end and return the report, which is also written to the run's folder.

        Raises:
            BaseBranchError: the base branch, or a checkout of it, is in the way of the contracts.
            LandingError: a promise would have been broken; what has landed is right, and the rest was stopped.
            DiskError: a disk takes nothing more; all was left as a kill leaves it, for whoever takes the run over.
        """
        started = time.monotonic()
        journal, indexes = self.recorder.journal, self.folder / "indexes"
        async with AsyncExitStack() as stack:
            if journal is not None:
                stack.callback(journal.close)
            await stack.enter_async_context(adopting())  # what agents leave behind is ended while the run is still ours
            stack.callback(_tidy, self.repository.objects.git_dir, indexes, self.home / self.name)
            hub = await stack.enter_async_context(open_board(self.folder / "board.log"))
            hub.publish_tasks(TaskCard.of(task) for task in self.loaded.plan.tasks)
            context = RunContext(
                run=self.name, folder=self.folder, loaded=self.loaded, repository=self.repository, base=self.base,
                worktrees=Worktrees(self.repository, self.home / self.name, indexes, self._notice), hub=hub,
                agents=self.agents, emit=self.recorder.emit, settle=self.recorder.settle,
                radar=Radar(self.repository.objects), independence=Independence(self.loaded.plan),
                heartbeat=heartbeat, stop_agents=stop_agents, stop_gates=stop_gates,
                boundaries=_boundaries(self.loaded),
            )  # fmt: skip
            try:
                await reconcile(context, self.recorder.state)  # under the plan that it was begun with
                if self.edited is not None:
                    context = _edited(context, self.edited, self.recorder)
                    _tell_board(context, self.recorder.state)
                await _publish_contracts(context, self.recorder)
                await self._work(context, started)
            except (Exception, asyncio.CancelledError) as error:
                context.refuse_faulty_disks(error)
                await _conclude(context, self.recorder, time.monotonic() - started, stack)
                raise
            return await _conclude(context, self.recorder, time.monotonic() - started, stack)

    def _notice(self, text: str) -> None:
        self.recorder.emit(happened.Noticed(text=text))

    async def _work(self, context: RunContext, started: float) -> None:
        """Let agents work and land what they hand in, side by side."""
        gating = Gating(context)
        landing = Landing(context, gating, lambda: self.recorder.state)
        driver = Driver(
            context=context, recorder=self.recorder, engine=LocalEngine({"agents": self.jobs}), landing=landing,
            jobs=self.jobs, started=started,
        )  # fmt: skip
        async with gating.opened(), landing.opened():
            await driver.drive()


def new_run_id(plan_name: str, date: str) -> str:
    """Return a run's name: the date, the plan, and four random hex digits."""
    return f"{date}-{plan_name}-{secrets.token_hex(2)}"


def begin_run(loaded: LoadedPlan, repository: Repository, *, run: str, jobs: int, recorder: Recorder) -> Run:
    """Begin a new run: everything that can be refused is refused before anything is written.

    Raises:
        PlanError: the plan asks for an agent that cannot be started.
        UsageError: the base branch does not exist, or the run's name is taken.
        BaseBranchError: the base branch is checked out and dirty.
        DiskError: nothing can be written in the repository or in the folder for worktrees.
    """
    agents = agents_of(loaded.plan, loaded.path.name)
    home = worktrees_home(repository)
    base = open_base(repository, loaded.plan.base, home)
    refuse_faulty_disk(repository.common_dir, home)
    base.refuse_if_dirty()
    folder = repository.runs_folder / run
    _refuse_leftovers(repository, home, folder)
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise UsageError(
            f"There is a run {run} already.", hint="Choose another name with --run, or leave it out."
        ) from error
    _pin_plan(loaded, folder / "plan")
    recorder.journal = Journal(folder / "journal")
    recorder.emit(
        happened.RunStarted(
            run=run, plan=loaded.plan.name, tasks=tuple(task.id for task in loaded.plan.tasks),
            plan_sha256=loaded.sha256, mode="worktree", base=base.name, commit=base.tip(), jobs=jobs,
            folder=str(folder), pid=os.getpid(),
        )
    )  # fmt: skip
    return _opened(Run(
        name=run, folder=folder, loaded=loaded, repository=repository, base=base, home=home, agents=agents, jobs=jobs,
        recorder=recorder,
    ))  # fmt: skip


def _refuse_leftovers(repository: Repository, home: Path, folder: Path) -> None:
    """Raise if a run of this name, whose own folder has gone, has left work: a new one would move its branches."""
    run = folder.name
    left = [ref.name for ref in query.refs(repository.own, f"refs/heads/orch/{run}/", f"refs/orch/{run}/")]
    if not folder.exists() and (left or (home / run).exists()):
        raise UsageError(
            f"An earlier run {run} has left {left[0] if left else home / run}.",
            hint="Choose another name with --run, or leave it out. `orch recover` lists what that run has left.",
        )


def take_over_run(
    repository: Repository, folder: Path, *, jobs: int | None, recorder: Recorder, edited: LoadedPlan | None = None
) -> Run:
    """Go on with a run that was ended or killed, with its pinned plan or with an edited one.

    Raises:
        UsageError: another process works on it, its plan is gone or was changed, everything in it has landed, or `edited` is
            no plan that it can go on with.
        PlanError: `edited` asks for an agent that cannot be started.
        DiskError: nothing can be written in the run's folder or in the folder for worktrees.
    """
    recorder.journal = journal = Journal(folder / "journal")
    state = journal.state
    if state.started is None:
        raise UsageError(f"The run {folder.name} ended before it began.", hint="Start it again with `orch run`.")
    loaded = pinned_plan(folder, state)
    edit = _edit_of(folder, loaded, edited, state) if edited is not None else None
    if edit is None and state.ended and state.ended.status == "landed" and (folder / "report.json").is_file():
        raise UsageError(f"Everything in the run {folder.name} has landed.", hint="There is nothing to go on with.")
    made = [Path(task.attempt.worktree) for task in state.tasks.values() if task.attempt]
    homes = [folder.parents[1] for folder in made if folder.is_dir()]  # what was left there is taken in there
    home = homes[0] if homes else worktrees_home(repository)
    base = open_base(repository, state.started.base, home, last=state.base_commit)
    refuse_faulty_disk(folder, home)
    recorder.state = state
    slots = jobs or (edit.jobs if edit else None) or state.jobs
    recorder.emit(happened.Resumed(commit=base.tip(), jobs=slots, pid=os.getpid()))
    agents = agents_of(loaded.plan, loaded.path.name)
    return _opened(Run(
        name=folder.name, folder=folder, loaded=loaded, repository=repository, base=base, home=home, agents=agents,
        jobs=slots, recorder=recorder, edited=edited if edit else None,
    ))  # fmt: skip


def pinned_plan(folder: Path, state: RunState) -> LoadedPlan:
    """Return the plan that counts in a run: the one it began with, or the newest edited one that it went on with.

    Raises:
        UsageError: it is gone, or was changed where it is kept.
    """
    place = folder / state.plan_folder
    loaded = load_plan(place / "plan.yaml")
    if loaded.sha256 != state.plan_sha256:
        raise UsageError(
            f"The plan in {place} is not the one with which the run {folder.name} was left.",
            hint="Restore it, or start a new run with `orch run --new PLAN`.",
        )
    return loaded


def _edit_of(folder: Path, loaded: LoadedPlan, edited: LoadedPlan, state: RunState) -> happened.PlanEdited | None:
    """Return what an edited plan changes in a run; None if nothing.

    Raises:
        UsageError: the run cannot go on with it.
        PlanError: it asks for an agent that cannot be started.
    """
    replan = compare(loaded, edited, state)
    if replan.refused:
        raise UsageError(
            f"The run {folder.name} cannot go on with {edited.path}: {replan.refused[0]}.",
            hint=f"Start a new run with it: orch run --new {edited.path}",
        )
    agents_of(edited.plan, edited.path.name)
    return replan.edit


def _opened(run: Run) -> Run:
    """Give the run a git of its own, and a place for its index files."""
    kinds = ("git-*", ".new-*", "prompts/.new-*", "indexes/*.lock")  # of an orchestrator that was killed
    for leftover in (path for kind in kinds for path in run.folder.glob(kind)):
        delete(leftover)
    (run.folder / "indexes").mkdir(exist_ok=True)
    repository = replace(run.repository, objects=private_git_folder(run.repository, run.folder))
    return replace(run, repository=repository, base=replace(run.base, repository=repository))


def _pin_plan(loaded: LoadedPlan, folder: Path) -> None:
    """Write the plan, and every file that it names, into the run's folder: what is resumed is what was begun."""
    reached("plan-pin")
    for name, content in {"plan.yaml": loaded.text, **loaded.sources}.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    reached("plan-pinned")


def _boundaries(loaded: LoadedPlan) -> dict[str, Boundary]:
    return {task.id: boundary_of(loaded.plan, task, patches_of(loaded, task)) for task in loaded.plan.tasks}


def _edited(context: RunContext, edited: LoadedPlan, recorder: Recorder) -> RunContext:
    """Let an edited plan count from now on: it is kept in the run's folder first, then one event says so.

    A kill before that event leaves the old plan, whole, and a kill after it the new one.
    """
    agents, boundaries = agents_of(edited.plan, edited.path.name), _boundaries(edited)
    edit = compare(context.loaded, edited, recorder.state).edit  # anew: what was cut off may have landed since
    assert edit is not None, "take_over_run() found a difference"
    _pin_plan(edited, context.folder / edit.folder)
    recorder.emit(edit)
    independence = Independence(edited.plan)
    return replace(context, loaded=edited, agents=agents, boundaries=boundaries, independence=independence)


def _tell_board(context: RunContext, state: RunState) -> None:
    """Put the tasks of the edited plan on the board, and say of those that it has not any more that nobody waits for them."""
    context.hub.publish_tasks(TaskCard.of(task) for task in context.loaded.plan.tasks)
    for task_id in state.edited.dropped if state.edited else ():
        if state.dropped[task_id].status is not TaskStatus.LANDED:
            context.hub.release(task_id, GrantState.CANCELLED, note="it is not in the plan any more")


def _tidy(private_git: Path, indexes: Path, home: Path) -> None:
    """Remove what only a running run needs, and the folder of its worktrees if none was kept."""
    delete(private_git)
    delete(indexes)
    for place in (home, home.parent):
        with contextlib.suppress(OSError):  # it holds a folder that was kept, or another run's
            place.rmdir()


async def _conclude(context: RunContext, recorder: Recorder, seconds: float, held: AsyncExitStack) -> Report:
    """Write the end down, also of what was cut off, let go of all that is `held`, and write the report, as the last deed."""
    for task_id, task in recorder.state.tasks.items():
        if not task.status.final:
            reason = recorder.state.stopping or "the run was ended at once"
            recorder.emit(happened.TaskEnded(task=task_id, status="cancelled", reason=reason))
    tip = context.base.find_tip() or recorder.state.base_commit
    recorder.emit(happened.RunEnded(status=verdict(recorder.state), commit=tip, seconds=seconds))
    await held.aclose()
    return write_report(context.loaded, recorder.state, context.folder)


async def _publish_contracts(context: RunContext, recorder: Recorder) -> None:
    """Write what is agreed to the base branch, unless it stands there or this run wrote it before.

    Raises:
        BaseBranchError: others moved the branch at every try, or something in a checkout is in the way.
    """
    if recorder.state.contracts is not None:
        return
    started = time.monotonic()
    index = context.folder / "indexes" / "contracts"
    for _ in range(_TRIES):
        async with no_gc(context.repository.common_dir):
            written = await asyncio.to_thread(write_contracts, context.loaded, context.base, context.run, index)
            if written is None:
                break
            tip, commit = written
            context.emit(happened.BaseMoving(tasks=(), commits=(commit,), old=tip))
            await context.settle()
            if await asyncio.to_thread(context.base.advance, tip, commit):
                break
    else:
        raise BaseBranchError(f"{context.base.name} was moved by somebody else {_TRIES} times.", hint="Run again.")
    context.emit(
        happened.ContractsPublished(
            commit=written[1] if written else None,
            files=len(contract_files(context.loaded)),
            seconds=time.monotonic() - started,
        )
    )
