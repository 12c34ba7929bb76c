"""What changed on the board since somebody looked last, in sentences: agents are sent this and not the whole board again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.board.questions import PERSON

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.board.snapshot import LogLine, Snapshot, TaskView

__all__ = ["board_for", "news_for"]

_MANY = 60  # entries that one look tells; the board itself says what stands
_QUIET = frozenset({"opened", "refused", "dropped", "expelled", "published"})  # kinds that no agent needs to know


def board_for(board: Snapshot, task: str) -> str:
    """Return the board as the agent of a task first sees it: its own task whole, of the others where they stand."""
    own = next((view for view in board.tasks if view.id == task), None)
    lines = []
    if own is not None:
        lines.append(f"Your task: {own.id} {own.title}".rstrip())
        lines += [f"  {line}" for line in todo_lines(own)]
    others = [view for view in board.tasks if view.id != task]
    if others:
        lines.append("Other tasks:")
        lines += [f"  {_standing(view)}" for view in others]
    lines += _open_questions(board, task)
    return "\n".join(lines)


def news_for(board: Snapshot, task: str, since: int) -> str:
    """Return what happened after the log's entry `since` that the agent of a task may want to know."""
    told = [text for line in board.log if line.seq > since and (text := _sentence(line, task))]
    left_out = [f"({len(told) - _MANY} older entries are left out)"] if len(told) > _MANY else []
    return "\n".join([*left_out, *told[-_MANY:]]) or "Nothing has changed since you looked last."


def todo_lines(task: TaskView) -> Sequence[str]:
    """Return a line for each TODO of a task: its id, where it stands, who has it, and its title."""
    return [
        f"{todo.id}: {todo.state.value if todo.state else 'waiting'}"
        + (f" by {todo.holder}" if todo.holder else "")
        + (f" - {todo.title}" if todo.title else "")
        for todo in task.todos
    ]


def _standing(task: TaskView) -> str:
    state = task.state.value if task.state else "waiting"
    words = f" - {task.words}" if task.words else ""
    needs = f" (needs {', '.join(task.needs)})" if task.needs else ""
    return f"{task.id}: {state}{needs}{words}"


def _open_questions(board: Snapshot, task: str) -> Iterator[str]:
    for question in board.questions:
        if question.answer is None and question.to == task:
            yield f"Question {question.id} of {question.by} to you: {question.text}"


def _sentence(line: LogLine, task: str) -> str:
    fields = line.fields
    key, gen = str(fields.get("key", "")), fields.get("gen")
    match line.kind:
        case "granted":
            return f"{key} is held by {fields.get('holder')} (generation {gen})"
        case "submitted":
            return f"{key} was handed in"
        case "done":
            commit = fields.get("commit")
            return f"{key} has landed as {str(commit)[:12]}" if commit else f"{key} is done"
        case "overlap":
            return f"the work of {_list(fields.get('tasks'))} does not merge at {_list(fields.get('paths'))}"
        case "asked" if fields.get("to") == task:
            return f"question {fields.get('question')} of {fields.get('by')} to you: {fields.get('text')}"
        case "asked" if fields.get("to") == PERSON:
            return ""
        case "answered":
            return f"{fields.get('question')} was answered by {fields.get('by')}: {fields.get('text')}"
        case kind if kind in _QUIET or kind == "asked":
            return ""
        case kind:
            note = fields.get("note")
            return f"{key or _list(fields.get('tasks'))}: {kind}" + (f" ({note})" if note else "")


def _list(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
