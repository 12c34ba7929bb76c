"""What other programs read, as types: `report.json`, and what `orch blame --json` says.

`contracts/*.schema.json` are generated from these types (`scripts/schemas`).
"""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict

__all__ = [
    "AllLinesJson",
    "BlameLineJson",
    "BlameRangeJson",
    "CheckJson",
    "Conflicts",
    "EndStatus",
    "Mode",
    "Report",
    "RunStatus",
    "Stage",
    "TaskLinesJson",
    "TaskReport",
    "ViolationJson",
]

Mode = Literal["worktree"]
"""How agents share the work."""
RunStatus = Literal["landed", "partial", "failed"]
"""What a run came to: everything landed, some of it, or nothing."""
EndStatus = Literal["landed", "failed", "blocked", "cancelled"]
"""How a task's story ended."""
Stage = Literal["submission", "landing"]
"""What a check looked at: the agent's work, or the merged tree."""


class ViolationJson(TypedDict):
    """One broken rule at one place; `line` counts from 1."""

    kind: str
    path: str
    line: int | None
    message: str
    severity: Literal["error", "warning"]
    conflict: Literal["direct", "semantic", "structural", "behavioral", "dependency"]


class CheckJson(TypedDict):
    """The verdict of one check; `output` is a path in the run's folder.

    `cached` is true for a gate that passed on the same tree before, and was not run again.
    """

    name: str
    passed: bool
    seconds: float
    output: str | None
    cached: bool
    violations: list[ViolationJson]


class StageCheckJson(CheckJson):
    """A verdict, and what it was given on: the agent's work, or the merged tree."""

    stage: Stage


class RefusalJson(TypedDict):
    """A generation that did not make it, and why."""

    generation: int
    reason: str


class TaskReport(TypedDict):
    """What became of one task.

    `seconds` is what its agents took, `commit` what landed on the base branch. `branch` keeps the last
    attempt's work, which changes `files` paths; both are null if none was kept.
    """

    id: str
    title: str
    status: EndStatus
    reason: str | None
    generation: int
    commit: str | None
    branch: str | None
    agent: str
    model: str | None
    seconds: float
    cost_usd: float
    transcript: str | None
    files: int | None
    refusals: list[RefusalJson]
    checks: list[StageCheckJson]


class BaseJson(TypedDict):
    """The base branch, and the commit it pointed at before and after the run."""

    branch: str
    before: str
    after: str


class ByType(TypedDict):
    """Conflicts counted by their kind."""

    direct: int
    semantic: int
    structural: int
    behavioral: int
    dependency: int


class Resolved(TypedDict):
    """Failed checks of tasks that landed in the end, by who put them right: a script, a model, a person."""

    auto: int
    ai: int
    human: int


class Conflicts(TypedDict):
    """Overlapping pairs of scopes that `needs` keep apart; failed checks on an agent's work, and on merged trees."""

    prevented: int
    detected_early: int
    at_merge: int
    by_type: ByType
    resolved: Resolved


class Report(TypedDict):
    """The content of `report.json`; `timings` are seconds by phase, phases of parallel tasks added up."""

    version: Literal[1]
    run: str
    plan: str
    mode: Mode
    status: RunStatus
    stopped: str | None
    base: BaseJson
    tasks: list[TaskReport]
    conflicts: Conflicts
    timings: dict[str, float]
    cost_usd: float
    folder: str


class BlameLineJson(TypedDict):
    """One line of a file, and who wrote it; all but `line`, `commit` and `text` are null if no run did."""

    line: int
    commit: str
    task: str | None
    generation: int | None
    agent: str | None
    model: str | None
    run: str | None
    text: str


class TaskLinesJson(TypedDict):
    """What a task wrote: path to inclusive line ranges."""

    task: str
    files: dict[str, list[tuple[int, int]]]


BlameRangeJson = tuple[int, int, str | None, str | None, int | None, str | None, str | None]
"""First and last line, commit, task, generation, agent and model; all but the lines are null if no run wrote them."""


class AllLinesJson(TypedDict):
    """Who wrote every line at a revision: path to ranges from top to bottom; a file that is empty, or no text, has none."""

    revision: str
    files: dict[str, list[BlameRangeJson]]
