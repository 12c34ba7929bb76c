"""The trials of a comparison: in which order they are made, how one is made, and how long the others will take."""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.compare.arms import Arm
from orchestrator.compare.measuring import measured, why_failed, written
from orchestrator.compare.trials import Trial
from orchestrator.compare.type_errors import type_errors
from orchestrator.errors import OrchestratorError
from orchestrator.leftovers.owned_folder import delete_with_runs
from orchestrator.processes.process import Ladder, clean_environment, run_group

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from orchestrator.compare.series_folder import SeriesFolder
    from orchestrator.compare.sources import Source
    from orchestrator.git.repository import Repository
    from orchestrator.model.formats import Mode

__all__ = ["Series", "Slot", "make_trials", "slots_of"]

_RUN = "trial"
_LONGEST = 500  # characters of a reason; the rest is in no report
_LADDER = Ladder(interrupt=20.0, terminate=5.0)  # a run that is interrupted gives its own agents ten seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One trial that is to be made; `run` is its number, `position` its place in the order of all."""

    mode: Mode
    agents: int
    run: int
    position: int

    @property
    def label(self) -> str:
        """What people are told it is."""
        return Arm(mode=self.mode, agents=self.agents).label


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """How trials are to be made; `jobs` are the numbers of agents that are tried in every mode but sequential."""

    modes: tuple[Mode, ...]
    jobs: tuple[int, ...]
    trials: int
    warm_up: int
    seed: int


def slots_of(series: Series, start: int = 1, stop: int | None = None) -> list[Slot]:
    """Return the trials in their order: number after number, and within one number the arms shuffled by the seed.

    So arms that share a number are near in time, and more trials can be asked for later without moving those before.
    """
    arms: list[tuple[Mode, int]] = [
        (mode, n) for mode in series.modes for n in ((1,) if mode == "sequential" else series.jobs)
    ]
    slots: list[Slot] = []
    for run in range(start, (series.trials if stop is None else stop) + 1):
        shuffled = random.Random(f"{series.seed} {run}").sample(arms, len(arms))  # noqa: S311 - an order, no secret
        first = (run - 1) * len(arms) + 1
        slots += [
            Slot(mode=mode, agents=agents, run=run, position=first + i) for i, (mode, agents) in enumerate(shuffled)
        ]
    return slots


async def make_trials(
    series: Series,
    source: Source,
    folder: SeriesFolder,
    work: Path,
    *,
    stop: asyncio.Event,
    tell: Callable[[str], None],
) -> None:
    """Make the trials that the folder has not yet, each in a process of its own, and add each to the folder.

    `work` is a folder for what they leave. Returns early once `stop` is set; the trial that is cut off is not counted.
    """
    made = {(trial.mode, trial.agents, trial.run) for trial in folder.trials}
    left = [slot for slot in slots_of(series) if (slot.mode, slot.agents, slot.run) not in made]
    if made and left:
        tell(f"{len(folder.trials)} trials are there already; {len(left)} are left.")
    clock = _Clock(folder.trials)
    for slot in slots_of(series, -series.warm_up + 1, 0) if left else ():
        if (found := await _trial(source, slot, work / _RUN, stop)) is None:
            return
        tell(f"warm-up: {slot.label}: {_told(found.trial)}")
        clock.note(found.trial)
    for number, slot in enumerate(left, start=1):
        if (found := await _trial(source, slot, work / _RUN, stop)) is None:
            return
        trial = found.trial
        folder.add(trial, found.models, found.files)
        clock.note(trial)
        done = f"trial {number} of {len(left)}: {slot.label}, number {slot.run}: {_told(trial)}"
        tell(f"{done}{clock.left(left[number:])}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A trial, the models that worked in it, and the text of the files that it wrote."""

    trial: Trial
    models: set[str]
    files: dict[str, str]


async def _trial(source: Source, slot: Slot, folder: Path, stop: asyncio.Event) -> _Made | None:
    """Make one trial; return what came of it, or None if it was cut off."""
    delete_with_runs(folder)
    plan, repository = source.make(folder, slot.run)
    report, why = await _run(plan, repository, slot, folder, stop)
    if stop.is_set():
        return None
    fields: dict[str, Any] = {"error": why}
    files: dict[str, str] = {}
    if not why:
        try:
            fields = {**measured(report, repository), "error": why_failed(report, slot.mode)}
            files = written(report, repository)
            fields["type_errors"] = await type_errors(files, folder.parent) if fields.get("parses") else None
        except (OrchestratorError, OSError, ValueError, KeyError) as error:
            fields = {"error": f"what it left cannot be measured: {error}"[:_LONGEST]}
    trial = Trial(
        task=source.loaded.plan.name, mode=slot.mode, run=max(slot.run, 0), agents=slot.agents, seed=source.seed_of(slot.run),
        position=max(slot.position, 0), simulated=source.simulated, coupling=source.coupling, **fields,
    )  # fmt: skip
    delete_with_runs(folder)
    models = {model for task in report.get("tasks", ()) if (model := task.get("model"))}
    return _Made(trial=trial, models=models, files=files)


async def _run(plan: Path, repository: Repository, slot: Slot, folder: Path, stop: asyncio.Event) -> tuple[Any, str]:
    """Run a plan in a process of its own; return what it printed as JSON, and why that is no report, if it is none."""
    command = [
        *(sys.executable, "-m", "orchestrator", "run", str(plan), "--mode", slot.mode, "--jobs", str(slot.agents)),
        *("--run", _RUN, "--repo", str(repository.common_dir), "--json"),
    ]
    said = bytearray()
    with tempfile.TemporaryFile() as errors:
        ended = await run_group(
            command, cwd=folder, env=clean_environment({"ORCH_HOME": str(folder / "home")}), on_output=said.extend,
            errors=errors, stop=stop, ladder=_LADDER,
        )  # fmt: skip
        errors.seek(max(0, errors.seek(0, 2) - 4000))
        told = errors.read().decode("utf-8", "replace").strip().splitlines()
    report = _json_in(bytes(said))
    if "timings" in report:
        return report, ""
    why = report.get("error") or (told[-1] if told else "it said nothing")
    return report, f"orch ended with exit code {ended.code}: {why}"[:_LONGEST]


def _json_in(said: bytes) -> Any:  # noqa: ANN401 - the report of a run, or what stands in its place
    try:
        found = json.loads(said.splitlines()[-1])
    except (ValueError, IndexError):
        return {}
    return found if isinstance(found, dict) else {}


def _told(trial: Trial) -> str:
    return f"failed: {trial.error}" if trial.error else f"{trial.wall_seconds:.1f} s"


@dataclass(slots=True)
class _Clock:
    """Tells how long trials will take, from those that were made."""

    trials: Iterable[Trial]
    _seen: dict[tuple[str, int | None], list[float]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for trial in self.trials:
            self.note(trial)

    def note(self, trial: Trial) -> None:
        """Take the time of a trial."""
        if trial.wall_seconds is not None:
            self._seen[trial.mode, trial.agents].append(trial.wall_seconds)

    def left(self, slots: Sequence[Slot]) -> str:
        """Return in words how long these will take: like those of their arm, else like all."""
        known = [seconds for each in self._seen.values() for seconds in each]
        if not slots or not known:
            return ""
        mean = sum(known) / len(known)
        seconds = 0.0
        for slot in slots:
            own = self._seen.get((slot.mode, slot.agents))
            seconds += sum(own) / len(own) if own else mean
        minutes, rest = divmod(round(seconds), 60)
        return f"; about {minutes} min {rest} s left" if minutes else f"; about {rest} s left"
