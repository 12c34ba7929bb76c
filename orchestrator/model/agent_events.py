"""What an agent does, as events that are alike for every kind of agent: the transcript keeps them, the guard watches them. Pure.

In a transcript each event is one line; beside it stand lines as an agent's program or provider gave them (`raw`, `output`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.model.text import clean_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Advised", "AgentEvent", "Called", "Returned", "Said", "Turned", "Used", "Waited", "as_line", "sentence_of"]

_SHOWN = 300  # characters of one text in a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """A turn begins: a request to a model, or a step of a script; the first is 1."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """The agent said something."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """The agent called a tool; `call` is what `Returned` names it by."""

    call: str
    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """A call came back.

    `effect` tells whether anything is different afterwards: a file was written, a command was run on files that it was not run
    on before, the board says something else, or time went by for which the agent meant to wait. To read is none.
    """

    call: str
    text: str = ""
    failed: bool = False
    effect: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What one request to a model has used; `input_tokens` counts those from the cache, too. `usd` is None without a price."""

    model: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """The agent waits for what it needs, and cannot get now: a provider's answer."""

    reason: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Advised:
    """The guard has intervened: it tells the agent something, or stops it for this reason."""

    text: str
    stop: bool = False


AgentEvent = Turned | Said | Called | Returned | Used | Waited | Advised
"""All that an agent is seen to do."""


def as_line(event: AgentEvent) -> tuple[str, dict[str, Any]]:
    """Return what a transcript says of an event: its kind, and its values."""
    return type(event).__name__.lower(), asdict(event)


def sentence_of(line: Mapping[str, Any]) -> str:
    """Return a line of a transcript as a sentence that a terminal can show; empty if only a program wants it.

    What stands in it may be anything: agents write to transcripts.
    """
    tell = _SENTENCES.get(str(line.get("event")))
    return clean_text(tell(line), _SHOWN) if tell else ""


def _text(line: Mapping[str, Any], key: str = "text") -> str:
    value = line.get(key, "")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _used(line: Mapping[str, Any]) -> str:
    usd = line.get("usd")
    price = f"${usd:.4f}" if isinstance(usd, int | float) else "unpriced"
    tokens = (
        f"{line.get('input_tokens')} tokens in ({line.get('cached_tokens')} cached), {line.get('output_tokens')} out"
    )
    return f"used {_text(line, 'model')}: {tokens}, {price}"


def _outcome(line: Mapping[str, Any]) -> str:
    reason = _text(line, "reason")
    return f"ends: {_text(line, 'status')}" + (f", {reason}" if reason else "")


_SENTENCES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "briefing": lambda line: f"is briefed: {_text(line)}",
    "turned": lambda line: f"turn {line.get('number')}",
    "said": lambda line: f"says: {_text(line)}",
    "called": lambda line: f"calls {_text(line, 'tool')} {_text(line, 'arguments')}",
    "returned": lambda line: f"{'fails' if line.get('failed') else 'returns'}: {_text(line)}",
    "used": _used,
    "waited": lambda line: f"waits {line.get('seconds')} s: {_text(line, 'reason')}",
    "advised": lambda line: f"{'is stopped' if line.get('stop') else 'is told'}: {_text(line)}",
    "output": lambda line: f"prints: {_text(line)}" if _text(line).strip() else "",
    "answer": lambda line: f"is answered {_text(line, 'question')}: {_text(line)}",
    "outcome": _outcome,
    "truncated": _text,
}
