"""What every part of a running plan works with: the plan, the doors to the outside, and where to say what happened."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.disk_faults import disk_error_in, refuse_faulty_disk
from orchestrator.errors import DiskError
from orchestrator.model import events as happened
from orchestrator.model.claims import GrantState
from orchestrator.model.state import TaskStatus
from orchestrator.model.widening import against_widening, widened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from orchestrator.agents.base import Agent, Desk
    from orchestrator.agents.governor import Governor
    from orchestrator.base_branch import BaseBranch
    from orchestrator.board.hub import Hub
    from orchestrator.confine.audit import RepositoryGuard
    from orchestrator.git.repository import Repository
    from orchestrator.model.boundary import Boundary
    from orchestrator.model.independence import Independence
    from orchestrator.model.state import RunState
    from orchestrator.planfile import LoadedPlan
    from orchestrator.worktrees.radar import Radar
    from orchestrator.worktrees.worktrees import Worktrees

__all__ = ["RunContext"]

_SHOWN = 20  # paths on the board


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """One run.

    `boundaries` are what the plan lets each task write; `boundary` counts what was granted besides. `state` is what is so now.
    `emit` writes an event down, and `settle` waits until all are on the disk, before a deed that others can see.
    `guard` knows what the repository was like when the run began, `governor` which providers take no requests now.
    `stop_agents` and `stop_gates` are set when they must end, `stop_attempt` when that of a task must; `heartbeat` is the
    seconds between two looks at a worktree. `desks` are those of the attempts that are at work, by the names of their agents;
    `access_of` returns the variables by which the programs of such an agent find the board's tools, if they are served.
    """

    run: str
    folder: Path
    loaded: LoadedPlan
    repository: Repository
    base: BaseBranch
    worktrees: Worktrees
    hub: Hub
    agents: Mapping[str, Agent]
    boundaries: Mapping[str, Boundary]
    state: Callable[[], RunState]
    emit: Callable[[happened.Event], None]
    settle: Callable[[], Awaitable[None]]
    radar: Radar
    independence: Independence
    guard: RepositoryGuard
    governor: Governor
    heartbeat: float
    stop_agents: asyncio.Event
    stop_gates: asyncio.Event
    stop_attempt: dict[str, asyncio.Event] = field(default_factory=dict)
    desks: dict[str, Desk] = field(default_factory=dict)
    access_of: Callable[[str], Mapping[str, str]] = lambda _agent: {}

    def refuse(
        self, task: str, generation: int, reason: str, feedback: str = "", *, stopped: bool = False, final: bool = False
    ) -> None:
        """Give a generation up: its claim ends, and the next one is told why (`model.events.Refused`).

        Raises:
            DiskError: a disk takes nothing more, so the work is not to blame, and is not given up.
        """
        if not stopped:
            self.refuse_faulty_disks()
            if self.stop_without_base():
                stopped, final = True, False
        self.radar.forget(task)
        self.hub.release(task, GrantState.FAILED if final else GrantState.OPEN, note=reason)
        self.emit(
            happened.Refused(
                task=task,
                generation=generation,
                reason=reason,
                feedback=feedback or reason,
                final=final,
                stopped=stopped,
            )
        )

    def boundary(self, task: str) -> Boundary:
        """Return what a task may write, with what its agent was granted."""
        boundary, granted = self.boundaries[task], self.state().tasks[task].widened
        return replace(boundary, scope=widened(boundary.scope, granted)) if granted else boundary

    def widen(self, task: str, generation: int, globs: tuple[str, ...], reason: str) -> str:
        """Let a task write more until its generation ends; return why not, empty if it may now."""
        tasks = self.state().tasks
        if tasks[task].generation != generation or tasks[task].status is not TaskStatus.WORKING:
            return "this attempt is over"
        others = {
            other: self.boundary(other).scope
            for other, now in tasks.items()
            if other != task and now.status in (TaskStatus.WORKING, TaskStatus.SUBMITTED, TaskStatus.LANDING)
        }
        scope, granted = self.boundaries[task].scope, tasks[task].widened
        if why := against_widening(self.loaded.plan, scope, granted, globs, others):
            return why
        self.emit(happened.ScopeWidened(task=task, generation=generation, globs=globs, reason=reason))
        self.independence.widen(task, globs)
        self.hub.note("widened", key=task, gen=generation, globs=list(globs), note=reason)
        return ""

    @asynccontextmanager
    async def stopping(self, task: str) -> AsyncIterator[asyncio.Event]:
        """Give what is set when the attempt at a task must end politely, because of the run or of the task."""
        stop = self.stop_attempt[task] = asyncio.Event()

        async def relay() -> None:
            await self.stop_agents.wait()
            stop.set()

        relaying = asyncio.create_task(relay())
        try:
            yield stop
        finally:
            relaying.cancel()
            del self.stop_attempt[task]

    def stop_without_base(self) -> bool:
        """Stop the run if the base branch was deleted, and tell so: nothing can land, and nothing can begin."""
        if self.base.find_tip() is not None:
            return False
        if not self.stop_gates.is_set():
            self.emit(happened.StopRequested(reason=f"the branch {self.base.name} is gone", lands=False))
            self.stop_agents.set()
            self.stop_gates.set()
        return True

    def refuse_faulty_disks(self, failed: BaseException | None = None) -> None:
        """Raise if nothing can be written where the run must write, or if something has `failed` because of that.

        Raises:
            DiskError: nothing can, or the run's folder is gone.
        """
        if not self.folder.is_dir():
            raise DiskError(
                f"The folder {self.folder} of this run was deleted; nothing more was landed.",
                hint="`orch recover` lists the work that it left. Start the plan anew with `orch run`.",
            )
        if failed is not None and (fault := disk_error_in(failed)) is not None:
            raise fault from failed
        objects = self.repository.common_dir / "objects"
        refuse_faulty_disk(self.folder, objects, self.base.agents_home, Path(tempfile.gettempdir()))

    async def look_around(self, task: str, start: str, commit: str) -> None:
        """See whether a task's work, as far as it is written, meets that of others; tell both on the board if it does."""
        for one, other, paths in await asyncio.to_thread(self.radar.look, task, start, commit):
            self.independence.meet(one, other)
            self.hub.note("overlap", tasks=[one, other], paths=list(paths[:_SHOWN]))
            met = other if one == task else one
            self.emit(happened.OverlapSeen(task=task, other=met, paths=paths))
