"""The driver: asks `model.decide` after everything that happens, and gives the orders that it answers with.

Crew and landing know nothing of each other: work is submitted by one event, and dependants start because of another.
"""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.crew.crew import attempt
from orchestrator.errors import BaseBranchError, DiskError, OrchestratorError
from orchestrator.files import write_whole
from orchestrator.model import decide as to_do
from orchestrator.model import events as happened
from orchestrator.model.claims import GrantState
from orchestrator.model.state import RunState, fold

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.context import RunContext
    from orchestrator.engine import Engine
    from orchestrator.journal.journal import Journal
    from orchestrator.landing.landing import Landing

__all__ = ["Driver", "Recorder"]

_BUGS = (AssertionError, AttributeError, ImportError, LookupError, NameError, NotImplementedError, TypeError)
"""What only our own mistakes raise; what the machine and agents do to us is caught where it is met."""

_CHANGES_NOTHING = (
    happened.Reported
    | happened.Checked
    | happened.Noticed
    | happened.ProcessStarted
    | happened.SnapshotTaken
    | happened.OverlapSeen
    | happened.ScopeWidened
)  # that decide() looks at


@dataclass(slots=True)
class Recorder:
    """Where everything that happens goes: into the journal, into the state, to the listener; then the driver is woken."""

    state: RunState
    tell: Callable[[happened.Event, RunState], None]
    journal: Journal | None = None
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    thread: int = field(default_factory=threading.get_ident)

    async def settle(self) -> None:
        """Wait until everything that was written down is on the disk; who waits at the same time shares one write."""
        if self.journal is not None:
            await asyncio.to_thread(self.journal.sync)

    def emit(self, event: happened.Event) -> None:
        """Write an event down, fold it in, and tell it; only ever from the thread of the event loop.

        Two threads at once would write two records with one number, and fold one event into a state without the other.
        """
        assert threading.get_ident() == self.thread, "events are emitted by the event loop's thread"
        if self.journal is not None:
            self.journal.append(event)
        self.state = fold(self.state, event)
        self.tell(event, self.state)
        if not isinstance(event, _CHANGES_NOTHING):
            self.woken.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """Drives one run from its contracts to the last landing; `started` is when the run began (monotonic clock)."""

    context: RunContext
    recorder: Recorder
    engine: Engine
    landing: Landing
    jobs: int
    started: float

    async def drive(self) -> None:
        """Let agents work and land what they hand in, side by side, until every task's story is over."""
        limit = self.context.loaded.plan.limits.wall
        async with asyncio.TaskGroup() as group:
            while True:
                self.recorder.woken.clear()
                seconds = time.monotonic() - self.started
                resting = self.context.governor.resting(
                    {name: agent.credential for name, agent in self.context.agents.items()}
                )
                for action in to_do.decide(
                    self.context.loaded.plan, self.recorder.state, jobs=self.jobs, seconds=seconds, resting=resting
                ):
                    if isinstance(action, to_do.Finish):
                        return
                    self._carry_out(action, group)
                waits = list(resting.values())  # for providers, and for the end of the run's time
                if limit is not None and not self.recorder.state.stopping:
                    waits.append(max(limit - seconds, 0.0))
                try:
                    await asyncio.wait_for(self.recorder.woken.wait(), min(waits, default=None))
                except TimeoutError:
                    continue  # decide() will say what follows

    def _carry_out(self, action: to_do.Action, group: asyncio.TaskGroup) -> None:
        emit = self.recorder.emit
        match action:
            case to_do.Stop(reason):
                emit(happened.StopRequested(reason=reason, lands=True))
                self.context.stop_agents.set()
            case to_do.End(task, status, reason):
                emit(happened.TaskEnded(task=task, status=status, reason=reason))
                self.context.hub.release(task, GrantState(status), note=reason)
            case to_do.Start(task, generation):
                emit(happened.Assigned(task=task, generation=generation))
                group.create_task(self._attempt(task, generation), name=f"{task}.gen-{generation}")
            case to_do.Land(task):
                emit(happened.LandingStarted(task=task, generation=self.recorder.state.tasks[task].generation))
                group.create_task(self._land(task), name=f"land {task}")

    async def _attempt(self, task_id: str, generation: int) -> None:
        task, state = self.context.loaded.plan.task(task_id), self.recorder.state.tasks[task_id]
        key = f"{self.context.run}/{task_id}/{generation}/attempt"
        try:
            await self.engine.call("agents", key, attempt, self.context, task, state, generation)
        except DiskError:
            raise  # nobody else could write either
        except Exception as error:  # noqa: BLE001 - whatever it is, it costs this attempt and not the whole run
            bug = isinstance(error, _BUGS)
            self._refuse(task_id, generation, self._noted(task_id, generation, error) if bug else error, final=bug)

    def _noted(self, task_id: str, generation: int, error: Exception) -> OrchestratorError:
        """Write down where a bug of ours came up; another attempt would meet it again."""
        place = self.context.folder / "bugs" / f"{task_id}.gen-{generation}.txt"
        place.parent.mkdir(exist_ok=True)
        write_whole(place, "".join(traceback.format_exception(error)).encode())
        return OrchestratorError(
            f"a bug in orch, and no fault of the agent: {type(error).__name__}: {error}.",
            hint=f"Please report {place}.",
        )

    async def _land(self, task_id: str) -> None:
        generation = self.recorder.state.tasks[task_id].generation
        key = f"{self.context.run}/{task_id}/{generation}/land"
        try:
            await self.engine.call("landing", key, self.landing.land, self.context.loaded.plan.task(task_id))
        except BaseBranchError as error:
            self._refuse(task_id, generation, error, final=True)

    def _refuse(self, task_id: str, generation: int, error: Exception, *, final: bool) -> None:
        """Give a generation up for a fault of the machine (a stale lock, a branch deleted by hand): the others go on."""
        reason = f"{error} {error.hint}".strip() if isinstance(error, OrchestratorError) else str(error)
        self.context.refuse(task_id, generation, reason, final=final)
