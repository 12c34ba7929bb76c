"""What can happen to a task: values; see `events`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from orchestrator.model.finding import CheckResult  # noqa: TC001 - schemas are made from these
from orchestrator.model.formats import EndStatus, Stage  # noqa: TC001
from orchestrator.model.outcome import OutcomeStatus  # noqa: TC001

__all__ = [
    "Assigned",
    "AttemptEnded",
    "AttemptStarted",
    "CancelRequested",
    "Checked",
    "Kept",
    "Landed",
    "LandingStarted",
    "ProcessStarted",
    "Refused",
    "Reported",
    "ScopeWidened",
    "SnapshotTaken",
    "Submitted",
    "TaskEnded",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStarted:
    """A process of an attempt runs; `started` tells it from a later one of the same number (clock ticks since `boot`)."""

    kind: ClassVar[str] = "process-started"
    task: str
    generation: int
    pid: int
    started: int | None
    boot: str = ""
    """Which start of the system: after another one, a stranger's process may have the same number and start time."""


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
    technique: str = "plain"
    """How the worktree was made: `overlay`, `pool` (it was moved on from another attempt) or `plain`."""
    confined: str = "audit"
    """What kept the agent's programs in their place: `landlock`, `bubblewrap`, or nothing but the `audit` afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """An agent says something, or claims or finishes a TODO; `text` is untrusted."""

    kind: ClassVar[str] = "reported"
    task: str
    generation: int
    action: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeWidened:
    """A generation of a task may write more than its plan says, until it ends; `reason` is the agent's, and untrusted."""

    kind: ClassVar[str] = "scope-widened"
    task: str
    generation: int
    globs: tuple[str, ...]
    reason: str


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
    tokens: int = 0


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
class CancelRequested:
    """Somebody does not want a task any more: it is ended unless it lands first."""

    kind: ClassVar[str] = "cancel-requested"
    task: str
