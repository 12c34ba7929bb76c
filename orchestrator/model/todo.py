"""What the board says about a task before anybody works on it: its card, with its TODOs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.model.plan import Task

__all__ = ["TaskCard", "Todo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Todo:
    """One piece of a task that is claimed and ticked off by itself; `id` is unique within its task."""

    id: str
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCard:
    """One task as everybody may read it; `needs` are ids of tasks that must land first."""

    id: str
    title: str = ""
    track: str | None = None
    needs: tuple[str, ...] = ()
    todos: tuple[Todo, ...] = ()

    @classmethod
    def of(cls, task: Task) -> TaskCard:
        """Return the card of a planned task."""
        todos = tuple(Todo(id=todo.id, title=todo.title) for todo in task.todos)
        return cls(id=task.id, title=task.title, track=task.track, needs=task.needs, todos=todos)
