"""The story of a run: plan → contracts → (crew ∥ landing) → report."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.agents.registry import agents_of
from orchestrator.base_branch import BaseBranch, open_base
from orchestrator.board.hub import open_board
from orchestrator.context import RunContext
from orchestrator.contracts import publish_contracts
from orchestrator.driver import Driver, Recorder
from orchestrator.engine import LocalEngine
from orchestrator.errors import UsageError
from orchestrator.git.repository import Repository, private_git_folder
from orchestrator.journal import Journal
from orchestrator.landing import Landing
from orchestrator.model import events as happened
from orchestrator.model.boundary import boundary_of
from orchestrator.model.decide import verdict
from orchestrator.model.todo import TaskCard
from orchestrator.planfile import LoadedPlan, contract_files, patches_of
from orchestrator.report import write_report
from orchestrator.worktrees import Worktrees, worktrees_home

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.model.formats import Report

__all__ = ["new_run_id", "run_plan"]


def new_run_id(plan_name: str, date: str) -> str:
    """Return a run's name: the date, the plan, and four random hex digits."""
    return f"{date}-{plan_name}-{secrets.token_hex(2)}"


async def run_plan(
    loaded: LoadedPlan,
    repository: Repository,
    *,
    run: str,
    jobs: int,
    recorder: Recorder,
    stop_agents: asyncio.Event,
    stop_gates: asyncio.Event,
) -> Report:
    """Run a plan to its end and return the report, which is also written to the run's folder.

    Raises:
        PlanError: the plan asks for an agent that cannot be started.
        UsageError: the base branch does not exist, or the run's name is taken.
        BaseBranchError: the base branch is checked out and dirty; nothing was changed.
        LandingError: a promise would have been broken; what has landed is right, and the rest was stopped.
    """
    started = time.monotonic()
    agents = agents_of(loaded.plan, loaded.path.name)
    home = worktrees_home(repository)
    base = open_base(repository, loaded.plan.base, home)
    base.refuse_if_dirty()
    folder = _new_run_folder(repository, run, loaded)
    repository = replace(repository, objects=private_git_folder(repository, folder))
    base = replace(base, repository=repository)
    recorder.journal = Journal(folder / "journal.jsonl")
    recorder.emit(_run_started(loaded, base, run, jobs, folder))
    async with AsyncExitStack() as stack:
        stack.callback(recorder.journal.close)
        stack.callback(_tidy, repository.objects.git_dir, folder / "indexes", home / run)
        hub = await stack.enter_async_context(open_board(folder / "board.log"))
        hub.publish_tasks(TaskCard.of(task) for task in loaded.plan.tasks)
        context = RunContext(
            run=run, folder=folder, loaded=loaded, repository=repository, base=base,
            worktrees=Worktrees(repository, home / run, folder / "indexes", lambda t: recorder.emit(happened.Noticed(text=t))),
            hub=hub, agents=agents, emit=recorder.emit, stop_agents=stop_agents, stop_gates=stop_gates,
            boundaries={t.id: boundary_of(loaded.plan, t, patches_of(loaded, t)) for t in loaded.plan.tasks},
        )  # fmt: skip
        try:
            await _publish_contracts(context)
            await _work(context, recorder, jobs, started)
        finally:
            report = _conclude(context, recorder, time.monotonic() - started)
    return report


def _new_run_folder(repository: Repository, run: str, loaded: LoadedPlan) -> Path:
    folder = repository.runs_folder / run
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise UsageError(
            f"There is a run {run} already.", hint="Choose another name with --run, or leave it out."
        ) from error
    (folder / "indexes").mkdir()
    (folder / "plan.yaml").write_bytes(loaded.text)
    return folder


def _tidy(private_git: Path, indexes: Path, home: Path) -> None:
    """Remove what only a running run needs, and the folder of its worktrees if none was kept."""
    shutil.rmtree(private_git, ignore_errors=True)
    shutil.rmtree(indexes, ignore_errors=True)
    for place in (home, home.parent):
        with contextlib.suppress(OSError):  # it holds a folder that was kept, or another run's
            place.rmdir()


def _run_started(loaded: LoadedPlan, base: BaseBranch, run: str, jobs: int, folder: Path) -> happened.RunStarted:
    return happened.RunStarted(
        run=run, plan=loaded.plan.name, tasks=tuple(task.id for task in loaded.plan.tasks), plan_sha256=loaded.sha256,
        mode="worktree", base=base.name, commit=base.tip(), jobs=jobs, folder=str(folder),
    )  # fmt: skip


def _conclude(context: RunContext, recorder: Recorder, seconds: float) -> Report:
    """Write the end of the story down, also of tasks that an exception or a second signal has cut off."""
    for task_id, task in recorder.state.tasks.items():
        if not task.status.final:
            reason = recorder.state.stopping or "the run was ended at once"
            recorder.emit(happened.TaskEnded(task=task_id, status="cancelled", reason=reason))
    tip = context.base.find_tip() or recorder.state.base_commit
    recorder.emit(happened.RunEnded(status=verdict(recorder.state), commit=tip, seconds=seconds))
    return write_report(context.loaded, recorder.state, context.folder)


async def _publish_contracts(context: RunContext) -> None:
    started = time.monotonic()
    index = context.folder / "indexes" / "contracts"
    commit = await asyncio.to_thread(publish_contracts, context.loaded, context.base, context.run, index)
    files = len(contract_files(context.loaded))
    context.emit(happened.ContractsPublished(commit=commit, files=files, seconds=time.monotonic() - started))


async def _work(context: RunContext, recorder: Recorder, jobs: int, started: float) -> None:
    async with AsyncExitStack() as stack:
        gate_folder = None
        if context.loaded.plan.gates:
            gate_folder = await stack.enter_async_context(context.worktrees.gates(context.base.tip()))
        driver = Driver(
            context=context, recorder=recorder, engine=LocalEngine({"agents": jobs, "landing": 1}),
            landing=Landing(context, gate_folder), jobs=jobs, started=started,
        )  # fmt: skip
        await driver.drive()
