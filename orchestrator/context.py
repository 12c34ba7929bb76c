"""What every part of a running plan works with: the plan, the doors to the outside, and where to say what happened."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.disk_faults import disk_error_in, refuse_faulty_disk
from orchestrator.errors import DiskError
from orchestrator.model import events as happened
from orchestrator.model.claims import GrantState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from orchestrator.agents.base import Agent
    from orchestrator.base_branch import BaseBranch
    from orchestrator.board.hub import Hub
    from orchestrator.git.repository import Repository
    from orchestrator.model.boundary import Boundary
    from orchestrator.model.independence import Independence
    from orchestrator.planfile import LoadedPlan
    from orchestrator.radar import Radar
    from orchestrator.worktrees import Worktrees

__all__ = ["RunContext"]

_SHOWN = 20  # paths on the board


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """One run.

    `emit` writes an event down, and `settle` waits until all are on the disk, before a deed that others can see.
    `stop_agents` and `stop_gates` are set when they must end; `heartbeat` is the seconds between two looks at a worktree.
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
    emit: Callable[[happened.Event], None]
    settle: Callable[[], Awaitable[None]]
    radar: Radar
    independence: Independence
    heartbeat: float
    stop_agents: asyncio.Event
    stop_gates: asyncio.Event

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
