"""Everything that can happen in a run: frozen values that are written down, folded into the state, and told to people.

One event has three readers: `model.state` (what is so now), the printers (what to tell), and `report` (what it came to).
`event_as_json` and `event_from_json` are the stored form.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

from orchestrator.model.finding import CheckResult
from orchestrator.model.formats import EndStatus, Mode, RunStatus, Stage  # noqa: TC001 - schemas are made from these
from orchestrator.model.outcome import OutcomeStatus

__all__ = [
    "Assigned", "AttemptEnded", "AttemptStarted", "BaseMoving", "Checked", "ContractsPublished", "Event", "Kept",
    "Landed", "LandingStarted", "Noticed", "OverlapSeen", "PlanEdited", "ProcessStarted", "Refused", "Reported",
    "Resumed", "RunEnded", "RunStarted", "SnapshotTaken", "StopRequested", "Submitted", "TaskEnded", "event_as_json",
    "event_from_json",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A run of a plan's `tasks` (ids, in plan order) begins on a base branch."""

    kind: ClassVar[str] = "run-started"
    run: str
    plan: str
    tasks: tuple[str, ...]
    plan_sha256: str
    mode: Mode
    base: str
    commit: str
    jobs: int
    folder: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """Another process goes on with a run that was ended or killed; `commit` is where the base branch is now."""

    kind: ClassVar[str] = "resumed"
    commit: str
    jobs: int
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanEdited:
    """The run goes on with an edited plan, pinned in `folder` of the run's folder; `tasks` are all of its tasks, in plan order.

    `added`, `changed` (they start anew) and `dropped` are ids of tasks, as are `landed` (changed, but landed as they were) and
    `failed` (not changed, so given up as before). `contracts` are the contract files that are written again, `others` what
    else differs. `jobs` is how many agents work at once from now on; None: as many as before.
    """

    kind: ClassVar[str] = "plan-edited"
    plan_sha256: str
    folder: str
    jobs: int | None
    tasks: tuple[str, ...]
    added: tuple[str, ...]
    changed: tuple[str, ...]
    dropped: tuple[str, ...]
    landed: tuple[str, ...]
    failed: tuple[str, ...]
    contracts: tuple[str, ...]
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseMoving:
    """The base branch is about to be moved, by compare-and-swap, from `old` to the last of `commits`.

    Each of these is the landing of one of `tasks`, in the same order; with no task, it is the contracts.
    """

    kind: ClassVar[str] = "base-moving"
    tasks: tuple[str, ...]
    commits: tuple[str, ...]
    old: str

    @property
    def new(self) -> str:
        """Where the base branch is about to be."""
        return self.commits[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStarted:
    """A process of an attempt runs; `started` tells it from a later one of the same number (clock ticks since boot)."""

    kind: ClassVar[str] = "process-started"
    task: str
    generation: int
    pid: int
    started: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractsPublished:
    """The contracts stand on the base branch; `commit` is None if they stood there already, or there are none."""

    kind: ClassVar[str] = "contracts-published"
    commit: str | None
    files: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """A generation of a task is given to an agent, which will sit down in a moment."""

    kind: ClassVar[str] = "assigned"
    task: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted:
    """An agent has its worktree and starts on a generation of a task, on top of `commit`."""

    kind: ClassVar[str] = "attempt-started"
    task: str
    generation: int
    commit: str
    branch: str
    worktree: str
    agent: str
    model: str
    session: str
    transcript: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """An agent says something, or claims or finishes a TODO; `text` is untrusted."""

    kind: ClassVar[str] = "reported"
    task: str
    generation: int
    action: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnded:
    """An agent has stopped."""

    kind: ClassVar[str] = "attempt-ended"
    task: str
    generation: int
    status: OutcomeStatus
    reason: str
    seconds: float
    cost_usd: float
    turns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What an attempt left, finished or not, is on its branch: `files` paths that differ from where it started."""

    kind: ClassVar[str] = "kept"
    task: str
    generation: int
    branch: str
    commit: str
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotTaken:
    """What an agent has written so far is kept: `files` have changed since the snapshot before."""

    kind: ClassVar[str] = "snapshot-taken"
    task: str
    generation: int
    ref: str
    commit: str
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapSeen:
    """What a task's agent has written so far does not merge with the unlanded work of another task, at `paths`."""

    kind: ClassVar[str] = "overlap-seen"
    task: str
    other: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A check has given its verdict, on the agent's work (`submission`) or on the merged tree (`landing`)."""

    kind: ClassVar[str] = "checked"
    task: str
    generation: int
    stage: Stage
    result: CheckResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """The work has passed its checks and waits to land."""

    kind: ClassVar[str] = "submitted"
    task: str
    generation: int
    commit: str
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A generation did not make it; `feedback` is handed to the next one.

    `final` says that trying again is useless, `stopped` that it was not the work's fault: we stopped it.
    """

    kind: ClassVar[str] = "refused"
    task: str
    generation: int
    reason: str
    feedback: str
    final: bool = False
    stopped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LandingStarted:
    """A task's work is being merged and gated."""

    kind: ClassVar[str] = "landing-started"
    task: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """A task's work is on the base branch: `commit` is its new tip, `tree` the tree that was tested."""

    kind: ClassVar[str] = "landed"
    task: str
    generation: int
    commit: str
    tree: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEnded:
    """A task will not land: `failed`, `blocked` by a need that did not land, or `cancelled`."""

    kind: ClassVar[str] = "task-ended"
    task: str
    status: EndStatus
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequested:
    """Nothing more is started: a limit of the run is used up, or somebody wants it to end (then nothing more `lands`)."""

    kind: ClassVar[str] = "stop-requested"
    reason: str
    lands: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """Something the user should know that changes nothing."""

    kind: ClassVar[str] = "noticed"
    text: str
    task: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """The run is over."""

    kind: ClassVar[str] = "run-ended"
    status: RunStatus
    commit: str
    seconds: float


Event = (
    RunStarted
    | Resumed
    | PlanEdited
    | BaseMoving
    | ProcessStarted
    | ContractsPublished
    | Assigned
    | AttemptStarted
    | Reported
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
