"""What is so in a run: the fold of its events. Pure; the letters are those of docs/states.md."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from orchestrator.model import events as happened

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RunState", "TaskState", "TaskStatus", "fold"]


class TaskStatus(StrEnum):
    """Where a task stands."""

    WAITING = "waiting"  # its needs have not all landed, or no slot is free, or its next generation is due
    WORKING = "working"  # an agent is at it
    SUBMITTED = "submitted"  # its work has passed its checks and waits to land
    LANDING = "landing"  # its work is being merged and gated
    LANDED = "landed"  # its work is on the base branch; never left again
    FAILED = "failed"  # all its generations were refused, or one in a way that trying again cannot mend
    BLOCKED = "blocked"  # a task it needs will not land
    CANCELLED = "cancelled"  # the run ended before it could land

    @property
    def final(self) -> bool:
        """Tell whether the task's story is over."""
        return self in {TaskStatus.LANDED, TaskStatus.FAILED, TaskStatus.BLOCKED, TaskStatus.CANCELLED}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """One task at one moment; `generation` is the newest that was started, 0 before the first.

    `seconds` is what all its attempts took, `landing_seconds` what merging, gates and landing took.
    """

    status: TaskStatus = TaskStatus.WAITING
    generation: int = 0
    attempt: happened.AttemptStarted | None = None
    submitted: str | None = None
    landed: str | None = None
    checks: tuple[happened.Checked, ...] = ()
    refusals: tuple[happened.Refused, ...] = ()
    failed_checks: tuple[happened.Checked, ...] = ()
    reason: str = ""
    seconds: float = 0.0
    landing_seconds: float = 0.0
    cost_usd: float = 0.0

    @property
    def hopeless(self) -> bool:
        """Tell whether the last refusal says that another generation would not help."""
        return bool(self.refusals) and self.refusals[-1].final


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """The whole run at one moment; before its first event there is nothing in it."""

    tasks: Mapping[str, TaskState] = field(default_factory=dict)
    started: happened.RunStarted | None = None
    ended: happened.RunEnded | None = None
    contracts: happened.ContractsPublished | None = None
    stopping: str = ""
    lands: bool = True
    moved_to: str = ""

    @property
    def base_commit(self) -> str:
        """The commit to which this run last moved the base branch."""
        return self.moved_to or (self.started.commit if self.started else "")

    @property
    def cost_usd(self) -> float:
        """What all attempts have cost so far."""
        return sum(t.cost_usd for t in self.tasks.values())

    def with_status(self, *statuses: TaskStatus) -> list[str]:
        """Return the ids of the tasks that stand so, in plan order."""
        return [task_id for task_id, task in self.tasks.items() if task.status in statuses]


def fold(state: RunState, event: happened.Event) -> RunState:
    """Return the state after an event."""
    match event:
        case happened.RunStarted():
            return replace(state, started=event, tasks={task_id: TaskState() for task_id in event.tasks})
        case happened.ContractsPublished():
            return replace(state, contracts=event, moved_to=event.commit or state.moved_to)
        case happened.StopRequested():
            return replace(state, stopping=state.stopping or event.reason, lands=state.lands and event.lands)
        case happened.RunEnded():
            return replace(state, ended=event)
        case happened.Noticed() | happened.Reported():
            return state
        case _:
            task = _fold_task(state.tasks[event.task], event)
            moved_to = event.commit if isinstance(event, happened.Landed) else state.moved_to
            return replace(state, tasks={**state.tasks, event.task: task}, moved_to=moved_to)


_TaskEvent = (
    happened.Assigned
    | happened.AttemptStarted
    | happened.AttemptEnded
    | happened.Checked
    | happened.Submitted
    | happened.Refused
    | happened.LandingStarted
    | happened.Landed
    | happened.TaskEnded
)


def _fold_task(task: TaskState, event: _TaskEvent) -> TaskState:
    match event:
        case happened.Assigned():  # a
            return replace(task, status=TaskStatus.WORKING, generation=event.generation, checks=())
        case happened.AttemptStarted():
            return replace(task, attempt=event)
        case happened.AttemptEnded():
            return replace(task, seconds=task.seconds + event.seconds, cost_usd=task.cost_usd + event.cost_usd)
        case happened.Checked():
            failed = () if event.result.passed else (event,)
            return replace(task, checks=(*task.checks, event), failed_checks=(*task.failed_checks, *failed))
        case happened.Submitted():  # b
            return replace(task, status=TaskStatus.SUBMITTED, submitted=event.commit)
        case happened.LandingStarted():  # d
            return replace(task, status=TaskStatus.LANDING)
        case happened.Refused():  # c, f
            return replace(task, status=TaskStatus.WAITING, refusals=(*task.refusals, event))
        case happened.Landed():  # e
            return replace(task, status=TaskStatus.LANDED, landed=event.commit, landing_seconds=event.seconds)
        case happened.TaskEnded():  # g, h, i
            return replace(task, status=TaskStatus(event.status), reason=event.reason)
