"""How time falls with the number of agents, and from which length of task on parallel work pays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.compare.statistics import ALPHA, Effect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy import float64
    from numpy.typing import NDArray

__all__ = ["BreakEven", "Coupling", "Crossing", "Scaling", "break_even", "coupling_effect", "crossing", "fit_scaling"]

_SAMPLES = 500
_SEED = 20_251_018  # fixed, so that the same trials give the same report


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """T(N) = serial + parallel / N + cost · (N - 1), in seconds, every term at least zero: Amdahl's law with a cost per agent.

    `share` is the parallel share of the time of one agent. `best` is the whole number of agents, up to the most that was
    tried, at which the fitted time is least.
    """

    serial: Effect
    parallel: Effect
    cost: Effect
    share: Effect
    best: int
    tried: tuple[int, ...]
    means: tuple[float, ...]

    def seconds(self, agents: float) -> float:
        """Return the fitted time for a number of agents."""
        return self.serial.estimate + self.parallel.estimate / agents + self.cost.estimate * (agents - 1)

    @property
    def speedup(self) -> float:
        """How many times as fast as one agent the best number of agents is."""
        return self.seconds(1) / self.seconds(self.best)


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """From which length on (seconds in sequence) parallel work pays, from measured overhead.

    `overhead` in seconds a trial; `share` is the parallel share used, 1 if none was measured: then it is the earliest
    possible length. `seconds` is None if no length pays.
    """

    overhead: float
    agents: int
    share: float
    measured_share: bool
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """The length of task at which two modes take the same time, from a line through the mean times of the tasks.

    `second` = `offset` + `slope` · `first`, in seconds. `at` is None if the lines do not cross within twice the longest
    task; `longer_pays` tells whether the second mode is the faster one beyond that length. `sure` is the share of samples
    drawn again from the tasks that agree with `longer_pays`.
    """

    offset: float
    slope: float
    at: float | None
    longer_pays: bool
    sure: float
    tasks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Coupling:
    """Rank correlation (Spearman) between the coupling of tasks and the change of their time, with its p value."""

    rho: float
    p: float
    tasks: int


def fit_scaling(trials: Sequence[tuple[int, float]]) -> Scaling | None:
    """Fit times (agents, seconds) of one mode; None for fewer than three numbers of agents.

    The intervals are percentiles of fits to trials drawn again within each number of agents (seeded).
    """
    import numpy as np

    tried = sorted({agents for agents, _ in trials})
    if len(tried) < 3:
        return None
    groups = [np.array([seconds for n, seconds in trials if n == agents]) for agents in tried]
    agents = np.repeat(np.array(tried, float), [len(group) for group in groups])
    fitted = _fit(agents, np.concatenate(groups))
    draw = np.random.default_rng(_SEED)
    again = np.array(
        [_fit(agents, np.concatenate([draw.choice(g, len(g)) for g in groups])) for _ in range(_SAMPLES)]
    )  # fmt: skip
    serial, parallel, cost = (_effect(float(fitted[i]), again[:, i]) for i in range(3))
    whole = again[:, 0] + again[:, 1]
    share = _effect(float(fitted[1] / (fitted[0] + fitted[1])), again[:, 1] / np.where(whole > 0, whole, math.nan))
    curve = {n: float(fitted @ _terms(np.array([float(n)]))[0]) for n in range(1, tried[-1] + 1)}
    return Scaling(
        serial=serial,
        parallel=parallel,
        cost=cost,
        share=share,
        best=min(curve, key=lambda n: (round(curve[n], 9), n)),
        tried=tuple(tried),
        means=tuple(float(group.mean()) for group in groups),
    )


def break_even(overhead: Sequence[float], agents: int, share: float | None) -> BreakEven | None:
    """Return from which length on `agents` pay, from the overheads (seconds) of trials; None without overhead or for one agent.

    What N agents save of a length L is L · share · (1 - 1/N); they pay once that is more than the overhead.
    """
    if not overhead or agents < 2:
        return None
    mean = sum(overhead) / len(overhead)
    used = 1.0 if share is None else share
    saved = used * (1 - 1 / agents)
    return BreakEven(
        overhead=mean,
        agents=agents,
        share=used,
        measured_share=share is not None,
        seconds=mean / saved if saved > 0 else None,
    )


def crossing(first: Sequence[float], second: Sequence[float]) -> Crossing | None:
    """Return where two modes take the same time, from their mean times by task; None for fewer than four tasks."""
    import numpy as np

    a, b = np.asarray(first, float), np.asarray(second, float)
    if len(a) < 4 or np.ptp(a) == 0:
        return None
    slope, offset = (float(x) for x in np.polyfit(a, b, 1))
    longer_pays = slope < 1
    draw = np.random.default_rng(_SEED)
    picks = [p for p in draw.integers(0, len(a), (_SAMPLES, len(a))) if np.ptp(a[p]) > 0]
    slopes = np.array([np.cov(a[p], b[p])[0, 1] / a[p].var(ddof=1) for p in picks])
    at = offset / (1 - slope) if slope != 1 else math.inf
    within = 0 < at <= 2 * float(a.max())
    agree = float(((slopes < 1) == longer_pays).mean())
    return Crossing(
        offset=offset, slope=slope, at=at if within else None, longer_pays=longer_pays, sure=agree, tasks=len(a)
    )


def coupling_effect(couplings: Sequence[float], changes: Sequence[float]) -> Coupling | None:
    """Return how changes of time go with coupling; None for fewer than four tasks, or if either hardly varies.

    The p value is of a permutation test, exact up to seven tasks: there are few tasks, and tables are for many.
    """
    import numpy as np
    from scipy import stats

    if len(couplings) < 4 or len(set(couplings)) < 3 or len(set(changes)) < 3:
        return None
    x, y = (ranks - ranks.mean() for ranks in (stats.rankdata(list(couplings)), stats.rankdata(list(changes))))

    def product(ranks: NDArray[float64], axis: int) -> NDArray[float64]:
        return np.asarray((ranks * y).sum(axis=axis), np.float64)

    test = stats.permutation_test(
        (x,), product, permutation_type="pairings", vectorized=True, n_resamples=9_999, rng=np.random.default_rng(_SEED)
    )
    rho = float((x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum()))
    return Coupling(rho=rho, p=float(test.pvalue), tasks=len(couplings))


def _fit(agents: NDArray[float64], seconds: NDArray[float64]) -> NDArray[float64]:
    import numpy as np
    from scipy.optimize import nnls

    return np.asarray(nnls(_terms(agents), seconds)[0], np.float64)


def _terms(agents: NDArray[float64]) -> NDArray[float64]:
    import numpy as np

    return np.column_stack([np.ones_like(agents), 1 / agents, agents - 1])


def _effect(estimate: float, samples: NDArray[float64]) -> Effect:
    import numpy as np

    low, high = np.nanquantile(samples, [ALPHA / 2, 1 - ALPHA / 2])
    return Effect(estimate=estimate, low=float(low), high=float(high))
