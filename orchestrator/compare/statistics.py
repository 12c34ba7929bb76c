"""Statistics of two samples: tests, effect sizes with intervals, corrections, outliers. Every interval is of 95 %.

Differences are second minus first throughout. Samples are sequences of finite numbers; nothing here reads or writes.
SciPy and statsmodels do what they can do; by hand are only intervals that neither has (each names its source).
"""

from __future__ import annotations

import math
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy import float64
    from numpy.typing import NDArray

__all__ = [
    "ALPHA",
    "RANKS_FROM",
    "Effect",
    "Paired",
    "Unpaired",
    "Z",
    "adjusted",
    "cliffs_delta",
    "effect_dz",
    "hedges_g",
    "noncentral_t",
    "outliers",
    "paired",
    "small_sample_factor",
    "unpaired",
]

ALPHA = 0.05
RANKS_FROM = 10
"""Tests of ranks are read from so many values on: five pairs, all one way, have a p value of 0.06 and never a smaller one."""

Z = 1.959963984540054
"""The 97.5 % point of the normal distribution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """An estimate with its 95 % interval."""

    estimate: float
    low: float
    high: float

    def excludes(self, value: float) -> bool:
        """Tell whether the interval leaves out a value."""
        return value < self.low or value > self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """What pairs say; `correlation` is that within pairs (None if one side does not vary)."""

    n: int
    difference: Effect
    sd: float
    t_p: float
    wilcoxon_p: float
    dz: Effect
    correlation: float | None

    @property
    def p(self) -> float:
        """The Wilcoxon test's, or the t test's where there are too few pairs for ranks to show anything."""
        return self.wilcoxon_p if self.n >= RANKS_FROM else self.t_p


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpaired:
    """What two independent samples say; `difference`, `welch_p` and `g` are None if neither sample varies, each in itself."""

    n_first: int
    n_second: int
    difference: Effect | None
    welch_p: float | None
    mann_whitney_p: float
    g: Effect | None
    delta: Effect

    @property
    def p(self) -> float:
        """The Mann-Whitney test's, or Welch's where there are too few values for ranks to show anything."""
        few = min(self.n_first, self.n_second) < RANKS_FROM
        return self.welch_p if few and self.welch_p is not None else self.mann_whitney_p


def paired(first: Sequence[float], second: Sequence[float]) -> Paired | None:
    """Return what pairs say; None for fewer than three, or if all differences are the same."""
    import numpy as np
    from scipy import stats

    a, b = np.asarray(first, float), np.asarray(second, float)
    differences = b - a
    if len(differences) < 3 or _constant(differences, scale=max(np.abs(a).max(), np.abs(b).max())):
        return None
    n, sd = len(differences), float(differences.std(ddof=1))
    with _constant_samples_are_allowed():
        t = stats.ttest_1samp(differences, 0.0)
        wilcoxon = stats.wilcoxon(differences)
    interval = t.confidence_interval(1 - ALPHA)
    varied = not (_constant(a) or _constant(b))
    return Paired(
        n=n,
        difference=Effect(estimate=float(differences.mean()), low=float(interval.low), high=float(interval.high)),
        sd=sd,
        t_p=float(t.pvalue),
        wilcoxon_p=float(wilcoxon.pvalue),
        dz=effect_dz(float(differences.mean()) / sd, n),
        correlation=float(np.corrcoef(a, b)[0, 1]) if varied else None,
    )


def unpaired(first: Sequence[float], second: Sequence[float]) -> Unpaired | None:
    """Return what two independent samples say; None for fewer than three each, or if all values are the same."""
    import numpy as np
    from scipy import stats

    a, b = np.asarray(first, float), np.asarray(second, float)
    if min(len(a), len(b)) < 3 or _constant(np.r_[a, b]):
        return None
    difference, welch_p, g = None, None, None
    if not (_constant(a) and _constant(b)):  # ranks tell such samples apart; means without a spread do not
        with _constant_samples_are_allowed():
            welch = stats.ttest_ind(b, a, equal_var=False)
            interval = welch.confidence_interval(1 - ALPHA)
        difference = Effect(estimate=float(b.mean() - a.mean()), low=float(interval.low), high=float(interval.high))
        welch_p, g = float(welch.pvalue), hedges_g(first, second)
    return Unpaired(
        n_first=len(a),
        n_second=len(b),
        difference=difference,
        welch_p=welch_p,
        mann_whitney_p=float(stats.mannwhitneyu(b, a).pvalue),
        g=g,
        delta=cliffs_delta(first, second),
    )


def small_sample_factor(freedom: float) -> float:
    """Return the factor that takes the small-sample bias out of a standardised difference (Hedges 1981, exact)."""
    return math.exp(math.lgamma(freedom / 2) - math.lgamma((freedom - 1) / 2)) / math.sqrt(freedom / 2)


def effect_dz(estimate: float, n: int) -> Effect:
    """Return d_z of n pairs (mean over standard deviation of the differences) with its noncentral t interval.

    The interval is exact for normal differences: the noncentralities of which the observed t is a 97.5 % and a 2.5 % point.
    """
    from scipy import optimize

    root = math.sqrt(n)
    t = estimate * root
    below = noncentral_t(t, n - 1)

    def noncentrality(share: float) -> float:
        reach = 6 * math.sqrt(1 + t * t / (2 * (n - 1)))
        while not below(t - reach) > share > below(t + reach):
            reach *= 2
        found: float = optimize.brentq(lambda ncp: below(ncp) - share, t - reach, t + reach)
        return found

    low, high = noncentrality(1 - ALPHA / 2), noncentrality(ALPHA / 2)
    return Effect(estimate=estimate, low=low / root, high=high / root)


def noncentral_t(t: float, freedom: int) -> Callable[[float], float]:
    """Return the probability of a value of the noncentral t distribution below t, as a function of the noncentrality.

    It is the mean of a normal probability over the spread's chi distribution. SciPy's own is NaN for some values that occur
    (2 degrees of freedom, t = 300); this is within 1e-6 of it elsewhere.
    """
    from scipy import special

    spread, weights = _chi(freedom)
    return lambda ncp: float(weights @ special.ndtr(t * spread - ncp)) / 2


@cache
def _chi(freedom: int) -> tuple[NDArray[float64], NDArray[float64]]:
    """Return points of the chi distribution over its root's freedom, and their weights, which sum to 2."""
    import numpy as np
    from scipy import stats

    nodes, weights = np.polynomial.legendre.leggauss(200)
    return np.sqrt(stats.chi2.ppf((nodes + 1) / 2, freedom) / freedom), weights


def hedges_g(first: Sequence[float], second: Sequence[float]) -> Effect:
    """Return Hedges' g with an interval that allows for unequal variances.

    The estimate is statsmodels'; its interval holds for equal variances only, which modes do not have (a time of one mode
    can spread ten times as far as that of another). The variance here is that of Bonett (2008, Psychological Methods 13),
    by the same delta method for the pooled standard deviation where sizes differ.
    """
    import numpy as np
    from statsmodels.stats.meta_analysis import effectsize_smd

    a, b = np.asarray(first, float), np.asarray(second, float)
    va, vb, na, nb = float(a.var(ddof=1)), float(b.var(ddof=1)), len(a) - 1, len(b) - 1
    g = float(effectsize_smd(b.mean(), math.sqrt(vb), nb + 1, a.mean(), math.sqrt(va), na + 1)[0])
    pooled = (na * va + nb * vb) / (na + nb)
    d2 = float(b.mean() - a.mean()) ** 2 / pooled
    of_spread = d2 * (na * va**2 + nb * vb**2) / (2 * pooled**2 * (na + nb) ** 2)
    half = Z * math.sqrt(of_spread + (va / na + vb / nb) / pooled)
    return Effect(estimate=g, low=g - half, high=g + half)


def cliffs_delta(first: Sequence[float], second: Sequence[float]) -> Effect:
    """Return Cliff's delta: how much more often a value of the second sample is the larger one than the smaller one.

    The interval is Newcombe's fifth (2006, Statistics in Medicine 25:559): it keeps its width where no values overlap.
    """
    from scipy import stats

    m, n = len(second), len(first)
    share = float(stats.mannwhitneyu(list(second), list(first)).statistic) / (m * n)
    low, high = _lower_share(share, m, n), 1 - _lower_share(1 - share, m, n)
    return Effect(estimate=2 * share - 1, low=2 * low - 1, high=2 * high - 1)


def _lower_share(share: float, m: int, n: int) -> float:
    """Return the smallest share from which the found one is no further than chance goes; the upper limit is its mirror."""
    from scipy import optimize

    each = (m + n) / 2 - 1

    def too_low(theta: float) -> float:
        spread = theta * (1 - theta) * (1 + each * (1 - theta) / (2 - theta) + each * theta / (1 + theta)) / (m * n)
        return share - theta - Z * math.sqrt(spread)

    if share < 1e-9:
        return 0.0
    found: float = optimize.brentq(too_low, 0.0, share - 1e-12)  # just below: a share of one would be a solution itself
    return found


def adjusted(p_values: Sequence[float | None], method: Literal["holm", "bh"]) -> list[float | None]:
    """Return p values corrected for their number: by Holm, or by Benjamini and Hochberg (false discovery rate).

    None stays None and does not count. statsmodels has both, and collects all garbage of the process at every call.
    """
    from scipy import stats

    given = [p for p in p_values if p is not None]
    if not given:
        return list(p_values)
    corrected = iter(stats.false_discovery_control(given).tolist() if method == "bh" else _holm(given))
    return [None if p is None else float(next(corrected)) for p in p_values]


def _holm(p_values: Sequence[float]) -> list[float]:
    found, largest, left = [0.0] * len(p_values), 0.0, len(p_values)
    for i in sorted(range(left), key=p_values.__getitem__):
        largest = found[i] = max(largest, min(1.0, left * p_values[i]))
        left -= 1
    return found


def outliers(values: Sequence[float]) -> list[bool]:
    """Tell of each value whether it lies beyond 1.5 interquartile ranges outside the quartiles (Tukey 1977)."""
    import numpy as np

    low, high = np.percentile(np.asarray(values, float), [25, 75])
    reach = 1.5 * (high - low)
    return [bool(value < low - reach or value > high + reach) for value in values]


def _constant(values: Sequence[float] | object, *, scale: float | None = None) -> bool:
    import numpy as np

    numbers = np.asarray(values, float)
    size = float(np.abs(numbers).max()) if scale is None else float(scale)
    return bool(np.ptp(numbers) <= 1e-12 * size)


@contextmanager
def _constant_samples_are_allowed() -> Iterator[None]:
    """Keep SciPy from warning that one of two samples does not vary: judges give one score fifty times."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Precision loss occurred", RuntimeWarning)
        yield
