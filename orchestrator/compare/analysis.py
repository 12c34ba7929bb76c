"""From trials to figures: every comparison, what they are pooled to, and what follows for planning."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.compare.arms import Arm, Pair, Values, arms_of, pairs_of, values_of
from orchestrator.compare.measures import TIME, Measure, measures_of
from orchestrator.compare.mediation import Mediation, mediation
from orchestrator.compare.pooling import Pooled, dz_part, pool, ratio_part
from orchestrator.compare.power import Planned, planned
from orchestrator.compare.published import Checked, Published, check_published
from orchestrator.compare.scaling import (
    BreakEven,
    Coupling,
    Crossing,
    Scaling,
    break_even,
    coupling_effect,
    crossing,
    fit_scaling,
)
from orchestrator.compare.statistics import Paired, Unpaired, adjusted, outliers, paired, unpaired
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.compare.trials import Trial

__all__ = ["WORTH", "Analysis", "Comparison", "PooledMeasure", "Sample", "Tests", "analyse"]

WORTH = 0.1
"""A change of time that is worth finding: for this, power and sample size are given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One arm's values of one measure in one task."""

    n: int
    mean: float
    median: float
    sd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tests:
    """Two samples and what tests say of them; `change` is the share by which the mean differs (None: from zero)."""

    first: Sample
    second: Sample
    change: float | None
    paired: Paired | None
    unpaired: Unpaired | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One measure in one task: all values, and those within 1.5 interquartile ranges.

    `seeded` tells whether pairs share their seed. Only then do they hold more than independent samples do, so that `p` is of
    a test of pairs; otherwise it is of a test of samples. `holm` corrects it over the tasks of this measure
    and pair of arms, `bh` (false discovery rate) over everything that was compared.
    """

    measure: Measure
    task: str
    pair: Pair
    every: Tests
    kept: Tests
    seeded: bool
    holm: float | None = None
    bh: float | None = None

    @property
    def p(self) -> float | None:
        """The p value of the test that fits the trials; None if nothing varies."""
        return _p(self.every, seeded=self.seeded)

    @property
    def p_kept(self) -> float | None:
        """The same without outliers."""
        return _p(self.kept, seeded=self.seeded)


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledMeasure:
    """One measure over all tasks: as d_z, and as a ratio of means (logarithms), with and without outliers."""

    measure: Measure
    pair: Pair
    dz: Pooled | None
    ratio: Pooled | None
    ratio_kept: Pooled | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """Everything that a report says of trials; nothing in it depends on the clock or on chance."""

    trials: tuple[Trial, ...]
    tasks: tuple[str, ...]
    arms: tuple[Arm, ...]
    pairs: tuple[Pair, ...]
    measures: tuple[Measure, ...]
    comparisons: tuple[Comparison, ...]
    pooled: tuple[PooledMeasure, ...]
    mediations: tuple[tuple[Pair, str, Mediation], ...]
    plans: tuple[tuple[Pair, str, Planned], ...]
    scaling: tuple[tuple[str, str, Scaling], ...]
    break_evens: tuple[tuple[Arm, BreakEven], ...]
    crossings: tuple[tuple[Pair, Crossing], ...]
    couplings: tuple[tuple[Pair, Coupling], ...]
    checked: tuple[Checked, ...]
    failed: Mapping[tuple[str, str], int]

    def of(self, measure: str, pair: Pair) -> tuple[Comparison, ...]:
        """Return the comparisons of one measure and pair of arms, by task."""
        return tuple(c for c in self.comparisons if c.measure.key == measure and c.pair == pair)

    def pooled_of(self, measure: str, pair: Pair) -> PooledMeasure | None:
        """Return what a measure is pooled to."""
        return next((p for p in self.pooled if p.measure.key == measure and p.pair == pair), None)

    @property
    def simulated(self) -> bool:
        """Whether any trial is of a simulated model."""
        return any(trial.simulated for trial in self.trials)

    @property
    def outliers_removed(self) -> int:
        """How many times lie outside 1.5 interquartile ranges of their task and arm."""
        found = {}
        for c in (c for c in self.comparisons if c.measure.key == TIME):
            found[c.task, c.pair.first] = c.every.first.n - c.kept.first.n
            found[c.task, c.pair.second] = c.every.second.n - c.kept.second.n
        return sum(found.values())


def analyse(trials: Sequence[Trial], published: Mapping[str, Published] | None = None) -> Analysis:
    """Compare the arms of trials; `published` are stated results by measure, to be checked against them.

    Raises:
        UsageError: there are fewer than two arms, or no trial ended well.
    """
    arms = arms_of(trials)
    if all(trial.error for trial in trials):
        raise UsageError(
            "There is nothing to compare: all trials failed.", hint="Column 'error' says why, trial by trial."
        )
    pairs = pairs_of(arms)
    tasks = tuple(sorted({trial.task for trial in trials}))
    measures = measures_of(trials)
    values = {(m.key, t, a): values_of(trials, m, t, a) for m in measures for t in tasks for a in arms}
    comparisons = _corrected([
        found
        for pair in pairs
        for measure in measures
        for task in tasks
        if (found := _comparison(measure, task, pair, values))
    ])  # fmt: skip
    pooled = tuple(_pooled(measure, pair, comparisons, values) for pair in pairs for measure in measures)
    scaling = _scaling(trials, tasks)
    return Analysis(
        trials=tuple(trials),
        tasks=tasks,
        arms=arms,
        pairs=pairs,
        measures=measures,
        comparisons=comparisons,
        pooled=pooled,
        mediations=_mediations(trials, tasks, pairs),
        plans=_plans(comparisons),
        scaling=scaling,
        break_evens=_break_evens(trials, arms, scaling),
        crossings=_crossings(comparisons, pairs),
        couplings=_couplings(trials, comparisons, pairs),
        checked=_checked(published or {}, comparisons, pairs[0]),
        failed=Counter((trial.task, trial.mode) for trial in trials if trial.error),
    )


def _comparison(
    measure: Measure, task: str, pair: Pair, values: Mapping[tuple[str, str, Arm], Values]
) -> Comparison | None:
    a, b = values[measure.key, task, pair.first], values[measure.key, task, pair.second]
    if not a.by_run or not b.by_run:
        return None
    both = sorted(a.by_run.keys() & b.by_run.keys())
    seeded = bool(both) and all(a.seeds[r] is not None and a.seeds[r] == b.seeds[r] for r in both)
    return Comparison(
        measure=measure,
        task=task,
        pair=pair,
        every=_tests(a.by_run, b.by_run),
        kept=_tests(_kept(a.by_run, measure), _kept(b.by_run, measure)),
        seeded=seeded,
    )


def _tests(a: dict[int, float], b: dict[int, float]) -> Tests:
    runs = sorted(a.keys() & b.keys())
    first, second = _sample(list(a.values())), _sample(list(b.values()))
    return Tests(
        first=first,
        second=second,
        change=second.mean / first.mean - 1 if first.mean > 0 else None,
        paired=paired([a[r] for r in runs], [b[r] for r in runs]),
        unpaired=unpaired(list(a.values()), list(b.values())),
    )


def _sample(values: Sequence[float]) -> Sample:
    import numpy as np

    numbers = np.asarray(values, float)
    sd = float(numbers.std(ddof=1)) if len(numbers) > 1 else 0.0
    return Sample(n=len(numbers), mean=float(numbers.mean()), median=float(np.median(numbers)), sd=sd)


def _kept(values: dict[int, float], measure: Measure) -> dict[int, float]:
    if not measure.has_outliers:
        return values
    out = outliers(list(values.values()))
    return {run: value for (run, value), is_out in zip(values.items(), out, strict=True) if not is_out}


def _p(tests: Tests, *, seeded: bool) -> float | None:
    found = tests.paired if seeded else tests.unpaired
    return found.p if found else None


def _corrected(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    families: dict[tuple[str, Pair], list[int]] = {}
    for i, each in enumerate(comparisons):
        families.setdefault((each.measure.key, each.pair), []).append(i)
    holm: dict[int, float | None] = {}
    for members in families.values():
        holm |= dict(zip(members, adjusted([comparisons[i].p for i in members], "holm"), strict=True))
    bh = adjusted([each.p for each in comparisons], "bh")
    return tuple(replace(each, holm=holm[i], bh=bh[i]) for i, each in enumerate(comparisons))


def _pooled(
    measure: Measure, pair: Pair, comparisons: Sequence[Comparison], values: Mapping[tuple[str, str, Arm], Values]
) -> PooledMeasure:
    these = [c for c in comparisons if c.measure.key == measure.key and c.pair == pair]

    def ratios(*, kept: bool) -> Pooled | None:
        parts = []
        for c in these:
            a, b = (values[measure.key, c.task, arm].by_run for arm in (pair.first, pair.second))
            a, b = (_kept(a, measure), _kept(b, measure)) if kept else (a, b)
            parts.append(ratio_part(c.task, list(a.values()), list(b.values())))
        found = [part for part in parts if part]
        return pool(found) if len(found) == len(parts) else None  # a task left out would be a choice nobody made

    sizes = [dz_part(c.task, c.every.paired.dz.estimate, c.every.paired.n) for c in these if c.every.paired]
    return PooledMeasure(
        measure=measure,
        pair=pair,
        dz=pool(sizes) if len(sizes) == len(these) else None,
        ratio=ratios(kept=False),
        ratio_kept=ratios(kept=True),
    )


def _mediations(
    trials: Sequence[Trial], tasks: Sequence[str], pairs: Sequence[Pair]
) -> tuple[tuple[Pair, str, Mediation], ...]:
    def points(task: str, arm: Arm) -> list[tuple[float, float]]:
        these = [t for t in trials if t.task == task and arm.holds(t) and not t.error]
        return [(t.wall_seconds, t.characters) for t in these if t.wall_seconds and t.characters]

    return tuple(
        (pair, task, found)
        for pair in pairs
        for task in tasks
        if (found := mediation(points(task, pair.first), points(task, pair.second)))
    )


def _plans(comparisons: Sequence[Comparison]) -> tuple[tuple[Pair, str, Planned], ...]:
    return tuple(
        (c.pair, c.task, planned(c.every.paired.n, c.every.paired.sd, WORTH * c.every.first.mean))
        for c in comparisons
        if c.measure.key == TIME and c.every.paired
    )


def _scaling(trials: Sequence[Trial], tasks: Sequence[str]) -> tuple[tuple[str, str, Scaling], ...]:
    def times(task: str, mode: str) -> list[tuple[int, float]]:
        these = [t for t in trials if (t.task, t.mode) == (task, mode) and not t.error]
        return [(t.agents, t.wall_seconds) for t in these if t.agents and t.wall_seconds]

    modes = sorted({trial.mode for trial in trials})
    return tuple((mode, task, found) for mode in modes for task in tasks if (found := fit_scaling(times(task, mode))))


def _break_evens(
    trials: Sequence[Trial], arms: Sequence[Arm], scaling: Sequence[tuple[str, str, Scaling]]
) -> tuple[tuple[Arm, BreakEven], ...]:
    found = []
    for arm in arms:
        these = [t for t in trials if arm.holds(t) and not t.error and t.overhead]
        agents = {t.agents for t in these if t.agents}
        shares = [fit.share.estimate for mode, _, fit in scaling if mode == arm.mode]
        share = sum(shares) / len(shares) if shares else None
        number = agents.pop() if len(agents) == 1 else 1
        if each := break_even([sum(t.overhead.values()) for t in these], number, share):
            found.append((arm, each))
    return tuple(found)


def _crossings(comparisons: Sequence[Comparison], pairs: Sequence[Pair]) -> tuple[tuple[Pair, Crossing], ...]:
    found = []
    for pair in pairs:
        these = [c.kept for c in comparisons if c.measure.key == TIME and c.pair == pair]
        if each := crossing([t.first.mean for t in these], [t.second.mean for t in these]):
            found.append((pair, each))
    return tuple(found)


def _couplings(
    trials: Sequence[Trial], comparisons: Sequence[Comparison], pairs: Sequence[Pair]
) -> tuple[tuple[Pair, Coupling], ...]:
    by_task = {trial.task: trial.coupling for trial in trials if trial.coupling is not None}
    found = []
    for pair in pairs:
        these = [c for c in comparisons if c.measure.key == TIME and c.pair == pair and c.task in by_task]
        changes = [(by_task[c.task], c.kept.change) for c in these if c.kept.change is not None]
        if each := coupling_effect([x for x, _ in changes], [y for _, y in changes]):
            found.append((pair, each))
    return tuple(found)


def _checked(published: Mapping[str, Published], comparisons: Sequence[Comparison], pair: Pair) -> tuple[Checked, ...]:
    def ours(measure: str) -> dict[str, float]:
        these = [c for c in comparisons if c.measure.key == measure and c.pair == pair]
        return {c.task: c.every.paired.dz.estimate for c in these if c.every.paired}

    return tuple(check_published(measure, stated, ours(measure)) for measure, stated in published.items())
