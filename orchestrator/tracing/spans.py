"""Spans made of a run's events, and of the transcripts of its attempts, in the words of the GenAI conventions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from orchestrator import __version__
from orchestrator.model import events as happened
from orchestrator.model.text import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from opentelemetry.sdk.trace import TracerProvider

    from orchestrator.model.finding import CheckResult

__all__ = ["Spans"]

_MOST = 10_000  # spans of one attempt
_FLUSHED = 500  # spans after which the rest waits until they are sent: what is to be sent has room for some 2000
_SHOWN = 200  # characters of a name that an agent gives
_TOLD = frozenset({"turned", "called", "returned", "used", "waited", "advised"})
_TOKENS = {
    "gen_ai.usage.input_tokens": "input_tokens", "gen_ai.usage.output_tokens": "output_tokens",
    "gen_ai.usage.cache_read.input_tokens": "cached_tokens",
}  # fmt: skip
_Line = dict[str, Any]


class Spans:
    """Turns the events of one run into spans; times are nanoseconds since the epoch."""

    def __init__(self, provider: TracerProvider, folder: Path, started: happened.RunStarted, at: int) -> None:
        self._provider, self._folder = provider, folder
        self._tracer = provider.get_tracer("orch", __version__)
        self._made = 0
        self._attempts: dict[tuple[str, int], tuple[Span, happened.AttemptStarted]] = {}
        self._landings: dict[str, Span] = {}
        self._run = self._begin(
            f"invoke_workflow {started.plan}", at, None,
            {"gen_ai.operation.name": "invoke_workflow", "gen_ai.agent.name": started.plan, "orch.run": started.run},
        )  # fmt: skip

    def take(self, at: int, event: happened.Event) -> None:
        """Begin and end what an event begins and ends."""
        match event:
            case happened.AttemptStarted():
                self._attempts[event.task, event.generation] = (self._attempt(event, at), event)
            case happened.AttemptEnded():
                self._attempt_ended(event, at)
            case happened.Checked():
                over = self._attempts.get((event.task, event.generation))
                parent = self._landings.get(event.task) or (over[0] if over else self._run)
                self._checked(event.result, event.task, parent, at)
            case happened.LandingStarted():
                self._landings[event.task] = self._begin(f"land {event.task}", at, self._run, {"orch.task": event.task})
            case happened.Landed():
                self._landed(event.task, at, {"orch.commit": event.commit}, "")
            case happened.Refused():
                self._landed(event.task, at, {}, event.reason)
            case happened.RunEnded():
                self._run.set_attribute("orch.status", event.status)
                if event.status == "failed":
                    self._run.set_status(Status(StatusCode.ERROR, "nothing landed"))

    def close(self, at: int) -> None:
        """End everything that has not ended."""
        for span in (*self._landings.values(), *(span for span, _ in self._attempts.values()), self._run):
            if span.is_recording():
                span.end(at)

    def _begin(
        self, name: str, at: int, parent: Span | None, attributes: Mapping[str, Any], kind: SpanKind = SpanKind.INTERNAL
    ) -> Span:
        self._made += 1
        if self._made % _FLUSHED == 0:
            self._provider.force_flush()
        context = trace.set_span_in_context(parent) if parent is not None else Context()
        return self._tracer.start_span(name, context, kind, attributes, start_time=at)

    def _attempt(self, event: happened.AttemptStarted, at: int) -> Span:
        model, _, provider = event.model.rpartition("@")
        named = {"gen_ai.provider.name": provider} if provider.isalpha() and provider != "unknown" else {}
        return self._begin(
            f"invoke_agent {event.agent}", at, self._run,
            {
                "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": event.agent,
                "gen_ai.request.model": model or event.model, "gen_ai.conversation.id": event.session,
                "orch.task": event.task, "orch.generation": event.generation, **named,
            },
        )  # fmt: skip

    def _attempt_ended(self, event: happened.AttemptEnded, at: int) -> None:
        if (known := self._attempts.get((event.task, event.generation))) is None:
            return  # it began in a process that has gone
        span, started = known
        lines = list(_lines(self._folder / started.transcript))
        self._turns(span, lines, at)
        span.set_attributes({"orch.status": event.status.value, "orch.turns": event.turns, **_usage(lines)})
        span.set_attribute("orch.cost_usd", event.cost_usd)
        _fail(span, "" if event.status.value == "done" else event.reason, event.status.value)
        span.end(at)

    def _turns(self, attempt: Span, lines: list[_Line], end: int) -> None:
        """Make a span of each turn and each tool call of an attempt that has ended."""
        model = next((str(line.get("model")) for line in lines if line["event"] == "used"), "")
        turn: Span | None = None
        used: list[_Line] = []
        calls: dict[str, Span] = {}
        for line in lines[:_MOST]:
            at = min(int(line["at"] * 1e9), end)
            match line["event"]:
                case "turned":
                    _end_turn(turn, used, at)
                    turn, used = self._turn(attempt, line, model, at), []
                case "used":
                    used.append(line)
                case "called":
                    tool, call = clean_text(str(line.get("tool")), _SHOWN), clean_text(str(line.get("call")), _SHOWN)
                    attributes = {
                        "gen_ai.operation.name": "execute_tool",
                        "gen_ai.tool.name": tool,
                        "gen_ai.tool.call.id": call,
                    }
                    calls[call] = self._begin(f"execute_tool {tool}", at, turn or attempt, attributes)
                case "returned":
                    if (span := calls.pop(clean_text(str(line.get("call")), _SHOWN), None)) is not None:
                        _fail(span, "the tool failed" if line.get("failed") else "", "tool_error")
                        span.end(at)
                case "waited" | "advised" as name:
                    (turn or attempt).add_event(f"orch.{name}", timestamp=at)
        for span in calls.values():
            span.end(end)
        _end_turn(turn, used, end)

    def _turn(self, attempt: Span, line: _Line, model: str, at: int) -> Span:
        if not model:  # of a script, or of a program that tells nothing of a model
            return self._begin(f"turn {line.get('number')}", at, attempt, {})
        attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": model}
        return self._begin(f"chat {model}", at, attempt, attributes, SpanKind.CLIENT)

    def _checked(self, result: CheckResult, task: str, parent: Span, at: int) -> None:
        begun = at - int(result.seconds * 1e9)
        attributes = {"orch.task": task, "orch.cached": result.cached}
        what = result.name.replace(":", " ") if result.name.startswith("gate:") else f"check {result.name}"
        span = self._begin(what, begun, parent, attributes)
        _fail(span, "" if result.passed else "it did not pass", "failed")
        span.end(at)

    def _landed(self, task: str, at: int, attributes: Mapping[str, str], reason: str) -> None:
        if (span := self._landings.pop(task, None)) is not None:
            span.set_attributes(attributes)
            _fail(span, reason, "refused")
            span.end(at)


def _end_turn(turn: Span | None, used: list[_Line], at: int) -> None:
    if turn is not None:
        turn.set_attributes(_usage(used))
        turn.end(at)


def _usage(lines: list[_Line]) -> dict[str, int | str]:
    """Return the attributes of what was used in these lines; a program may tell it only with its last turn."""
    used = [line for line in lines if line["event"] == "used"]
    if not used:
        return {}
    tokens = {name: sum(int(line.get(key) or 0) for line in used) for name, key in _TOKENS.items()}
    return {"gen_ai.response.model": str(used[-1].get("model")), **tokens}


def _fail(span: Span, reason: str, kind: str) -> None:
    if reason:
        span.set_attribute("error.type", kind)
        span.set_status(Status(StatusCode.ERROR, clean_text(reason, _SHOWN)))


def _lines(transcript: Path) -> Iterator[_Line]:
    """Yield the lines of a transcript that say what an agent did."""
    try:
        with transcript.open("rb") as file:
            for text in file:
                line = json.loads(text)
                if line.get("event") in _TOLD:
                    yield line
    except (OSError, ValueError):
        return
