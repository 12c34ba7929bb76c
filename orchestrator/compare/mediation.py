"""How much of a difference in time goes with a difference in how much code was written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.compare.statistics import ALPHA, Effect

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Mediation", "mediation"]

_DRAWS = 20_000
_SEED = 20_251_018  # fixed, so that the same trials give the same report


@dataclass(frozen=True, slots=True, kw_only=True)
class Mediation:
    """Changes of time as shares (0.1 is 10 % more): in all, through the volume of code, and at the same volume.

    On the logarithmic scale `total` is `through_volume` plus `direct`; the shares multiply. Volume was not drawn by lot, so
    this says what goes together, and not what causes what.
    """

    n: int
    total: Effect
    through_volume: Effect
    direct: Effect


def mediation(
    first: Sequence[tuple[float, float]], second: Sequence[tuple[float, float]]
) -> Mediation | None:  # fmt: skip
    """Return the mediation by volume from (seconds, characters) of two modes, each above zero; None if it cannot be fitted.

    Two linear models with HC3 errors (statsmodels); the product's interval by Monte Carlo (MacKinnon 2004), seeded.
    """
    import numpy as np
    import statsmodels.api as sm

    if min(len(first), len(second)) < 5:
        return None
    mode = np.r_[np.zeros(len(first)), np.ones(len(second))]
    seconds, volume = np.log(np.array([*first, *second])).T
    if np.linalg.matrix_rank(np.c_[np.ones_like(mode), mode, volume]) < 3:
        return None
    a = sm.OLS(volume, sm.add_constant(mode)).fit(cov_type="HC3")
    both = sm.OLS(seconds, sm.add_constant(np.c_[mode, volume])).fit(cov_type="HC3")
    total = sm.OLS(seconds, sm.add_constant(mode)).fit(cov_type="HC3")
    draw = np.random.default_rng(_SEED)
    products = draw.normal(a.params[1], a.bse[1], _DRAWS) * draw.normal(both.params[2], both.bse[2], _DRAWS)
    low, high = np.quantile(products, [ALPHA / 2, 1 - ALPHA / 2])
    return Mediation(
        n=len(mode),
        total=_share(total.params[1], *total.conf_int(ALPHA)[1]),
        through_volume=_share(a.params[1] * both.params[2], low, high),
        direct=_share(both.params[1], *both.conf_int(ALPHA)[1]),
    )


def _share(estimate: float, low: float, high: float) -> Effect:
    import numpy as np

    return Effect(estimate=float(np.expm1(estimate)), low=float(np.expm1(low)), high=float(np.expm1(high)))
