"""What a program tells of itself in JSON lines, read by a preset's rules into the events that all agents have in common. Pure."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.model.agent_events import AgentEvent, Called, Returned, Said, Turned, Used

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.agents.filling import Json
    from orchestrator.agents.preset import Rule

__all__ = ["JsonEvents"]

_LONGEST = 32 << 20  # bytes of a line; what is longer is no event
_KEPT, _SHOWN = 40, 2000  # lines that are no JSON, and bytes of each
_READS = ("read", "list", "search", "grep", "glob", "fetch", "ls", "todo")


@dataclass(slots=True)
class JsonEvents:
    """Reads a program's output as it comes.

    `session` is what the program can be resumed by, `summary` its last words, `failure` what it says that went wrong, `reset`
    when its provider takes requests again, `turns` how many turns it has begun, `other` the last lines that are no JSON.
    """

    rules: tuple[Rule, ...]
    model: str
    session: str | None = None
    summary: str = ""
    failure: str = ""
    reset: str = ""
    turns: int = 0
    other: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT))
    _left: bytes = b""
    _turn: object = None
    _pieces: list[str] = field(default_factory=list)
    _tools: dict[str, str] = field(default_factory=dict)

    def feed(self, chunk: bytes) -> Iterator[AgentEvent]:
        """Yield the events of all lines that are whole now; what is no JSON object goes to `other`."""
        *lines, self._left = (self._left + chunk).split(b"\n")
        self._left = self._left if len(self._left) < _LONGEST else b""
        for line in lines:
            try:
                value = json.loads(line) if line.lstrip().startswith(b"{") else None
            except (ValueError, RecursionError):
                value = None
            if isinstance(value, dict):
                yield from self._line(value)
            elif line.strip():
                self.other.append(line[:_SHOWN].decode("utf-8", "replace"))

    def _line(self, line: Mapping[str, Json]) -> Iterator[AgentEvent]:
        for rule in self.rules:
            if not _fits(line, rule.when):
                continue
            if rule.piece is None and self._pieces:
                yield from self._sentence()
            items = _each(_at(line, rule.each)) if rule.each else [line]
            for item in items:
                if isinstance(item, dict) and _fits(item, rule.where):
                    yield from self._apply(rule, item, line)

    def _sentence(self) -> Iterator[AgentEvent]:
        """Yield what was said in pieces, now that something else comes."""
        self.summary = "".join(self._pieces)
        self._pieces.clear()
        yield Said(text=self.summary)

    def _apply(self, rule: Rule, item: Mapping[str, Json], line: Mapping[str, Json]) -> Iterator[AgentEvent]:
        if rule.turned and (turn := _at(line, rule.turned)) != self._turn:
            self._turn, self.turns = turn, self.turns + 1
            yield Turned(number=self.turns)
        if rule.said and (text := _text(_at(item, rule.said))):
            yield Said(text=text)
        if rule.piece and (text := _text(_at(item, rule.piece))):
            self._pieces.append(text)
        if rule.called:
            call, tool = _text(_at(item, rule.called.call)), _text(_at(item, rule.called.tool))
            given = _at(item, rule.called.arguments) if rule.called.arguments else None
            self._tools[call] = tool
            yield Called(
                call=call, tool=tool, arguments=given if isinstance(given, dict) else {"given": given} if given else {}
            )
        if rule.returned:
            call, failed = _text(_at(item, rule.returned.call)), rule.returned.failed
            bad = _fits(item, failed) if failed else False
            text = _text(_at(item, rule.returned.text)) if rule.returned.text else ""
            tool = self._tools.pop(call, "").lower()
            yield Returned(
                call=call, text=text, failed=bad, effect=not bad and not any(word in tool for word in _READS)
            )
        if rule.used:
            used = rule.used
            yield Used(
                model=_text(_at(item, used.model)) if used.model else self.model,
                input_tokens=sum(_number(_at(item, path)) for path in used.input_tokens),
                cached_tokens=sum(_number(_at(item, path)) for path in used.cached_tokens),
                output_tokens=sum(_number(_at(item, path)) for path in used.output_tokens),
                usd=_usd(_at(item, used.usd)) if used.usd else None,
            )
        self.session = (_text(_at(item, rule.session)) if rule.session else "") or self.session
        self.summary = (_text(_at(item, rule.summary)) if rule.summary else "") or self.summary
        self.failure = (_text(_at(item, rule.failure)) if rule.failure else "") or self.failure
        self.reset = (_text(_at(item, rule.reset)) if rule.reset else "") or self.reset


def _at(value: Json, path: str) -> Json:
    """Return what lies at a path of keys with dots between them; None if there is nothing."""
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _each(value: Json) -> list[Json]:
    if isinstance(value, dict):
        return [{"key": key, "value": one} for key, one in value.items()]
    return value if isinstance(value, list) else []


def _fits(value: Mapping[str, Json], wanted: Mapping[str, Json]) -> bool:
    return all(
        _at(value, path) in one if isinstance(one, list) else _at(value, path) == one for path, one in wanted.items()
    )


def _text(value: Json) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(one, dict) and isinstance(one.get("text"), str) for one in value):
        return "\n".join(one["text"] for one in value)
    return "" if value is None else json.dumps(value)


def _number(value: Json) -> int:
    return int(value) if isinstance(value, (int, float)) and value >= 0 else 0


def _usd(value: Json) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0 else None
