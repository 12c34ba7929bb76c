"""The arms of a comparison: a mode, or a mode with one number of agents; which two are compared; and their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orchestrator.compare.measures import Measure
    from orchestrator.compare.trials import Trial

__all__ = ["Arm", "Pair", "Values", "arms_of", "pairs_of", "values_of"]

_ORDER = ("sequential", "worktree", "crdt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A mode; `agents` is None unless the mode was tried with several numbers of agents."""

    mode: str
    agents: int | None = None

    @property
    def label(self) -> str:
        """What tables and plots call it."""
        return self.mode if self.agents is None else f"{self.mode}, {self.agents} agent{'s' * (self.agents != 1)}"

    def holds(self, trial: Trial) -> bool:
        """Tell whether a trial belongs to it."""
        return trial.mode == self.mode and self.agents in {None, trial.agents}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two arms that are compared; differences are second minus first."""

    first: Arm
    second: Arm

    @property
    def label(self) -> str:
        """What tables and plots call it."""
        return f"{self.second.label} against {self.first.label}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """The values of one measure in one task and arm, by run; `seeds` are those of the same runs."""

    by_run: dict[int, float]
    seeds: dict[int, int | None]

    @property
    def all(self) -> tuple[float, ...]:
        """The values in order of run."""
        return tuple(self.by_run[run] for run in sorted(self.by_run))


def arms_of(trials: Iterable[Trial]) -> tuple[Arm, ...]:
    """Return the arms: sequential first, then worktree and crdt, then other modes by name.

    Raises:
        UsageError: there are fewer than two, or only some trials of a mode say how many agents there were.
    """
    agents: dict[str, set[int | None]] = {}
    for trial in trials:
        agents.setdefault(trial.mode, set()).add(trial.agents)
    modes = sorted(agents, key=lambda mode: (_ORDER.index(mode) if mode in _ORDER else len(_ORDER), mode))
    arms: list[Arm] = []
    for mode in modes:
        if len(agents[mode]) == 1:
            arms.append(Arm(mode=mode))
            continue
        if None in agents[mode]:
            raise UsageError(
                f"Some trials of mode {mode!r} say how many agents there were, and some do not.",
                hint="Fill in column 'agents'.",
            )
        arms += [Arm(mode=mode, agents=n) for n in sorted(n for n in agents[mode] if n is not None)]
    if len(arms) < 2:
        raise UsageError(
            f"There is nothing to compare: all trials are of mode {modes[0]!r}.", hint="Add trials of a second mode."
        )
    return tuple(arms)


def pairs_of(arms: Sequence[Arm]) -> tuple[Pair, ...]:
    """Return who is compared: everyone with the first, and different modes with equally many agents."""
    base, *others = arms
    against_base = [Pair(first=base, second=other) for other in others]
    equals = [
        Pair(first=a, second=b)
        for i, a in enumerate(others)
        for b in others[i + 1 :]
        if a.mode != b.mode and a.agents == b.agents
    ]
    return (*against_base, *equals)


def values_of(trials: Iterable[Trial], measure: Measure, task: str, arm: Arm) -> Values:
    """Return the values of the trials that did not fail and in which the measure was taken."""
    found = {
        t.run: (v, t.seed) for t in trials if t.task == task and arm.holds(t) and (v := _value(t, measure)) is not None
    }
    return Values(by_run={r: v for r, (v, _) in found.items()}, seeds={r: s for r, (_, s) in found.items()})


def _value(trial: Trial, measure: Measure) -> float | None:
    return None if trial.error else measure.value(trial)
