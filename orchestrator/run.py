"""The story of a run: plan → contracts → (crew ∥ landing) → report. A new run and a resumed one differ in how they begin."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.agents.governor import Governor
from orchestrator.agents.script import ScriptAgent
from orchestrator.base_branch import open_base
from orchestrator.board.hub import open_board
from orchestrator.confine.audit import RepositoryGuard
from orchestrator.confine.confinement import delete_scratch, scratch_left
from orchestrator.context import RunContext
from orchestrator.contracts import write_contracts
from orchestrator.crew.listener import listen
from orchestrator.disk_faults import refuse_faulty_disk
from orchestrator.driver import Driver
from orchestrator.engine import LocalEngine
from orchestrator.errors import BaseBranchError, UsageError
from orchestrator.files import delete, drafts_left
from orchestrator.git import query
from orchestrator.git.gc_lock import no_gc
from orchestrator.git.repository import private_git_folder
from orchestrator.journal.journal import Journal, new_journal
from orchestrator.landing.gating import Gating
from orchestrator.landing.landing import Landing
from orchestrator.model import events as happened
from orchestrator.model.decide import verdict
from orchestrator.model.independence import Independence
from orchestrator.model.state import TaskStatus
from orchestrator.model.todo import TaskCard
from orchestrator.plan_of_run import (
    agents_for,
    boundaries_of,
    edit_of,
    in_mode,
    pin_plan,
    pinned_plan,
    tell_board,
    with_edited_plan,
)
from orchestrator.planfile import contract_files
from orchestrator.processes.orphans import adopting
from orchestrator.recovery import reconcile
from orchestrator.report import write_report
from orchestrator.tracing.tracing import traced
from orchestrator.worktrees.home import worktrees_home
from orchestrator.worktrees.radar import Radar
from orchestrator.worktrees.technique import demanded_technique
from orchestrator.worktrees.worktrees import Worktrees

if TYPE_CHECKING:
    from orchestrator.agents.base import Agent, Desk
    from orchestrator.base_branch import BaseBranch
    from orchestrator.board.hub import Hub
    from orchestrator.board.publication import Publication
    from orchestrator.driver import Recorder
    from orchestrator.git.repository import Repository
    from orchestrator.model.formats import Mode, Report
    from orchestrator.planfile import LoadedPlan
    from orchestrator.service import Served
    from orchestrator.worktrees.technique import Technique

_TRIES = 20
__all__ = ["Run", "begin_run", "new_run_id", "take_over_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that has begun, here or in a process that has gone; `go` does the rest.

    `loaded` is the plan under which it was left, `edited` the one with which it goes on, if that is another. With a
    `publication` its board is served over the network; with `retry` what had failed starts anew.
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
    technique: Technique | None
    edited: LoadedPlan | None = None
    publication: Publication | None = None
    retry: bool = False

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
            told = traced(self.recorder.tell, self.folder, self.recorder.state, self._notice)
            self.recorder.tell = stack.enter_context(told)
            await stack.enter_async_context(adopting())  # what agents leave behind is ended while the run is still ours
            worktrees = Worktrees(self.repository, self.home / self.name, indexes, self._notice, self.technique)
            stack.callback(_tidy, self.repository.objects.git_dir, indexes, worktrees)
            hub = await stack.enter_async_context(open_board(self.folder / "board.log"))
            hub.publish_tasks(TaskCard.of(task) for task in self.loaded.plan.tasks)
            desks: dict[str, Desk] = {}
            served = await self._serve(hub, desks, stack)
            context = RunContext(
                run=self.name, folder=self.folder, loaded=self.loaded, repository=self.repository, base=self.base,
                worktrees=worktrees, hub=hub, agents=self.agents, emit=self.recorder.emit, settle=self.recorder.settle,
                radar=Radar(self.repository.objects), independence=Independence(self.loaded.plan),
                heartbeat=heartbeat, stop_agents=stop_agents, stop_gates=stop_gates,
                governor=Governor(tell=self._notice),
                guard=RepositoryGuard.of(self.repository, self.folder),
                boundaries=boundaries_of(self.loaded), state=lambda: self.recorder.state,
                desks=desks, access_of=served.access_of if served else lambda _agent: {},
            )  # fmt: skip
            try:
                await reconcile(context, self.recorder.state)  # under the plan that it was begun with
                if self.edited is not None:
                    context = with_edited_plan(context, self.edited, self.recorder)
                    tell_board(context, self.recorder.state)
                if self.retry and (failed := self.recorder.state.with_status(TaskStatus.FAILED)):
                    self.recorder.emit(happened.Retried(tasks=tuple(failed)))
                if served is not None:
                    served.watch.begin(context.loaded.plan, self.recorder.state)  # it may be an edited one
                for task_id, task in self.recorder.state.tasks.items():
                    context.independence.widen(task_id, task.widened)
                await _publish_contracts(context, self.recorder)
                await self._work(context, started, served)
            except (Exception, asyncio.CancelledError) as error:
                context.refuse_faulty_disks(error)
                await _conclude(context, self.recorder, time.monotonic() - started, stack)
                raise
            return await _conclude(context, self.recorder, time.monotonic() - started, stack)

    async def _serve(self, hub: Hub, desks: dict[str, Desk], stack: AsyncExitStack) -> Served | None:
        """Serve the run if somebody wants to watch it, or an agent may want to use the board's tools."""
        if self.publication is None and all(isinstance(agent, ScriptAgent) for agent in self.agents.values()):
            return None
        from orchestrator.service import (  # a web server is only for those who need one
            RunFiles,
            local_publication,
            served,
        )

        files = RunFiles(self.folder, self.repository)
        publication = self.publication or local_publication()
        offered = served(hub, publication, files=files, plan=self.loaded.plan, desks=desks, recorder=self.recorder)
        found = await stack.enter_async_context(offered)
        if self.publication is not None:
            self._notice(f"the board is served at {found.url}; the token is in {self.folder / found.file}")
        return found

    def _notice(self, text: str) -> None:
        self.recorder.emit(happened.Noticed(text=text))

    async def _work(self, context: RunContext, started: float, served: Served | None) -> None:
        """Let agents work and land what they hand in, side by side."""
        gating = Gating(context)
        landing = Landing(context, gating, lambda: self.recorder.state)
        if served is not None:
            served.watch.train = lambda: landing.train
        driver = Driver(
            context=context, recorder=self.recorder, engine=LocalEngine({"agents": self.jobs}), landing=landing,
            jobs=self.jobs, started=started,
        )  # fmt: skip
        over = asyncio.Event()
        listening = asyncio.create_task(listen(context, over))
        try:
            async with gating.opened(), landing.opened():
                await driver.drive()
        finally:
            over.set()
            await listening


def new_run_id(plan_name: str, date: str) -> str:
    """Return a run's name: the date, the plan, and four random hex digits."""
    return f"{date}-{plan_name}-{secrets.token_hex(2)}"


def begin_run(
    loaded: LoadedPlan, repository: Repository, *, run: str, jobs: int, recorder: Recorder, mode: Mode = "worktree",
    agent: str | None = None, instead_of: str | None = None,
) -> Run:  # fmt: skip
    """Begin a new run: everything that can be refused is refused before anything is written.

    In mode sequential `agent` does all of it (None: the one that has most of the tasks), perhaps `instead_of` another run.

    Raises:
        PlanError: the plan asks for an agent that cannot be started.
        UsageError: the base branch does not exist, the run's name is taken, or worktrees cannot be made as was asked for.
        BaseBranchError: the base branch is checked out and dirty.
        DiskError: nothing can be written in the repository or in the folder for worktrees.
    """
    loaded = in_mode(loaded, mode, agent)
    agents = agents_for(loaded, jobs)
    home = worktrees_home(repository)
    base = open_base(repository, loaded.plan.base, home)
    refuse_faulty_disk(repository.common_dir, home)
    technique = demanded_technique(home)
    base.refuse_if_dirty()
    folder = repository.runs_folder / run
    _refuse_leftovers(repository, home, folder)
    recorder.journal = new_journal(folder)
    pin_plan(loaded, folder / "plan")
    recorder.emit(
        happened.RunStarted(
            run=run, plan=loaded.plan.name, tasks=tuple(task.id for task in loaded.plan.tasks),
            plan_sha256=loaded.sha256, mode=mode, agent=agent, base=base.name, commit=base.tip(), jobs=jobs,
            folder=str(folder), pid=os.getpid(), instead_of=instead_of,
        )
    )  # fmt: skip
    return _opened(Run(
        name=run, folder=folder, loaded=loaded, repository=repository, base=base, home=home, agents=agents, jobs=jobs,
        recorder=recorder, technique=technique,
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
    repository: Repository, folder: Path, *, jobs: int | None, recorder: Recorder, edited: LoadedPlan | None = None,
    retry: bool = False,
) -> Run:  # fmt: skip
    """Go on with a run that was ended or killed, with its pinned plan or with an edited one; `retry` what had failed.

    Raises:
        UsageError: another process works on it, its plan is gone or was changed, everything in it has landed, or `edited` is
            no plan that it can go on with.
        PlanError: `edited` asks for an agent that cannot be started.
        DiskError: nothing can be written in the run's folder or in the folder for worktrees.
    """
    recorder.journal = journal = Journal(folder / "journal")
    state = journal.state
    if state.started is None:
        raise UsageError(
            f"The run {folder.name} ended before it began.", hint=f"Start it again: orch run --run {folder.name} PLAN"
        )
    loaded = pinned_plan(folder, state)
    edited = in_mode(edited, state.started.mode, state.started.agent) if edited is not None else None
    edit = edit_of(folder, loaded, edited, state) if edited is not None else None
    if edit is None and state.ended and state.ended.status == "landed" and (folder / "report.json").is_file():
        raise UsageError(f"Everything in the run {folder.name} has landed.", hint="There is nothing to go on with.")
    made = [Path(task.attempt.worktree) for task in state.tasks.values() if task.attempt]
    homes = [folder.parents[1] for folder in made if folder.is_dir()]  # what was left there is taken in there
    home = homes[0] if homes else worktrees_home(repository)
    base = open_base(repository, state.started.base, home, last=state.base_commit)
    refuse_faulty_disk(folder, home)
    technique = demanded_technique(home)
    recorder.state = state
    slots = jobs or (edit.jobs if edit else None) or state.jobs
    recorder.emit(happened.Resumed(commit=base.tip(), jobs=slots, pid=os.getpid()))
    agents = agents_for(loaded, slots)
    return _opened(Run(
        name=folder.name, folder=folder, loaded=loaded, repository=repository, base=base, home=home, agents=agents,
        jobs=slots, recorder=recorder, technique=technique, edited=edited if edit else None, retry=retry,
    ))  # fmt: skip


def _opened(run: Run) -> Run:
    """Give the run a git of its own, and a place for its index files."""
    # Of an orchestrator that was killed.
    for leftover in (*run.folder.glob("git-*"), *run.folder.glob("indexes/*.lock"), *drafts_left(run.folder)):
        delete(leftover)
    (run.folder / "indexes").mkdir(exist_ok=True)
    repository = replace(run.repository, objects=private_git_folder(run.repository, run.folder))
    return replace(run, repository=repository, base=replace(run.base, repository=repository))


def _tidy(private_git: Path, indexes: Path, worktrees: Worktrees) -> None:
    """Remove what only a running run needs."""
    worktrees.tidy()
    delete(private_git)
    delete(indexes)
    for scratch in scratch_left(indexes.parent):
        delete_scratch(scratch)


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
