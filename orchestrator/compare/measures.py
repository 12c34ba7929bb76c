"""What is compared: each measure with its unit, its better direction, and its value in a trial."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orchestrator.compare.trials import Trial

__all__ = ["TIME", "Better", "Measure", "measures_of", "score_names"]

TIME = "wall_seconds"
"""The key of the measure that the advice is about first."""


class Better(StrEnum):
    """Which direction of a measure is good."""

    LOWER = "lower"
    HIGHER = "higher"
    NEITHER = "neither"  # how much was written says nothing about its worth


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One measure; `value` returns None for a trial in which it was not taken.

    A share has no outliers: where nine files of ten parse, the tenth is no mistake of measurement.
    """

    key: str
    title: str
    unit: str
    better: Better
    value: Callable[[Trial], float | None]

    @property
    def has_outliers(self) -> bool:
        """Whether values far from the others are left out for comparison."""
        return self.unit != "share"


def measures_of(trials: Iterable[Trial]) -> tuple[Measure, ...]:
    """Return the measures that at least one of the trials has, the time first."""
    trials = list(trials)
    every = [*_FIXED, *(_score(name) for name in score_names(trials))]
    return tuple(m for m in every if any(m.value(trial) is not None for trial in trials))


def score_names(trials: Iterable[Trial]) -> list[str]:
    """Return the names under which a judge gave scores, sorted."""
    return sorted({name for trial in trials for name in trial.scores})


def _measure(key: str, title: str, unit: str, better: Better = Better.LOWER) -> Measure:
    def value(trial: Trial) -> float | None:
        found = getattr(trial, key)
        return None if found is None else float(found)

    return Measure(key=key, title=title, unit=unit, better=better, value=value)


def _sum(key: str, title: str, unit: str) -> Measure:
    def value(trial: Trial) -> float | None:
        parts: dict[str, float] = getattr(trial, key)
        return float(sum(parts.values())) if parts else None

    return Measure(key=key, title=title, unit=unit, better=Better.LOWER, value=value)


def _per_1000(
    key: str, title: str, unit: str, better: Better = Better.LOWER, *, only_if_it_parses: bool = False
) -> Measure:
    def value(trial: Trial) -> float | None:
        found = getattr(trial, key)
        if found is None or not trial.characters or (only_if_it_parses and trial.parses is False):
            return None
        return float(found) / trial.characters * 1000

    return Measure(key=f"{key}_per_1000", title=title, unit=f"{unit} per 1,000 characters", better=better, value=value)


def _unparsed(trial: Trial) -> float | None:
    return None if trial.parses is None else float(not trial.parses)


def _gates(trial: Trial) -> float | None:
    return trial.gates_passed / trial.gates_run if trial.gates_passed is not None and trial.gates_run else None


def _score(name: str) -> Measure:
    title = f"Score: {name.replace('_', ' ')}"
    return Measure(
        key=f"score.{name}", title=title, unit="points", better=Better.HIGHER, value=lambda t: t.scores.get(name)
    )


_FIXED = (
    _measure(TIME, "Wall time", "s"),
    _per_1000(TIME, "Wall time by volume", "s"),
    _measure("agent_seconds", "Agent time", "s"),
    _sum("overhead", "Orchestration overhead", "s"),
    _measure("tokens", "Tokens", "tokens"),
    _measure("cost_usd", "Cost", "USD"),
    _measure("characters", "Code written", "characters", Better.NEITHER),
    _measure("lines", "Lines written", "lines", Better.NEITHER),
    Measure(key="gates", title="Share of gates passed", unit="share", better=Better.HIGHER, value=_gates),
    Measure(key="unparsed", title="Work that does not parse", unit="share", better=Better.LOWER, value=_unparsed),
    _per_1000("syntax_errors", "Syntax errors", "errors"),
    _per_1000("type_errors", "Type errors, where it parses", "errors", only_if_it_parses=True),
    # Few errors may mean that a file is good, or that it is so broken that the compiler looked no further.
    _per_1000("reported_errors", "Errors as reported", "errors", Better.NEITHER),
    _measure("lint_errors", "Lint errors", "errors"),
    _measure("lint_warnings", "Lint warnings", "warnings"),
    _sum("conflicts", "Conflicts between tasks", "conflicts"),
    _measure("merge_conflicts", "Merge conflicts", "conflicts"),
    _measure("rework", "Rework", "attempts"),
    _measure("interventions", "Human interventions", "interventions"),
)
