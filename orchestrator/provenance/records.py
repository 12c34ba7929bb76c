"""What the folders of runs still know of each generation: what was asked of it, what became of it, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.errors import PlanError, StoreError, UsageError
from orchestrator.journal.journal import read_journal
from orchestrator.model import events as happened
from orchestrator.planfile import load_plan

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from orchestrator.model.finding import CheckResult
    from orchestrator.model.plan import Task
    from orchestrator.model.trailers import Provenance

__all__ = ["GenerationId", "Record", "Records", "read_records_of_runs"]


class GenerationId(NamedTuple):
    """One generation of a task of a run."""

    run: str
    task: str
    generation: int

    @classmethod
    def of(cls, by: Provenance) -> GenerationId:
        """Return the generation that trailers name."""
        return cls(by.run, by.task, by.generation)


@dataclass(slots=True)
class Record:
    """What a journal says of one generation; `plan` is the folder of the plan, `transcript` was written there, and may be gone.

    `gates` are their last verdicts on the merged tree, by name; `seconds` is what the agent took.
    """

    folder: Path
    plan: Path
    agent: str = ""
    model: str = ""
    transcript: Path | None = None
    kept: str | None = None
    landed: str | None = None
    refused: str | None = None
    cost_usd: float = 0.0
    seconds: float = 0.0
    gates: dict[str, CheckResult] = field(default_factory=dict)

    def task(self, name: str) -> Task | None:
        """Return the task as the plan had it that counted when the generation began; None if that plan cannot be read."""
        try:
            tasks = load_plan(self.plan / "plan.yaml").plan.tasks
        except (UsageError, PlanError):
            return None
        return next((task for task in tasks if task.id == name), None)


@dataclass(frozen=True, slots=True)
class Records:
    """What all runs that are remembered say: generation → its record; run → why its journal cannot be read."""

    of: dict[GenerationId, Record]
    faults: dict[str, str]
    runs: frozenset[str]

    def why_unknown(self, run: str) -> str:
        """Return why nothing is known of a generation of a run."""
        if run in self.faults:
            return f"the journal of the run {run} cannot be read: {self.faults[run]}"
        return (
            f"the journal of the run {run} has nothing of it"
            if run in self.runs
            else f"the folder of the run {run} is gone"
        )


def read_records_of_runs(folders: Iterable[Path], only: str | None = None) -> Records:
    """Read the journals in these folders of runs, or in that of one run only."""
    named = {folder.name: folder for folder in folders}
    found = Records({}, {}, frozenset(named))
    for name, folder in named.items():
        if only in {None, name}:
            try:
                _read(folder, found.of)
            except StoreError as error:
                found.faults[name] = error.message
    return found


def _read(folder: Path, found: dict[GenerationId, Record]) -> None:
    plan = folder / "plan"
    for _, event in read_journal(folder / "journal"):
        if isinstance(event, happened.PlanEdited):
            plan = folder / event.folder
        if not isinstance(event, _OfAGeneration):
            continue
        key = GenerationId(folder.name, event.task, event.generation)
        _take_in(found.setdefault(key, Record(folder, plan)), event)


_OfAGeneration = (
    happened.AttemptStarted
    | happened.AttemptEnded
    | happened.Kept
    | happened.Checked
    | happened.Refused
    | happened.Landed
)


def _take_in(record: Record, event: object) -> None:
    match event:
        case happened.AttemptStarted():
            record.agent, record.model = event.agent, event.model
            record.transcript = record.folder / event.transcript
        case happened.AttemptEnded():
            record.cost_usd += event.cost_usd
            record.seconds += event.seconds
        case happened.Kept():
            record.kept = event.commit
        case happened.Checked() if event.stage == "landing" and event.result.name.startswith("gate:"):
            record.gates[event.result.name.removeprefix("gate:")] = event.result
        case happened.Refused():
            record.refused = event.reason
        case happened.Landed():
            record.landed = event.commit
        case _:
            pass
