"""Landing with everything that it works with, but without agents: a test hands work in, and sees what becomes of it.

Run, journal, board, worktrees, gates and repository are the real ones, opened as a run opens them.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from orchestrator.agents.governor import Governor
from orchestrator.board.hub import open_board
from orchestrator.confine.audit import RepositoryGuard
from orchestrator.context import RunContext
from orchestrator.driver import Recorder
from orchestrator.git import change
from orchestrator.git.repository import Repository
from orchestrator.landing.gating import Gating
from orchestrator.landing.landing import Landing
from orchestrator.model import events as happened
from orchestrator.model.independence import Independence
from orchestrator.model.state import RunState
from orchestrator.model.todo import TaskCard
from orchestrator.model.trailers import Provenance, message_with
from orchestrator.plan_of_run import boundaries_of
from orchestrator.planfile import load_plan
from orchestrator.run import begin_run
from orchestrator.worktrees.radar import Radar
from orchestrator.worktrees.worktrees import Worktrees

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from tests.support.repos import Repo

__all__ = ["Bench", "HastyLoop", "a_landing"]

_Event = TypeVar("_Event")


class HastyLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock can be put forward: what waits for the time does not wait long."""

    ahead = 0.0

    def time(self) -> float:
        """Return the time, and how far it was put forward."""
        return super().time() + self.ahead


@dataclass
class Bench:
    """A landing that is open, and all that was told since."""

    context: RunContext
    landing: Landing
    recorder: Recorder
    told: list[happened.Event]
    landings: list[asyncio.Task[None]] = field(default_factory=list)

    def work(self, task: str, start: str, files: Mapping[str, str], *, onto: tuple[str, ...] = ()) -> str:
        """Write a commit as the crew does: files changed since `start`. With `onto` it has these parents besides."""
        git = self.context.repository.objects
        provenance = Provenance(
            run=self.context.run, task=task, track="-", generation=1, session="s", agent="default", model="script@1",
            spec_hash="0", context_hash="0", contracts_hash="0", content_hash="0", work_product="-",
        )  # fmt: skip
        tree = change.tree_with(git, start, {path: text.encode() for path, text in files.items()})
        return change.commit_tree(git, tree, [start, *onto], message_with(f"{task}: x", "", provenance), task)

    async def hand_in(self, **commits: str) -> None:
        """Let tasks submit their commits, all at one moment, as their first generation, and begin to land them."""
        for task, commit in commits.items():
            self.context.emit(happened.Assigned(task=task, generation=1))
            self.context.hub.open(task)
            seat = await self.context.hub.seat(f"{task}.gen-1")
            await seat.claim(task)
            await seat.submit(task, 1, commit)
            seat.close()
            self.context.emit(happened.Submitted(task=task, generation=1, commit=commit, files=1))
        for task in commits:
            self.context.emit(happened.LandingStarted(task=task, generation=1))
            self.landings.append(asyncio.create_task(self.landing.land(self.context.loaded.plan.task(task))))

    async def settled(self) -> None:
        """Wait until all that was handed in has landed or was refused."""
        await asyncio.gather(*self.landings)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is so that no event tells of, as how the train stands; all that is handed in must be under way."""
        while not true():
            assert not any(landing.done() for landing in self.landings), self.refused
            await asyncio.sleep(0.002)

    def of(self, kind: type[_Event]) -> list[_Event]:
        """Return what was told of one kind."""
        return [event for event in self.told if isinstance(event, kind)]

    @property
    def refused(self) -> dict[str, str]:
        """The names of the checks that failed, by task; empty text: none did, and the task was refused all the same."""
        failed = {e.task: e.result.name for e in self.of(happened.Checked) if not e.result.passed}
        return {e.task: failed.get(e.task, "") for e in self.of(happened.Refused)}


@asynccontextmanager
async def a_landing(repo: Repo, plan: Path) -> AsyncIterator[Bench]:
    """Open the landing of a run of a plan, as `orchestrator.run` does it."""
    told: list[happened.Event] = []
    recorder = Recorder(state=RunState(), tell=lambda event, _state: told.append(event))
    run = begin_run(load_plan(plan), Repository.open(repo.path), run="r", jobs=4, recorder=recorder)
    async with AsyncExitStack() as stack:
        assert recorder.journal is not None
        stack.callback(recorder.journal.close)
        indexes = run.folder / "indexes"
        worktrees = Worktrees(run.repository, run.home / run.name, indexes, lambda _text: None)
        stack.callback(worktrees.tidy)
        hub = await stack.enter_async_context(open_board(run.folder / "board.log"))
        hub.publish_tasks(TaskCard.of(task) for task in run.loaded.plan.tasks)
        context = RunContext(
            run=run.name, folder=run.folder, loaded=run.loaded, repository=run.repository, base=run.base,
            worktrees=worktrees, hub=hub, agents=run.agents, emit=recorder.emit, settle=recorder.settle,
            radar=Radar(run.repository.objects), independence=Independence(run.loaded.plan), heartbeat=60.0,
            stop_agents=asyncio.Event(), stop_gates=asyncio.Event(), governor=Governor(tell=lambda _text: None),
            guard=RepositoryGuard.of(run.repository, run.folder / "set-aside"), boundaries=boundaries_of(run.loaded),
            state=lambda: recorder.state,
        )  # fmt: skip
        gating = Gating(context)
        landing = Landing(context, gating, lambda: recorder.state)
        await stack.enter_async_context(gating.opened())
        await stack.enter_async_context(landing.opened())
        yield Bench(context=context, landing=landing, recorder=recorder, told=told)
