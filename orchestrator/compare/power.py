"""How many trials it takes: the power of the paired t test, and what a number of pairs can show."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.compare.statistics import ALPHA, noncentral_t

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["POWER", "Planned", "pairs_needed", "planned", "power_of"]

POWER = 0.8
_MOST_PAIRS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What n pairs can show of a difference that is worth finding, and how many it takes.

    `power` is that of the paired t test at n pairs; `needed` are the pairs for a power of 80 % (None: over a million);
    `detectable` is the smallest difference that n pairs find with that power, in the unit of the measure.
    """

    n: int
    worth: float
    power: float
    needed: int | None
    detectable: float


def planned(n: int, sd: float, worth: float) -> Planned:
    """Return what n pairs can show of a difference of `worth`, if differences spread by `sd` (both in the measure's unit)."""
    low, high = 0.0, 1.0
    while power_of(high, n) < POWER:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if power_of(middle, n) < POWER else (low, middle)
    effect = worth / sd
    return Planned(n=n, worth=worth, power=power_of(effect, n), needed=pairs_needed(effect), detectable=high * sd)


def pairs_needed(effect: float) -> int | None:
    """Return how many pairs the paired t test needs to find a d_z of this size in 80 of 100 cases; None if over a million."""

    def enough(n: int) -> bool:
        return power_of(effect, n) >= POWER

    return _first_that(enough, at_least=2, at_most=_MOST_PAIRS) if effect else None


def power_of(effect: float, n: int) -> float:
    """Return the power of the two-sided paired t test at 5 % for a d_z, with n pairs.

    statsmodels' own is NaN for some values that occur (3 pairs, d_z = 4.6), as is the distribution that it uses.
    """
    from scipy import stats

    critical, noncentrality = float(stats.t.ppf(1 - ALPHA / 2, n - 1)), effect * math.sqrt(n)
    above = 1 - noncentral_t(critical, n - 1)(noncentrality)
    return above + noncentral_t(-critical, n - 1)(noncentrality)


def _first_that(holds: Callable[[int], bool], *, at_least: int, at_most: int) -> int | None:
    """Return the smallest number for which something holds that holds for every larger one."""
    low, high = at_least - 1, at_least
    while not holds(high):
        if high >= at_most:
            return None
        low, high = high, min(2 * high, at_most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
