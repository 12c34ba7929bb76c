"""The shape of the shared documents: their topics, the names in them, and the JSON texts they hold.

`contracts/board.md` promises this layout to others; unknown keys of a value are ignored, so that a newer
client and an older hub understand each other. What an agent wrote is checked here before anything is decided
about it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping  # noqa: TC003 (pydantic reads the annotations when it runs)
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from orchestrator.errors import BoardError
from orchestrator.model.claims import Grant
from orchestrator.model.todo import TaskCard

__all__ = [
    "AGENT_STATE",
    "ANSWERS",
    "ASKED_AT_ONCE",
    "CTL",
    "EVENTS",
    "EVENTS_KEPT",
    "GRANTS",
    "LOG",
    "LOG_KEPT",
    "LONGEST_WORDS",
    "REQUESTS",
    "STATE_KEY",
    "SUBMISSIONS",
    "TASKS",
    "AgentState",
    "AgentTopic",
    "Answer",
    "LogEntry",
    "Said",
    "Submission",
    "Wish",
    "agent_topic",
    "cut_words",
    "decode_answers",
    "decode_card",
    "decode_entry",
    "decode_grant",
    "decode_said",
    "decode_state",
    "decode_submission",
    "decode_wish",
    "encode",
    "encode_answers",
    "encode_card",
    "encode_entry",
    "is_key",
    "is_name",
    "is_todo",
    "parse_agent_topic",
    "split_key",
    "todo_key",
]

CTL = "ctl"
"""The hub's document."""
TASKS, GRANTS, ANSWERS, LOG = "tasks", "grants", "answers", "log"
AGENT_STATE, STATE_KEY, REQUESTS, SUBMISSIONS, EVENTS = "s", "s", "req", "submit", "ev"
LOG_KEPT = 1000
"""Entries of the hub's log that always stay; it is cut when it holds twice as many."""
EVENTS_KEPT = 100
ASKED_AT_ONCE = 100
"""Requests that an agent may have in its document; it takes them out once they are answered."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_T = TypeVar("_T")

Nonce = Annotated[str, Field(min_length=1, max_length=100)]
Key = Annotated[str, Field(max_length=201)]
LONGEST_WORDS = 2000
"""Characters that anybody may say at once."""
Words = Annotated[str, Field(max_length=LONGEST_WORDS)]


class AgentTopic(NamedTuple):
    """Whose document a topic is: an agent, in one of its lives."""

    agent: str
    incarnation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """`req[key]`: an agent asks for a key; answered with the same nonce."""

    nonce: Nonce


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """`submit[key]`: an agent hands in a task, or ticks off a TODO (no commit); answered as a wish is."""

    gen: int
    nonce: Nonce
    commit: Annotated[str, Field(max_length=200)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the hub said to a wish or a submission: a generation, or why not."""

    nonce: str
    gen: int = 0
    refused: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentState:
    """`s["s"]`: all that an agent says about itself, in one value (many would leave marks for ever)."""

    task: Key | None = None
    gen: int = 0
    phase: Annotated[str, Field(max_length=100)] = ""
    todo: Key | None = None
    note: Words = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One entry of `ev`; `n` counts this agent's own events and orders nothing else."""

    n: int
    text: Words


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One entry of the hub's log, the only total order on the board; `at` in seconds of the hub's clock."""

    seq: int
    at: float
    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)


def agent_topic(agent: str, incarnation: str) -> str:
    """Return the topic of an agent's document.

    Raises:
        BoardError: a part is not a name (`[A-Za-z0-9][A-Za-z0-9._-]*`, at most 100 characters).
    """
    for part in (agent, incarnation):
        if not is_name(part):
            raise BoardError(f"{part[:100]!r} cannot name an agent; write letters, digits, '.', '_', '-'")
    return f"ag/{agent}/{incarnation}"


def parse_agent_topic(topic: str) -> AgentTopic:
    """Return whose document a topic is.

    Raises:
        BoardError: it is not an agent's.
    """
    match topic.split("/"):
        case ["ag", agent, incarnation] if is_name(agent) and is_name(incarnation):
            return AgentTopic(agent, incarnation)
        case _:
            raise BoardError(f"{topic[:100]!r} is not the topic of an agent's document")


def todo_key(task: str, todo: str) -> str:
    """Return the key under which a TODO is claimed."""
    return f"{task}/{todo}"


def is_name(text: str) -> bool:
    """Tell whether a text can be the id of a task, a TODO or an agent."""
    return _NAME.fullmatch(text) is not None


def is_key(key: str) -> bool:
    """Tell whether a text can be a claim key: a task's id, or `task/todo`."""
    parts = key.split("/")
    return len(parts) <= 2 and all(map(is_name, parts))


def is_todo(key: str) -> bool:
    """Tell whether a claim key is that of a TODO."""
    return "/" in key


def split_key(key: str) -> tuple[str, str | None]:
    """Return the task of a claim key, and the TODO if it names one."""
    task, slash, todo = key.partition("/")
    return task, todo if slash else None


def cut_words(text: str) -> str:
    """Return as much of a text as an agent may say at once."""
    return text[:LONGEST_WORDS]


def encode(value: Grant | Wish | Submission | AgentState | Said) -> str:
    """Return the JSON text of a value; what is not valid Unicode in it becomes `?`."""
    return _dump(asdict(value))


def encode_card(card: TaskCard) -> str:
    """Return the text of `tasks[id]`, which leaves out the id."""
    return _dump({name: value for name, value in asdict(card).items() if name != "id"})


def encode_answers(answers: Mapping[str, Mapping[str, Answer]]) -> str:
    """Return the text of `answers[topic]`: by `req` or `submit`, then by key."""
    return _dump({name: {key: asdict(a) for key, a in by_key.items()} for name, by_key in answers.items()})


def encode_entry(entry: LogEntry) -> str:
    """Return the text of one entry of `log`.

    Raises:
        BoardError: a field is not JSON, or has the name of one that every entry has.
    """
    head = {"seq": entry.seq, "at": entry.at, "kind": entry.kind}
    if taken := head.keys() & entry.fields.keys():
        raise BoardError(f"a log entry has its own {', '.join(sorted(taken))}; choose another name")
    try:
        text = _dump(head | dict(entry.fields))
        _OBJECT.validate_json(text, strict=True)  # writing takes deeper nesting than reading does
    except (TypeError, ValueError, RecursionError) as fault:
        raise BoardError(f"a log entry of kind {entry.kind!r} is not JSON: {fault}") from fault
    return text


def decode_grant(text: str) -> Grant:
    """Return the grant in `grants[key]`."""
    return _load(_GRANT, text, "a grant")


def decode_card(task_id: str, text: str) -> TaskCard:
    """Return the card in `tasks[id]`."""
    fields: dict[str, Any] = _load(_OBJECT, text, "a task")
    return _check(_CARD, {**fields, "id": task_id}, "a task")


def decode_wish(text: str) -> Wish:
    """Return the request in `req[key]`."""
    return _load(_WISH, text, "a request")


def decode_submission(text: str) -> Submission:
    """Return the submission in `submit[key]`."""
    return _load(_SUBMISSION, text, "a submission")


def decode_answers(text: str) -> dict[str, dict[str, Answer]]:
    """Return the answers in `answers[topic]`, by `req` or `submit`, then by key."""
    return _load(_ANSWERS, text, "the hub's answers")


def decode_state(text: str) -> AgentState:
    """Return what an agent says about itself."""
    return _load(_STATE, text, "an agent's state")


def decode_said(text: str) -> Said:
    """Return one entry of `ev`."""
    return _load(_SAID, text, "an agent's event")


def decode_entry(text: str) -> LogEntry:
    """Return one entry of the hub's log."""
    fields: dict[str, Any] = _load(_OBJECT, text, "a log entry")
    head = {name: fields.pop(name, None) for name in ("seq", "at", "kind")}
    return _check(_ENTRY, {**head, "fields": fields}, "a log entry")


def _dump(value: object) -> str:
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    # Half of a surrogate pair (file names hold such) can be written and never be read again; it becomes "?".
    return text.encode("utf-8", "replace").decode()


def _load(adapter: TypeAdapter[_T], text: str, what: str) -> _T:
    try:
        return adapter.validate_json(text, strict=True)
    except ValidationError as fault:
        raise BoardError(f"{what} on the board cannot be read: {_reasons(fault)}") from fault


def _check(adapter: TypeAdapter[_T], value: object, what: str) -> _T:
    try:
        return adapter.validate_python(value)
    except ValidationError as fault:
        raise BoardError(f"{what} on the board cannot be read: {_reasons(fault)}") from fault


def _reasons(fault: ValidationError) -> str:
    problems = fault.errors(include_url=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, p['loc'])) or 'it'}: {p['msg']}" for p in problems[:3])


_OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
_GRANT = TypeAdapter(Grant)
_CARD = TypeAdapter(TaskCard)
_WISH = TypeAdapter(Wish)
_SUBMISSION = TypeAdapter(Submission)
_ANSWERS: TypeAdapter[dict[str, dict[str, Answer]]] = TypeAdapter(dict[str, dict[str, Answer]])
_STATE = TypeAdapter(AgentState)
_SAID = TypeAdapter(Said)
_ENTRY = TypeAdapter(LogEntry)
