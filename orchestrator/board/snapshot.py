"""The board at one moment, frozen: for programs as values and JSON, for people as text.

Agents are not trusted, so all text is cleaned as it is read: no control or invisible characters, no terminal
sequences, nothing that turns the reading direction, and never long. An agent's document that cannot be read
costs that agent's words only.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orchestrator.board import schema
from orchestrator.board.questions import questions_in
from orchestrator.errors import BoardError
from orchestrator.model.claims import Grant, GrantState
from orchestrator.model.text import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.board.document import Document
    from orchestrator.model.todo import TaskCard

__all__ = [
    "AgentView",
    "LogLine",
    "QuestionView",
    "Snapshot",
    "TaskView",
    "TodoView",
    "clean",
    "last_words",
    "render",
    "take",
]

_TEXT_LIMIT = 500
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TodoView:
    """One TODO; a `state` of None means that it was never opened."""

    id: str
    title: str
    state: GrantState | None
    gen: int
    holder: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """One task with what was decided about it; `words` is the last said of it, by its agent or the hub."""

    id: str
    title: str
    track: str | None
    needs: tuple[str, ...]
    state: GrantState | None
    gen: int
    holder: str | None
    commit: str | None
    words: str
    todos: tuple[TodoView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentView:
    """What one agent says about itself; `said` is its reports, oldest first."""

    agent: str
    incarnation: str
    task: str | None = None
    gen: int = 0
    phase: str = ""
    todo: str | None = None
    note: str = ""
    said: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionView:
    """One question: who asks, whom, and what was answered by whom, if it was."""

    id: str
    by: str
    to: str
    text: str
    answer: str | None
    answered_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One entry of the hub's log; `at` in seconds of the hub's clock."""

    seq: int
    at: float
    kind: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The board at one moment: tasks by id, agents by name, questions and the log in their order."""

    tasks: tuple[TaskView, ...]
    agents: tuple[AgentView, ...]
    log: tuple[LogLine, ...]
    questions: tuple[QuestionView, ...] = ()

    def task(self, task_id: str) -> TaskView:
        """Return the task with that id.

        Raises:
            BoardError: the board has none.
        """
        for task in self.tasks:
            if task.id == task_id:
                return task
        raise BoardError(f"the board has no task {task_id!r}")

    def as_json(self) -> dict[str, Any]:
        """Return the snapshot as JSON values, with the version of this form."""
        return {"version": 1, **asdict(self)}


def take(documents: Mapping[str, Document]) -> Snapshot:
    """Return the snapshot of these documents, by topic; without `ctl` there are no tasks and no log.

    Raises:
        BoardError: `ctl` cannot be read: a hub did not write it.
    """
    agents = tuple(_agent(topic, documents[topic]) for topic in sorted(documents) if topic.startswith("ag/"))
    ctl = documents.get(schema.CTL)
    if ctl is None:
        return Snapshot(tasks=(), agents=agents, log=())
    cards = ctl.items(schema.TASKS)
    grants = {key: schema.decode_grant(text) for key, text in ctl.items(schema.GRANTS).items()}
    in_order = (schema.decode_card(key, cards[key]) for key in sorted(cards, key=_natural))
    tasks = tuple(_task(card, grants, agents) for card in in_order)
    return Snapshot(tasks=tasks, agents=agents, log=tuple(_log(ctl)), questions=tuple(_questions(ctl)))


def last_words(document: Document) -> str:
    """Return the last that an agent said in its document, cleaned; nothing if that cannot be read."""
    try:
        text = document.get(schema.AGENT_STATE, schema.STATE_KEY)
        return clean(schema.decode_state(text).note) if text else ""
    except BoardError:
        return ""


def clean(text: str, limit: int = _TEXT_LIMIT) -> str:
    """Return one line that is safe to print anywhere, of at most `limit` characters."""
    return clean_text(text, limit)


def render(snapshot: Snapshot, *, width: int = 100, entries: int = 10) -> str:
    """Return the board as text of at most `width` columns: tasks with TODOs, agents, the last log entries."""
    lines = [_heading(snapshot)]
    room = max((len(task.id) for task in snapshot.tasks), default=0)
    for task in snapshot.tasks:
        lines.extend(_task_lines(task, min(room, 24)))
    if snapshot.agents:
        lines += ["", "Agents"]
        lines.extend(_agent_line(agent) for agent in snapshot.agents)
    if waiting := [q for q in snapshot.questions if q.answer is None]:
        lines += ["", "Questions"]
        lines.extend(f"  {q.id} of {q.by} to {q.to}: {q.text}" for q in waiting)
    if snapshot.log and entries > 0:
        lines += ["", "Log"]
        lines.extend(_log_line(line) for line in snapshot.log[-entries:])
    return "".join(f"{_cut(line, width).rstrip()}\n" for line in lines)


def _task(card: TaskCard, grants: Mapping[str, Grant], agents: tuple[AgentView, ...]) -> TaskView:
    grant = grants.get(card.id)
    todos = []
    for todo in card.todos:
        claim = grants.get(schema.todo_key(card.id, todo.id))
        todos.append(
            TodoView(
                id=clean(todo.id),
                title=clean(todo.title),
                state=claim.state if claim else None,
                gen=claim.gen if claim else 0,
                holder=claim.holder if claim else None,
            )
        )
    holder = grant.holder if grant else None
    at_it = [agent.note for agent in agents if agent.agent == holder and agent.task == card.id and agent.note]
    return TaskView(
        id=clean(card.id),
        title=clean(card.title),
        track=clean(card.track) if card.track else None,
        needs=tuple(clean(need) for need in card.needs),
        state=grant.state if grant else None,
        gen=grant.gen if grant else 0,
        holder=holder,
        commit=clean(grant.commit) if grant and grant.commit else None,
        words=at_it[-1] if at_it else clean(grant.note if grant else ""),
        todos=tuple(todos),
    )


def _agent(topic: str, document: Document) -> AgentView:
    agent, incarnation = schema.parse_agent_topic(topic)
    try:
        text = document.get(schema.AGENT_STATE, schema.STATE_KEY)
        state = schema.decode_state(text) if text else schema.AgentState()
        said = tuple(clean(schema.decode_said(text).text) for text in document.entries(schema.EVENTS))
    except BoardError:
        return AgentView(agent=agent, incarnation=incarnation, note="(what it wrote cannot be read)")
    return AgentView(
        agent=agent,
        incarnation=incarnation,
        task=clean(state.task) if state.task else None,
        gen=state.gen,
        phase=clean(state.phase),
        todo=clean(state.todo) if state.todo else None,
        note=clean(state.note),
        said=said,
    )


def _questions(ctl: Document) -> Iterator[QuestionView]:
    for question in questions_in(ctl).values():
        yield QuestionView(
            id=question.id,
            by=clean(question.by),
            to=clean(question.to),
            text=clean(question.text, schema.LONGEST_WORDS),
            answer=None if question.answer is None else clean(question.answer, schema.LONGEST_WORDS),
            answered_by=clean(question.answered_by) if question.answered_by else None,
        )


def _log(ctl: Document) -> Iterator[LogLine]:
    for text in ctl.entries(schema.LOG):
        entry = schema.decode_entry(text)
        fields = {clean(name): _clean_value(value) for name, value in entry.fields.items()}
        yield LogLine(seq=entry.seq, at=entry.at, kind=clean(entry.kind), fields=fields)


def _clean_value(value: object) -> object:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_clean_value(item) for item in value]
    if isinstance(value, dict):
        return {clean(name): _clean_value(item) for name, item in value.items()}
    return value


def _natural(key: str) -> list[tuple[int, int, str]]:
    """Return what sorts `A-2` before `A-10`."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in _DIGITS.split(key)]


def _heading(snapshot: Snapshot) -> str:
    count = Counter(_state(task.state) for task in snapshot.tasks)
    parts = [f"{count[name]} {name}" for name in ("waiting", *GrantState) if count[name]]
    return f"Tasks: {len(snapshot.tasks)}" + (f" ({', '.join(parts)})" if parts else "")


def _task_lines(task: TaskView, room: int) -> Iterator[str]:
    who = f"gen {task.gen} {task.holder}" if task.holder else f"gen {task.gen}" if task.gen else ""
    yield f"{_box(task.state)} {task.id:<{room}}  {_state(task.state):<9}  {who:<16}  {task.title}"
    for todo in task.todos:
        holder = f"  ({todo.holder})" if todo.holder and todo.state is GrantState.HELD else ""
        yield f"      {_box(todo.state)} {todo.id}  {todo.title}{holder}"
    if task.words:
        yield f"      > {task.words}"


def _agent_line(agent: AgentView) -> str:
    work = f"{agent.task} gen {agent.gen}" if agent.task else "nothing yet"
    doing = " ".join(part for part in (agent.phase, agent.todo) if part)
    return "  ".join(part for part in (f"  {agent.agent}", work, doing, agent.note) if part)


def _log_line(line: LogLine) -> str:
    said = " ".join(f"{name}={_plain(value)}" for name, value in line.fields.items())
    return f"  {line.seq:>5} {_time(line.at)} {line.kind:<9}  {said}"


def _plain(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _time(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "--:--:--"


def _state(state: GrantState | None) -> str:
    return "waiting" if state is None else state.value


def _box(state: GrantState | None) -> str:
    return "[x]" if state is GrantState.DONE else "[ ]"


def _cut(line: str, width: int) -> str:
    """Return the line cut to `width` columns; wide characters take two, marks on the one before none."""
    used = 0
    for at, c in enumerate(line):
        used += 0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        if used > width or at > 2 * width:
            return line[:at] if width < 2 else line[: max(at - 1, 0)] + "…"
    return line
