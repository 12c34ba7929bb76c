"""What an orchestrator that has gone left unsettled: `to_settle` decides what becomes of it, and does nothing itself.

It takes the state that the journal tells, once `Resumed` is in it, and what is really there. Whoever settles may be killed as
well, so what was settled shows in the journal and on the branch, and what was not is answered again, and in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.model.state import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from orchestrator.model.events import AttemptStarted
    from orchestrator.model.state import RunState, TaskState

__all__ = ["CutOff", "GiveUp", "LandAgain", "NoteContracts", "NoteLanded", "Settlement", "TakeBack", "to_settle"]


@dataclass(frozen=True, slots=True)
class NoteContracts:
    """The contracts are on the base branch, as this commit: say so."""

    commit: str


@dataclass(frozen=True, slots=True)
class NoteLanded:
    """A task's work is on the base branch, as this commit: say so, and end its claim."""

    task: str
    generation: int
    commit: str


@dataclass(frozen=True, slots=True)
class TakeBack:
    """The base branch was not moved: bring back to `old` the checkouts that were moved to `new` before it."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class CutOff:
    """Keep what an attempt left, and let the next one begin; this one does not count.

    `attempt` is None if its agent had not begun.
    """

    task: str
    generation: int
    attempt: AttemptStarted | None


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Refuse work that the board has given up, or forgotten: the next generation begins, and this one does not count."""

    task: str
    generation: int


@dataclass(frozen=True, slots=True)
class LandAgain:
    """Put a task that was landing back among those that wait to land: `commit` is its work, in `files` paths."""

    task: str
    generation: int
    commit: str
    files: int


Settlement = NoteContracts | NoteLanded | TakeBack | CutOff | GiveUp | LandAgain


def to_settle(state: RunState, *, moved: bool, given_up: Collection[str]) -> tuple[Settlement, ...]:
    """Return what must be settled, in order: the base branch first, then each task in plan order.

    `moved` tells whether the move of the base branch that was under way was done, `given_up` whose submitted work does not
    count on the board any more. Afterwards nothing is working or landing, what is on the base branch is known to be, and
    all that waits to land may.
    """
    base = _of_base(state, moved=moved)
    landed = {settlement.task for settlement in base if isinstance(settlement, NoteLanded)}
    tasks = ((task_id, task) for task_id, task in state.tasks.items() if task_id not in landed)
    return (*base, *(s for task_id, task in tasks for s in _of_task(task_id, task, given_up)))


def _of_base(state: RunState, *, moved: bool) -> tuple[Settlement, ...]:
    moving = state.moving
    if moving is None:
        return ()
    if not moved:
        return (TakeBack(moving.old, moving.new),)
    if not moving.tasks:
        return (NoteContracts(moving.new),)
    return tuple(
        NoteLanded(task, state.tasks[task].generation, commit)
        for task, commit in zip(moving.tasks, moving.commits, strict=True)
        if state.tasks[task].status is not TaskStatus.LANDED
    )


def _of_task(task_id: str, task: TaskState, given_up: Collection[str]) -> Iterator[Settlement]:
    if task.status is TaskStatus.WORKING:
        began = task.attempt is not None and task.attempt.generation == task.generation
        yield CutOff(task_id, task.generation, task.attempt if began else None)
    elif task.status in {TaskStatus.SUBMITTED, TaskStatus.LANDING} and task_id in given_up:
        yield GiveUp(task_id, task.generation)
    elif task.status is TaskStatus.LANDING:
        assert task.submitted is not None, "only submitted work is landed"
        yield LandAgain(task_id, task.generation, task.submitted, task.kept.files if task.kept else 0)
