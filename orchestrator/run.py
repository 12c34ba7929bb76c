"""The story of a run: plan → contracts → (crew ∥ landing) → report. A new run and a resumed one differ in how they begin."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.agents.registry import agents_of
from orchestrator.base_branch import open_base
from orchestrator.board.hub import open_board
from orchestrator.context import RunContext
from orchestrator.contracts import write_contracts
from orchestrator.driver import Driver
from orchestrator.engine import LocalEngine
from orchestrator.errors import BaseBranchError, UsageError
from orchestrator.git.repository import private_git_folder
from orchestrator.journal import Journal, state_in
from orchestrator.landing import Landing
from orchestrator.model import events as happened
from orchestrator.model.boundary import boundary_of
from orchestrator.model.decide import verdict
from orchestrator.model.todo import TaskCard
from orchestrator.planfile import contract_files, load_plan, patches_of
from orchestrator.recovery import reconcile
from orchestrator.report import write_report
from orchestrator.worktrees import Worktrees, worktrees_home

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.agents.base import Agent
    from orchestrator.base_branch import BaseBranch
    from orchestrator.driver import Recorder
    from orchestrator.git.repository import Repository
    from orchestrator.model.formats import Report
    from orchestrator.planfile import LoadedPlan

_TRIES = 20
__all__ = ["Run", "begin_run", "new_run_id", "take_over_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that has begun, here or in a process that has gone; `go` does the rest."""

    name: str
    folder: Path
    loaded: LoadedPlan
    repository: Repository
    base: BaseBranch
    home: Path
    agents: dict[str, Agent]
    jobs: int
    recorder: Recorder

    async def go(self, *, stop_agents: asyncio.Event, stop_gates: asyncio.Event) -> Report:
        """Run to the end and return the report, which is also written to the run's folder.

        Raises:
            BaseBranchError: the base branch, or a checkout of it, is in the way of the contracts.
            LandingError: a promise would have been broken; what has landed is right, and the rest was stopped.
        """
        started = time.monotonic()
        journal, indexes = self.recorder.journal, self.folder / "indexes"
        async with AsyncExitStack() as stack:
            if journal is not None:
                stack.callback(journal.close)
            stack.callback(_tidy, self.repository.objects.git_dir, indexes, self.home / self.name)
            hub = await stack.enter_async_context(open_board(self.folder / "board.log"))
            plan = self.loaded.plan
            hub.publish_tasks(TaskCard.of(task) for task in plan.tasks)
            context = RunContext(
                run=self.name, folder=self.folder, loaded=self.loaded, repository=self.repository, base=self.base,
                worktrees=Worktrees(self.repository, self.home / self.name, indexes, self._notice), hub=hub,
                agents=self.agents, emit=self.recorder.emit, settle=self.recorder.settle,
                stop_agents=stop_agents, stop_gates=stop_gates,
                boundaries={t.id: boundary_of(plan, t, patches_of(self.loaded, t)) for t in plan.tasks},
            )  # fmt: skip
            try:
                await reconcile(context, self.recorder.state)
                await _publish_contracts(context, self.recorder)
                await self._work(context, started)
            finally:
                report = _conclude(context, self.recorder, time.monotonic() - started)
        return report

    def _notice(self, text: str) -> None:
        self.recorder.emit(happened.Noticed(text=text))

    async def _work(self, context: RunContext, started: float) -> None:
        """Let agents work and land what they hand in, side by side."""
        async with AsyncExitStack() as stack:
            gate_folder = None
            if self.loaded.plan.gates:
                gate_folder = await stack.enter_async_context(context.worktrees.gates(context.base.tip()))
            driver = Driver(
                context=context, recorder=self.recorder, engine=LocalEngine({"agents": self.jobs, "landing": 1}),
                landing=Landing(context, gate_folder), jobs=self.jobs, started=started,
            )  # fmt: skip
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
    """
    agents = agents_of(loaded.plan, loaded.path.name)
    home = worktrees_home(repository)
    base = open_base(repository, loaded.plan.base, home)
    base.refuse_if_dirty()
    folder = repository.runs_folder / run
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


def take_over_run(repository: Repository, folder: Path, *, jobs: int | None, recorder: Recorder) -> Run:
    """Go on with a run that was ended or killed, with the plan as it was pinned when it began.

    Raises:
        UsageError: another process works on it, its plan is gone or was changed, or everything in it has landed.
    """
    recorder.journal = Journal(folder / "journal")
    state = state_in(folder / "journal")
    if state.started is None:
        raise UsageError(f"The run {folder.name} ended before it began.", hint="Start it again with `orch run`.")
    if state.ended is not None and state.ended.status == "landed" and (folder / "report.json").is_file():
        raise UsageError(f"Everything in the run {folder.name} has landed.", hint="There is nothing to go on with.")
    loaded = load_plan(folder / "plan" / "plan.yaml")
    if loaded.sha256 != state.started.plan_sha256:
        raise UsageError(
            f"The plan in {folder / 'plan'} is not the one that the run {folder.name} began with.",
            hint="Restore it, or start a new run with the changed plan.",
        )
    home = worktrees_home(repository)
    base = open_base(repository, state.started.base, home)
    recorder.state = state
    slots = jobs or state.started.jobs
    recorder.emit(happened.Resumed(commit=base.tip(), jobs=slots, pid=os.getpid()))
    agents = agents_of(loaded.plan, loaded.path.name)
    return _opened(Run(
        name=folder.name, folder=folder, loaded=loaded, repository=repository, base=base, home=home, agents=agents,
        jobs=slots, recorder=recorder,
    ))  # fmt: skip


def _opened(run: Run) -> Run:
    """Give the run a git of its own, and a place for its index files."""
    for leftover in run.folder.glob("git-*"):  # of an orchestrator that was killed
        shutil.rmtree(leftover)
    (run.folder / "indexes").mkdir(exist_ok=True)
    repository = replace(run.repository, objects=private_git_folder(run.repository, run.folder))
    return replace(run, repository=repository, base=replace(run.base, repository=repository))


def _pin_plan(loaded: LoadedPlan, folder: Path) -> None:
    """Write the plan, and every file that it names, into the run's folder: what is resumed is what was begun."""
    for name, content in {"plan.yaml": loaded.text, **loaded.sources}.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def _tidy(private_git: Path, indexes: Path, home: Path) -> None:
    """Remove what only a running run needs, and the folder of its worktrees if none was kept."""
    shutil.rmtree(private_git, ignore_errors=True)
    shutil.rmtree(indexes, ignore_errors=True)
    for place in (home, home.parent):
        with contextlib.suppress(OSError):  # it holds a folder that was kept, or another run's
            place.rmdir()


def _conclude(context: RunContext, recorder: Recorder, seconds: float) -> Report:
    """Write the end of the story down, also of tasks that an exception or a second signal has cut off."""
    for task_id, task in recorder.state.tasks.items():
        if not task.status.final:
            reason = recorder.state.stopping or "the run was ended at once"
            recorder.emit(happened.TaskEnded(task=task_id, status="cancelled", reason=reason))
    tip = context.base.find_tip() or recorder.state.base_commit
    recorder.emit(happened.RunEnded(status=verdict(recorder.state), commit=tip, seconds=seconds))
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
        written = await asyncio.to_thread(write_contracts, context.loaded, context.base, context.run, index)
        if written is None:
            break
        tip, commit = written
        context.emit(happened.BaseMoving(task=None, old=tip, new=commit))
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
