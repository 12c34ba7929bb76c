"""A real run at the moment when agents have handed everything in: what is measured is its landing, and nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestrator.agents.governor import Governor
from orchestrator.base_branch import BaseBranch
from orchestrator.board.hub import open_board
from orchestrator.confine.audit import RepositoryGuard
from orchestrator.context import RunContext
from orchestrator.driver import Recorder
from orchestrator.git.parse import CommitId
from orchestrator.git.repository import Repository, private_git_folder
from orchestrator.journal.journal import Journal
from orchestrator.landing.gating import Gating
from orchestrator.landing.landing import Landing
from orchestrator.model import events as happened
from orchestrator.model.boundary import boundary_of
from orchestrator.model.globs import Scope
from orchestrator.model.independence import Independence
from orchestrator.model.state import RunState, TaskStatus
from orchestrator.model.todo import TaskCard
from orchestrator.planfile import load_plan
from orchestrator.worktrees.radar import Radar
from orchestrator.worktrees.worktrees import Worktrees

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bench_repos import Bench, Branch

    from orchestrator.board.hub import Hub
    from orchestrator.model.events import Event

__all__ = ["Held", "Landings", "Made", "hold_each", "land_all", "opened", "worktrees_made"]


class Landings:
    """What came of a landing: the seconds that it took, those of this process's CPU among them, and what landed."""

    def __init__(self, seconds: float, cpu: float, state: RunState) -> None:
        self.seconds = seconds
        self.cpu = cpu
        self.landed = state.with_status(TaskStatus.LANDED)
        self.refused = {name: task.refusals[-1].reason for name, task in state.tasks.items() if task.refusals}


def opened(bench: Bench) -> Repository:
    """Return the repository as a run opens it, with a git folder of its own."""
    found = Repository.open(bench.path)
    found.runs_folder.mkdir(exist_ok=True)
    return replace(found, objects=private_git_folder(found, bench.folder))


def land_all(bench: Bench, work: Sequence[Branch]) -> Landings:
    """Land these branches on `main` by the merge train of one run, as if all had been submitted at once."""
    return asyncio.run(_land_all(bench, work))


async def _land_all(bench: Bench, work: Sequence[Branch]) -> Landings:
    async with _submitted(bench, work) as (context, recorder):
        gating = Gating(context)
        landing = Landing(context, gating, lambda: recorder.state)
        async with gating.opened(), landing.opened():
            started, cpu = time.perf_counter(), time.process_time()
            await asyncio.gather(*(landing.land(task) for task in context.loaded.plan.tasks))
            return Landings(time.perf_counter() - started, time.process_time() - cpu, recorder.state)


@asynccontextmanager
async def _submitted(bench: Bench, work: Sequence[Branch]) -> AsyncIterator[tuple[RunContext, Recorder]]:
    """Begin a run and hand in all of its work: the journal is on the disk, the board in memory."""
    tasks = [{"id": branch.name, "writes": list(branch.scope), "attempts": 1, "steps": []} for branch in work]
    file = bench.folder / "plan.yaml"
    file.write_text(json.dumps({"version": 1, "name": "bench", "tasks": tasks}))  # JSON is YAML
    loaded, repository = load_plan(file), opened(bench)
    folder = repository.runs_folder / "bench"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "indexes").mkdir(parents=True)
    home = bench.folder / "worktrees"
    base = BaseBranch(name="main", repository=repository, agents_home=home)
    recorder = Recorder(state=RunState(), tell=_nobody, journal=Journal(folder / "journal"))
    async with open_board(None) as hub:
        context = RunContext(
            run="bench", folder=folder, loaded=loaded, repository=repository, base=base,
            worktrees=Worktrees(repository, home, folder / "indexes", print), hub=hub, agents={},
            boundaries={task.id: boundary_of(loaded.plan, task) for task in loaded.plan.tasks}, state=lambda: recorder.state,
            emit=recorder.emit, settle=recorder.settle, radar=Radar(repository.objects),
            independence=Independence(loaded.plan), heartbeat=60.0, stop_agents=asyncio.Event(),
            stop_gates=asyncio.Event(), guard=RepositoryGuard.of(repository, folder / "set-aside"),
            governor=Governor(tell=print),
        )  # fmt: skip
        recorder.emit(_beginning(context))
        hub.publish_tasks(TaskCard.of(task) for task in loaded.plan.tasks)
        for branch in work:
            await _submit(hub, recorder, branch)
        try:
            yield context, recorder
        finally:
            assert recorder.journal is not None
            recorder.journal.close()


class Held(NamedTuple):
    """The seconds in which a gate folder was moved, and tidied, and the trees that it held."""

    holding: float
    tidying: float
    trees: list[str]


def hold_each(bench: Bench, work: Sequence[Branch]) -> Held:
    """Let a gate folder hold each of these branches in turn."""
    return asyncio.run(_hold_each(bench, [CommitId(branch.commit) for branch in work]))


async def _hold_each(bench: Bench, commits: Sequence[CommitId]) -> Held:
    holding, tidying, trees = 0.0, 0.0, []
    async with _worktrees(bench).gates(CommitId(bench.start)) as place:
        for commit in commits:
            started = time.perf_counter()
            trees.append(str(await place.hold(commit)))
            held = time.perf_counter()
            await place.tidy(commit)
            holding, tidying = holding + held - started, tidying + time.perf_counter() - held
    return Held(holding, tidying, trees)


class Made(NamedTuple):
    """The seconds in which worktrees were made, and removed."""

    making: float
    removing: float


def worktrees_made(bench: Bench, count: int) -> Made:
    """Make so many worktrees of `start` for attempts, one after the other, and remove them all."""
    return asyncio.run(_worktrees_made(bench, count))


async def _worktrees_made(bench: Bench, count: int) -> Made:
    worktrees, started = _worktrees(bench), time.perf_counter()
    async with AsyncExitStack() as stack:
        for number in range(count):
            space = worktrees.attempt(f"worktree-{number}", CommitId(bench.start), Scope(["**"]))
            (await stack.enter_async_context(space)).keep = ""  # nobody has worked there
        made = time.perf_counter()
    return Made(made - started, time.perf_counter() - made)


def _worktrees(bench: Bench) -> Worktrees:
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=bench.folder))
    (folder / "indexes").mkdir()
    return Worktrees(opened(bench), folder / "worktrees", folder / "indexes", print)


def _nobody(_event: Event, _state: RunState) -> None:
    """Nobody listens."""


def _beginning(context: RunContext) -> happened.RunStarted:
    plan = context.loaded.plan
    return happened.RunStarted(
        run=context.run, plan=plan.name, tasks=tuple(task.id for task in plan.tasks), plan_sha256=context.loaded.sha256,
        mode="worktree", base=context.base.name, commit=context.base.tip(), jobs=1, folder=str(context.folder),
        pid=os.getpid(),
    )  # fmt: skip


async def _submit(hub: Hub, recorder: Recorder, branch: Branch) -> None:
    """Claim a task and hand its work in, as an attempt does."""
    hub.open(branch.name)
    seat = await hub.seat(branch.name)
    generation = await seat.claim(branch.name)
    await seat.submit(branch.name, generation, branch.commit)
    seat.close()
    known: dict[str, Any] = {"task": branch.name, "generation": generation}
    recorder.emit(happened.Assigned(**known))
    recorder.emit(happened.Kept(**known, branch=branch.name, commit=branch.commit, files=len(branch.scope)))
    recorder.emit(happened.Submitted(**known, commit=branch.commit, files=len(branch.scope)))
    recorder.emit(happened.LandingStarted(**known))
