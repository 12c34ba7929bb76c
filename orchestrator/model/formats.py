"""What other programs read, as types: `report.json`, and what `orch blame --json` says.

`contracts/*.schema.json` are generated from these types (`scripts/schemas`).
"""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

__all__ = [
    "AllLinesJson",
    "BlameLineJson",
    "BlameRangeJson",
    "ByHandJson",
    "CheckJson",
    "Conflicts",
    "EndStatus",
    "FileProvenanceJson",
    "GateOutcomeJson",
    "GenerationJson",
    "LinesByJson",
    "Mode",
    "NoteJson",
    "OwnedLinesJson",
    "PayoffJson",
    "Report",
    "RunStatus",
    "ShareJson",
    "SharesJson",
    "Stage",
    "TaskLinesJson",
    "TaskReport",
    "ViolationJson",
    "WasJson",
    "WhyJson",
    "WroteJson",
]

Mode = Literal["worktree", "sequential", "crdt"]
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
    attempt's work, which changes `files` paths; both are null if none was kept. `confined` is what kept the programs of the last
    attempt in their place: `landlock`, `bubblewrap`, or nothing but the `audit` afterwards; null if there was no attempt.
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
    confined: str | None
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


class PayoffJson(TypedDict):
    """When work side by side pays: `tasks` take as long as `length` of them in a row; seconds of one landing, and of a task.

    `saved` are seconds against one agent after another, by what the attempts took; null if nothing landed, or if the times of a
    process before this one are not known.
    """

    tasks: int
    jobs: int
    length: int
    landing: float | None
    break_even: float | None
    saved: float | None


class Report(TypedDict):
    """The content of `report.json`; `timings` are seconds by phase, phases of parallel tasks added up.

    Those are of all processes that have worked on the run, but `total` is of the last; `resumed` is how many there were before.
    """

    version: Literal[1]
    run: str
    plan: str
    mode: Mode
    status: RunStatus
    stopped: str | None
    resumed: int
    base: BaseJson
    tasks: list[TaskReport]
    conflicts: Conflicts
    timings: dict[str, float]
    payoff: PayoffJson
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


class LinesByJson(TypedDict):
    """What was written by an agent or with a model, or by such a task: path to inclusive line ranges, and what was asked for."""

    task: NotRequired[str]
    agent: NotRequired[str]
    model: NotRequired[str]
    files: dict[str, list[tuple[int, int]]]


class ShareJson(TypedDict):
    """So many lines in so many files; `share` of all lines that were asked about, from 0 to 1."""

    lines: int
    share: float
    files: int


class ByHandJson(ShareJson):
    """What no run wrote; `changed` of these lines stand where a task's line stood."""

    changed: int


class SharesJson(TypedDict):
    """How much each task, agent and model wrote of the lines that were asked about; the greatest first."""

    revision: str
    lines: int
    files: int
    tasks: dict[str, ShareJson]
    agents: dict[str, ShareJson]
    models: dict[str, ShareJson]
    by_hand: ByHandJson


class GateOutcomeJson(TypedDict):
    """What a gate said of the tree that landed."""

    name: str
    passed: bool
    outcome: str


class WroteJson(TypedDict):
    """A generation of a task of a run."""

    run: str
    task: str
    generation: int


class WasJson(WroteJson):
    """Whose line stood there before it was changed by hand."""

    commit: str


class WhyJson(BlameLineJson):
    """How a line came about. What is null is not known, or is not so; `unknown` tells in sentences what is not known any more.

    `was` is whose line stood there before, if it was changed by hand; `transcript` is a path, `seconds` what the agent took.
    """

    path: str
    subject: str
    was: WroteJson | None
    title: str | None
    prompt: str | None
    gates: list[GateOutcomeJson] | None
    landed: str | None
    transcript: str | None
    seconds: float | None
    cost_usd: float | None
    branch: str | None
    unknown: list[str]


class OwnedLinesJson(TypedDict):
    """Lines `first` to `last`. All but these are null if no run wrote them.

    But if somebody changed a run's lines by hand, `commit` did so, and `was` is whose they were.
    """

    first: int
    last: int
    commit: str | None
    run: str | None
    task: str | None
    generation: int | None
    agent: str | None
    model: str | None
    was: WasJson | None


class GenerationJson(WroteJson):
    """A generation that wrote a file; `reason` says why it did not land, `branch` is the one that kept its work."""

    agent: str
    model: str
    landed: bool
    reason: str | None
    branch: str | None


class FileProvenanceJson(TypedDict):
    """What `orch blame --export DIR` writes for a file, and `orch blame --history PATH --json` prints.

    `lines` are from top to bottom, none of a file that is no text; `conflict_risk` is the number of tasks in `history`.
    """

    version: Literal[1]
    path: str
    revision: str
    earlier_names: list[str]
    lines: list[OwnedLinesJson]
    conflict_risk: int
    history: list[GenerationJson]


class NoteJson(TypedDict):
    """The git note of a commit of a run: path to the lines that come from it at the revision, as inclusive ranges."""

    version: Literal[1]
    revision: str
    run: str
    task: str
    generation: int
    agent: str
    model: str
    files: dict[str, list[tuple[int, int]]]
