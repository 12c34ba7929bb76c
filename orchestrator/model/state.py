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

    `widened` are globs that this generation may write besides those of the plan; `unwanted` is what somebody cancelled.
    `seconds`, `cost_usd`, `tokens` and `turns` are what all its attempts took, `landing_seconds` what merging, gates and landing
    took.
    """

    status: TaskStatus = TaskStatus.WAITING
    generation: int = 0
    attempt: happened.AttemptStarted | None = None
    kept: happened.Kept | None = None
    processes: tuple[happened.ProcessStarted, ...] = ()
    widened: tuple[str, ...] = ()
    unwanted: bool = False
    submitted: str | None = None
    landed: str | None = None
    checks: tuple[happened.Checked, ...] = ()
    refusals: tuple[happened.Refused, ...] = ()
    failed_checks: tuple[happened.Checked, ...] = ()
    reason: str = ""
    seconds: float = 0.0
    landing_seconds: float = 0.0
    cost_usd: float = 0.0
    tokens: int = 0
    turns: int = 0

    @property
    def attempts(self) -> int:
        """How many generations were refused for their work's sake; one that we stopped does not count."""
        return sum(not refusal.stopped for refusal in self.refusals)

    @property
    def hopeless(self) -> bool:
        """Tell whether the last refusal says that another generation would not help."""
        return bool(self.refusals) and self.refusals[-1].final


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """The whole run at one moment; before its first event there is nothing in it.

    `tasks` are exactly those of the plan, in its order; `dropped` those that an edited plan does not have any more. `jobs` is
    how many agents work at once unless somebody says otherwise.
    """

    tasks: Mapping[str, TaskState] = field(default_factory=dict)
    dropped: Mapping[str, TaskState] = field(default_factory=dict)
    started: happened.RunStarted | None = None
    edited: happened.PlanEdited | None = None
    jobs: int = 0
    resumed: int = 0
    ended: happened.RunEnded | None = None
    contracts: happened.ContractsPublished | None = None
    stopping: str = ""
    paused: bool = False
    lands: bool = True
    moved_to: str = ""
    moving: happened.BaseMoving | None = None
    overlaps: tuple[happened.OverlapSeen, ...] = ()

    @property
    def base_commit(self) -> str:
        """The commit to which this run last moved the base branch."""
        return self.moved_to or (self.started.commit if self.started else "")

    @property
    def plan_folder(self) -> str:
        """The folder, in the run's, of the plan that counts now."""
        return self.edited.folder if self.edited else "plan"

    @property
    def plan_sha256(self) -> str:
        """The hash of the plan that counts now, and of the files that it names."""
        now = self.edited or self.started
        return now.plan_sha256 if now else ""

    @property
    def all_tasks(self) -> dict[str, TaskState]:
        """Every task that the run ever had: those of the plan first, then those that were dropped."""
        return {**self.tasks, **self.dropped}

    @property
    def cost_usd(self) -> float:
        """What all attempts have cost so far."""
        return sum(t.cost_usd for t in self.all_tasks.values())

    @property
    def tokens(self) -> int:
        """How many tokens all attempts have used so far."""
        return sum(t.tokens for t in self.all_tasks.values())

    @property
    def turns(self) -> int:
        """How many turns all attempts have taken so far."""
        return sum(t.turns for t in self.all_tasks.values())

    def with_status(self, *statuses: TaskStatus) -> list[str]:
        """Return the ids of the tasks that stand so, in plan order."""
        return [task_id for task_id, task in self.tasks.items() if task.status in statuses]


def fold(state: RunState, event: happened.Event) -> RunState:
    """Return the state after an event."""
    match event:
        case happened.RunStarted():
            tasks = {task_id: TaskState() for task_id in event.tasks}
            return replace(state, started=event, tasks=tasks, jobs=event.jobs)
        case happened.Resumed():
            tasks = {task_id: _reopened(task) for task_id, task in state.tasks.items()}
            resumed = state.resumed + 1
            return replace(state, tasks=tasks, ended=None, stopping="", paused=False, lands=True, resumed=resumed)
        case happened.Retried():
            return replace(
                state,
                tasks={
                    **state.tasks,
                    **{name: _anew(state.tasks[name]) for name in event.tasks if name in state.tasks},
                },
            )
        case happened.PlanEdited():
            return _edited(state, event)
        case happened.BaseMoving():
            return replace(state, moving=event)
        case happened.ContractsPublished():
            return replace(state, contracts=event, moved_to=event.commit or state.moved_to, moving=None)
        case happened.StopRequested():
            return replace(state, stopping=state.stopping or event.reason, lands=state.lands and event.lands)
        case happened.Paused() | happened.Unpaused():
            return replace(state, paused=isinstance(event, happened.Paused))
        case happened.RunEnded():
            return replace(state, ended=event)
        case happened.OverlapSeen():
            return replace(state, overlaps=(*state.overlaps, event))
        case happened.Noticed() | happened.Reported() | happened.SnapshotTaken():
            return state
        case _:
            task = _fold_task(state.tasks[event.task], event)
            state = replace(state, tasks={**state.tasks, event.task: task})
            if isinstance(event, happened.Landed):
                return replace(state, moved_to=event.commit, moving=_left_of(state, event))
            return replace(state, moving=_left_of(state, event)) if isinstance(event, happened.Refused) else state


def _left_of(state: RunState, event: happened.Landed | happened.Refused) -> happened.BaseMoving | None:
    """Return the move of the base that is under way; None once each of its tasks has landed, or one was refused."""
    moving = state.moving
    if moving is None or event.task not in moving.tasks:
        return moving
    # Not "none is landing any more": a second interrupt cancels them, and the thread that moves the branch may still do it.
    landed = all(state.tasks[task].status is TaskStatus.LANDED for task in moving.tasks)
    return None if landed or isinstance(event, happened.Refused) else moving


def _edited(state: RunState, event: happened.PlanEdited) -> RunState:
    """Return the state under an edited plan. What was cut off under the old one was settled before, a move of the base too."""
    known = state.all_tasks
    anew = {*event.added, *event.changed}
    tasks = {
        task_id: _anew(known.get(task_id, TaskState())) if task_id in anew else known[task_id]
        for task_id in event.tasks
    }
    return replace(
        state, edited=event, tasks=tasks, dropped={k: v for k, v in known.items() if k not in tasks},
        jobs=event.jobs or state.jobs, contracts=None if event.contracts else state.contracts, moving=None,
    )  # fmt: skip


def _anew(task: TaskState) -> TaskState:  # j
    """Return a task that starts anew: its past does not count against it, but numbers only grow, and its cost was paid."""
    return replace(
        task, status=TaskStatus.WAITING, refusals=(), checks=(), processes=(), submitted=None, widened=(), unwanted=False,
        reason="",
    )  # fmt: skip


def _reopened(task: TaskState) -> TaskState:
    """Return a task as it stands when its run is taken up again: what was only cut short may go on."""
    if task.status not in {TaskStatus.CANCELLED, TaskStatus.BLOCKED}:
        return task
    return replace(task, status=TaskStatus.SUBMITTED if task.submitted else TaskStatus.WAITING, reason="")


_TaskEvent = (
    happened.Assigned
    | happened.AttemptStarted
    | happened.ProcessStarted
    | happened.ScopeWidened
    | happened.CancelRequested
    | happened.AttemptEnded
    | happened.Kept
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
            return replace(
                task, status=TaskStatus.WORKING, generation=event.generation, checks=(), processes=(), submitted=None
            )
        case happened.AttemptStarted():
            return replace(task, attempt=event)
        case happened.ProcessStarted():
            return replace(task, processes=(*task.processes, event))
        case happened.CancelRequested():
            return replace(task, unwanted=True)
        case happened.ScopeWidened():
            return replace(task, widened=(*task.widened, *event.globs))
        case happened.AttemptEnded():
            return replace(
                task, seconds=task.seconds + event.seconds, cost_usd=task.cost_usd + event.cost_usd,
                tokens=task.tokens + event.tokens, turns=task.turns + event.turns, processes=(),
            )  # fmt: skip
        case happened.Kept():
            return replace(task, kept=event)
        case happened.Checked():
            failed = () if event.result.passed else (event,)
            return replace(task, checks=(*task.checks, event), failed_checks=(*task.failed_checks, *failed))
        case happened.Submitted():  # b
            return replace(task, status=TaskStatus.SUBMITTED, submitted=event.commit)
        case happened.LandingStarted():  # d
            return replace(task, status=TaskStatus.LANDING)
        case happened.Refused():  # c, f
            refusals = (*task.refusals, event)
            return replace(task, status=TaskStatus.WAITING, refusals=refusals, submitted=None, widened=())
        case happened.Landed():  # e
            return replace(task, status=TaskStatus.LANDED, landed=event.commit, landing_seconds=event.seconds)
        case happened.TaskEnded():  # g, h, i
            return replace(task, status=TaskStatus(event.status), reason=event.reason)
