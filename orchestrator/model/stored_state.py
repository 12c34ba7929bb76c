"""The state of a run as JSON values, exactly: what comes back is what the fold of the same events is. Pure.

A tuple is a list. Everything else that is no single value is an object with a `kind`: an event as the journal has it, a task, or
a mapping, whose entries are pairs, so that no key can be taken for a name of ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any

from orchestrator.model.events import Event, event_as_json, event_from_json
from orchestrator.model.finding import CheckResult, Violation
from orchestrator.model.state import RunState, TaskState, TaskStatus

__all__ = ["layout_of_state", "state_as_json", "state_from_json"]

_PARTS = (RunState, TaskState, CheckResult, Violation, *Event.__args__)


def state_as_json(state: RunState) -> dict[str, Any]:
    """Return the stored form of a state, all JSON values."""
    return {f.name: _encoded(getattr(state, f.name)) for f in fields(RunState)}


def state_from_json(data: dict[str, Any]) -> RunState:
    """Return the state that `state_as_json` wrote under the same layout."""
    return RunState(**{name: _decoded(value) for name, value in data.items()})


@cache
def layout_of_state() -> str:
    """Return 16 hex digits that change when what a state is made of does: stored under others, it must not be read."""
    layout = [(part.__name__, [(f.name, f.type) for f in fields(part)]) for part in _PARTS]
    return hashlib.sha256(repr(layout).encode()).hexdigest()[:16]


def _encoded(value: Any) -> Any:  # noqa: ANN401 - whatever a field of a state holds
    if isinstance(value, Event):
        return event_as_json(value)
    if isinstance(value, TaskState):
        return {"kind": "task", **{f.name: _encoded(getattr(value, f.name)) for f in fields(TaskState)}}
    if isinstance(value, Mapping):
        return {"kind": "mapping", "entries": [[key, _encoded(entry)] for key, entry in value.items()]}
    if isinstance(value, tuple):
        return [_encoded(part) for part in value]
    return value


def _decoded(value: Any) -> Any:  # noqa: ANN401 - whatever a field of a state holds
    if isinstance(value, list):
        return tuple(_decoded(part) for part in value)
    if not isinstance(value, dict):
        return value
    if value["kind"] == "mapping":
        return {key: _decoded(entry) for key, entry in value["entries"]}
    if value["kind"] == "task":
        parts = {name: _decoded(part) for name, part in value.items() if name != "kind"}
        return TaskState(**{**parts, "status": TaskStatus(parts["status"])})
    return event_from_json(value)
