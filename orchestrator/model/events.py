"""Everything that can happen in a run: frozen values that are written down, folded into the state, and told to people.

One event has three readers: `model.state` (what is so now), the printers (what to tell), and `report` (what it came to).
`event_as_json` and `event_from_json` are the stored form.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from orchestrator.model.finding import CheckResult
from orchestrator.model.outcome import OutcomeStatus
from orchestrator.model.run_events import (
    BaseMoving,
    ContractsPublished,
    Noticed,
    OverlapSeen,
    Paused,
    PlanEdited,
    Resumed,
    Retried,
    RunEnded,
    RunStarted,
    StopRequested,
    Unpaused,
)
from orchestrator.model.task_events import (
    Assigned,
    AttemptEnded,
    AttemptStarted,
    CancelRequested,
    Checked,
    Kept,
    Landed,
    LandingStarted,
    ProcessStarted,
    Refused,
    Reported,
    ScopeWidened,
    SnapshotTaken,
    Submitted,
    TaskEnded,
)

__all__ = [
    "Assigned",
    "AttemptEnded",
    "AttemptStarted",
    "BaseMoving",
    "CancelRequested",
    "Checked",
    "ContractsPublished",
    "Event",
    "Kept",
    "Landed",
    "LandingStarted",
    "Noticed",
    "OverlapSeen",
    "Paused",
    "PlanEdited",
    "ProcessStarted",
    "Refused",
    "Reported",
    "Resumed",
    "Retried",
    "RunEnded",
    "RunStarted",
    "ScopeWidened",
    "SnapshotTaken",
    "StopRequested",
    "Submitted",
    "TaskEnded",
    "Unpaused",
    "event_as_json",
    "event_from_json",
]  # fmt: skip


Event = (
    RunStarted
    | Resumed
    | Retried
    | PlanEdited
    | BaseMoving
    | ProcessStarted
    | ContractsPublished
    | Assigned
    | AttemptStarted
    | Reported
    | ScopeWidened
    | AttemptEnded
    | Kept
    | SnapshotTaken
    | OverlapSeen
    | Checked
    | Submitted
    | Refused
    | LandingStarted
    | Landed
    | TaskEnded
    | StopRequested
    | CancelRequested
    | Paused
    | Unpaused
    | Noticed
    | RunEnded
)

_BY_KIND: dict[str, type[Any]] = {cls.kind: cls for cls in Event.__args__}


def event_as_json(event: Event) -> dict[str, Any]:
    """Return the stored form of an event: its kind and its fields, all JSON values."""
    values = {f.name: getattr(event, f.name) for f in fields(event)}
    if isinstance(event, Checked):
        values["result"] = event.result.as_json()
    return {"kind": event.kind, **values}


def event_from_json(data: dict[str, Any]) -> Event:
    """Return the event that `event_as_json` wrote."""
    stored = {k: v for k, v in data.items() if k not in {"kind", "at"}}
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
    cls = _BY_KIND[data["kind"]]
    if cls is Checked:
        values["result"] = CheckResult.from_json(values["result"])
    if cls is AttemptEnded:
        values["status"] = OutcomeStatus(values["status"])
    event: Event = cls(**values)
    return event
