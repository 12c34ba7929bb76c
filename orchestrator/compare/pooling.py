"""Pooling effects over tasks: fixed and random effects, and how far the tasks differ among themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.compare.statistics import ALPHA, Effect, Z, small_sample_factor

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Part", "Pooled", "dz_part", "heterogeneity", "pool", "ratio_part"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The effect in one task, with its sampling variance."""

    task: str
    effect: float
    variance: float

    @property
    def interval(self) -> Effect:
        """The effect with its 95 % interval (normal)."""
        half = Z * math.sqrt(self.variance)
        return Effect(estimate=self.effect, low=self.effect - half, high=self.effect + half)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """Effects of k tasks as one.

    `fixed` assumes one effect that all tasks share; `random` the mean of effects that differ, with the interval of Hartung,
    Knapp, Sidik and Jonkman (never narrower than the plain one). `prediction` is where the effect of a further task lies
    with 95 % (Higgins 2009, k - 2 degrees of freedom; None for fewer than three tasks). `i2` is a share, 0 to 1.
    """

    parts: tuple[Part, ...]
    fixed: Effect
    fixed_p: float
    random: Effect
    random_p: float
    q: float
    q_p: float
    i2: float
    tau2: float
    prediction: Effect | None

    @property
    def k(self) -> int:
        """How many tasks were pooled."""
        return len(self.parts)


def pool(parts: Sequence[Part]) -> Pooled | None:
    """Return effects pooled by inverse variance (between tasks: Paule and Mandel's estimate); None for fewer than two."""
    import numpy as np
    from scipy import stats
    from statsmodels.stats.meta_analysis import combine_effects

    k = len(parts)
    if k < 2:
        return None
    effects, variances = np.array([p.effect for p in parts]), np.array([p.variance for p in parts])
    found = combine_effects(effects, variances, method_re="iterated")
    fixed, fixed_error = float(found.mean_effect_fe), float(found.sd_eff_w_fe)
    mean = float(found.mean_effect_re)
    error = max(float(found.sd_eff_w_re), float(found.sd_eff_w_re_hksj))
    tau2, q = max(0.0, float(found.tau2)), float(found.q)
    t = float(stats.t.ppf(1 - ALPHA / 2, k - 1))
    return Pooled(
        parts=tuple(parts),
        fixed=_around(fixed, Z * fixed_error),
        fixed_p=float(2 * stats.norm.sf(abs(fixed) / fixed_error)),
        random=_around(mean, t * error),
        random_p=float(2 * stats.t.sf(abs(mean) / error, k - 1)),
        q=q,
        q_p=float(stats.chi2.sf(q, k - 1)),
        i2=max(0.0, 1 - (k - 1) / q) if q > 0 else 0.0,
        tau2=tau2,
        prediction=_prediction(mean, math.sqrt(tau2 + float(found.sd_eff_w_re) ** 2), k),
    )


def heterogeneity(effects: Sequence[float], weights: Sequence[float]) -> float:
    """Return Cochran's Q of effects for any weights; it follows chi squared only if they are one over the variances."""
    total = sum(weights)
    mean = sum(w * e for w, e in zip(weights, effects, strict=True)) / total
    return sum(w * (e - mean) ** 2 for w, e in zip(weights, effects, strict=True))


def dz_part(task: str, dz: float, n: int) -> Part:
    """Return d_z of n pairs as a part: with the small-sample correction, and its large-sample variance."""
    g = dz * small_sample_factor(n - 1)
    return Part(task=task, effect=g, variance=1 / n + g * g / (2 * n))


def ratio_part(task: str, first: Sequence[float], second: Sequence[float]) -> Part | None:
    """Return the logarithm of a ratio of means as a part (Hedges, Gurevitch and Curtis 1999).

    None if a mean is not positive, a sample has fewer than two values, or nothing varies.
    """
    import numpy as np

    a, b = np.asarray(first, float), np.asarray(second, float)
    if min(len(a), len(b)) < 2 or min(a.mean(), b.mean()) <= 0:
        return None
    variance = float(a.var(ddof=1) / (len(a) * a.mean() ** 2) + b.var(ddof=1) / (len(b) * b.mean() ** 2))
    return Part(task=task, effect=math.log(b.mean() / a.mean()), variance=variance) if variance > 0 else None


def _prediction(mean: float, spread: float, k: int) -> Effect | None:
    from scipy import stats

    return _around(mean, float(stats.t.ppf(1 - ALPHA / 2, k - 2)) * spread) if k >= 3 else None


def _around(estimate: float, half: float) -> Effect:
    return Effect(estimate=estimate, low=estimate - half, high=estimate + half)
