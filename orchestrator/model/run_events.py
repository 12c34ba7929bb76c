"""What can happen to a run as a whole: values; see `events`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from orchestrator.model.formats import Mode, RunStatus  # noqa: TC001 - schemas are made from these

__all__ = [
    "BaseMoving",
    "ContractsPublished",
    "Noticed",
    "OverlapSeen",
    "Paused",
    "PlanEdited",
    "Resumed",
    "Retried",
    "RunEnded",
    "RunStarted",
    "StopRequested",
    "Unpaused",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A run of a plan's `tasks` (ids, in plan order) begins on a base branch; `agent` does it all, in mode sequential.

    `instead_of` is the run of which nothing has landed, if the plan says that one agent then does all of it.
    """

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
    agent: str | None = None
    instead_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """Another process goes on with a run that was ended or killed; `commit` is where the base branch is now."""

    kind: ClassVar[str] = "resumed"
    commit: str
    jobs: int
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """Tasks that had failed start anew, because somebody wants them to; what they came to so far is kept."""

    kind: ClassVar[str] = "retried"
    tasks: tuple[str, ...]


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
class ContractsPublished:
    """The contracts stand on the base branch; `commit` is None if they stood there already, or there are none."""

    kind: ClassVar[str] = "contracts-published"
    commit: str | None
    files: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapSeen:
    """What a task's agent has written so far does not merge with the unlanded work of another task, at `paths`."""

    kind: ClassVar[str] = "overlap-seen"
    task: str
    other: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequested:
    """Nothing more is started: a limit of the run is used up, or somebody wants it to end (then nothing more `lands`)."""

    kind: ClassVar[str] = "stop-requested"
    reason: str
    lands: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """Somebody wants no more attempts to begin; those that work go on, and what was submitted lands."""

    kind: ClassVar[str] = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpaused:
    """Attempts may begin again."""

    kind: ClassVar[str] = "unpaused"


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
