"""What to do next: `decide(plan, state)` is the whole policy of a run, and does nothing itself.

It is asked again after every event that changes where a task stands. It never repeats an order, because carrying one out
starts with an event that changes the state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.model.budget import run_used_up, task_used_up
from orchestrator.model.state import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Collection

    from orchestrator.model.formats import EndStatus, RunStatus
    from orchestrator.model.plan import Plan, Task
    from orchestrator.model.state import RunState

__all__ = ["Action", "End", "Finish", "Land", "Start", "Stop", "decide", "falls_back", "verdict"]


@dataclass(frozen=True, slots=True)
class Start:
    """Start the next generation of a task."""

    task: str
    generation: int


@dataclass(frozen=True, slots=True)
class Land:
    """Merge, gate and land a task's work."""

    task: str


@dataclass(frozen=True, slots=True)
class End:
    """Give a task up: `failed`, `blocked` or `cancelled`."""

    task: str
    status: EndStatus
    reason: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Start nothing more, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Every task's story is over."""


Action = Start | Land | End | Stop | Finish


def decide(
    plan: Plan, state: RunState, *, jobs: int, seconds: float, resting: Collection[str] = ()
) -> tuple[Action, ...]:
    """Return what to do now; `jobs` is how many agents may work at once, `seconds` how long the run has taken.

    `resting` are agents, by their names in the plan, that must not begin now.

    Guarantees: a task starts only when all its needs have landed; at most `jobs` agents work; what was submitted goes to the
    merge train at once; a task that will not land blocks its dependants and nobody else; the last answer is `Finish`.
    """
    if not state.stopping and (reason := run_used_up(plan.limits, state, seconds)):
        return (Stop(reason),)
    ends = tuple(end for task in plan.tasks if (end := _end_of(task, state)))
    if ends:
        return ends
    if all(task.status.final for task in state.tasks.values()):
        return (Finish(),)
    landings = (Land(task) for task in state.with_status(TaskStatus.SUBMITTED))
    return (*_starts(plan, state, jobs, resting), *landings)


def _end_of(task: Task, state: RunState) -> End | None:
    now = state.tasks[task.id]
    if now.unwanted and now.status in (TaskStatus.WAITING, TaskStatus.SUBMITTED):
        return End(task.id, "cancelled", "it was cancelled by hand")
    if now.status is TaskStatus.SUBMITTED and not state.lands:
        return End(task.id, "cancelled", f"{state.stopping}; the finished work is kept on its branch")
    if now.status is not TaskStatus.WAITING:
        return None
    lost = [
        need
        for need in task.needs
        if state.tasks[need].status.final and state.tasks[need].status is not TaskStatus.LANDED
    ]
    if lost:
        return End(task.id, "blocked", f"{lost[0]} did not land")
    if state.stopping and (not now.refusals or now.refusals[-1].stopped):
        return End(task.id, "cancelled", state.stopping)
    if now.refusals and not now.hopeless and (why := task_used_up(task, now)):
        return End(task.id, "failed", f"{why}; {now.refusals[-1].reason}")
    if now.refusals and (now.hopeless or now.attempts >= task.attempts):
        return End(task.id, "failed", now.refusals[-1].reason)
    if state.stopping:
        return End(task.id, "cancelled", state.stopping)
    return None


def _starts(plan: Plan, state: RunState, jobs: int, resting: Collection[str]) -> tuple[Start, ...]:
    free = 0 if state.paused else jobs - len(state.with_status(TaskStatus.WORKING))
    ready = [
        Start(task.id, state.tasks[task.id].generation + 1)
        for task in plan.tasks
        if state.tasks[task.id].status is TaskStatus.WAITING
        and all(state.tasks[need].status is TaskStatus.LANDED for need in task.needs)
        and task.agent not in resting
    ]
    return tuple(ready[: max(free, 0)])


def verdict(state: RunState) -> RunStatus:
    """Return what the run came to: `landed` (all of it), `partial`, or `failed` (nothing)."""
    landed = len(state.with_status(TaskStatus.LANDED))
    if landed == len(state.tasks):
        return "landed"
    return "partial" if landed else "failed"


def falls_back(plan: Plan, state: RunState) -> bool:
    """Tell whether one agent is to do all of it now: the plan says so, and nothing of the work side by side has landed.

    It would do again what somebody has cancelled, so then it does not.
    """
    side_by_side = state.started is not None and state.started.mode == "worktree"
    wanted = not state.stopping and not any(task.unwanted for task in state.tasks.values())
    return plan.fallback == "sequential" and side_by_side and wanted and verdict(state) == "failed"
