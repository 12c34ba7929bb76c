"""Against numbers that others have published, and by simulation: do intervals cover, do tests raise false alarms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from orchestrator.compare.mediation import mediation
from orchestrator.compare.power import pairs_needed, planned, power_of
from orchestrator.compare.statistics import (
    adjusted,
    cliffs_delta,
    effect_dz,
    hedges_g,
    outliers,
    paired,
    small_sample_factor,
    unpaired,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# R's data set `sleep` (Student 1908): extra hours of sleep of ten patients, under two drugs.
SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
# R's data set `mtcars`: miles per gallon of cars with automatic and with manual transmission.
AUTOMATIC = [
    21.4,
    18.7,
    18.1,
    14.3,
    24.4,
    22.8,
    19.2,
    17.8,
    16.4,
    17.3,
    15.2,
    10.4,
    10.4,
    14.7,
    21.5,
    15.5,
    15.2,
    13.3,
    19.2,
]
MANUAL = [21, 21, 22.8, 32.4, 30.4, 33.9, 27.3, 26, 30.4, 15.8, 19.7, 15, 21.4]


def test_pairs_against_r() -> None:
    found = paired(SLEEP_2, SLEEP_1)
    assert found is not None
    assert found.t_p == pytest.approx(0.002833, abs=1e-6)  # ?t.test: t = -4.0621, df = 9, p-value = 0.002833
    assert (found.difference.low, found.difference.high) == pytest.approx((-2.4598858, -0.7001142))
    dz = found.dz  # effectsize::cohens_d(…, paired = TRUE): -1.28, 95 % CI [-2.12, -0.41]
    assert [round(x, 2) for x in (dz.estimate, dz.low, dz.high)] == [-1.28, -2.12, -0.41]


def test_wilcoxon_against_r() -> None:
    first = [
        1.83,
        0.50,
        1.62,
        2.48,
        1.68,
        1.88,
        1.55,
        3.06,
        1.30,
    ]  # ?wilcox.test, Hollander and Wolfe's depression scores
    second = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
    found = paired(first, second)
    assert found is not None
    assert found.wilcoxon_p == pytest.approx(2 * 0.01953, abs=1e-5)  # V = 40, one-sided p-value = 0.01953


def test_unpaired_against_r() -> None:
    found = unpaired(AUTOMATIC, MANUAL)
    assert found is not None
    assert found.difference is not None
    assert found.g is not None
    assert found.welch_p == pytest.approx(0.001373638)  # t.test(mpg ~ am): 95 % CI 3.209684 to 11.280194
    assert (found.difference.low, found.difference.high) == pytest.approx((3.209684, 11.280194), abs=1e-6)
    assert found.mann_whitney_p == pytest.approx(0.001871, abs=1e-6)  # wilcox.test(mpg ~ am): W = 42
    assert found.g.estimate == pytest.approx(1.44, abs=0.005)  # effectsize::hedges_g(mpg ~ am): 1.44
    assert found.delta.estimate == pytest.approx(1 - 2 * 42 / (19 * 13))  # from the same W


def test_corrections_are_statsmodels() -> None:
    p_values = [round(p, 3) for p in np.random.default_rng(7).beta(0.4, 1, 30).tolist()]  # rounded: some are the same
    assert adjusted(p_values, "holm") == pytest.approx(multipletests(p_values, method="holm")[1].tolist())
    assert adjusted(p_values, "bh") == pytest.approx(multipletests(p_values, method="fdr_bh")[1].tolist())


def test_corrections_by_hand() -> None:
    p = [0.01, 0.04, None, 0.03, 0.005]
    assert adjusted(p, "holm") == pytest.approx([0.03, 0.06, None, 0.06, 0.02])
    assert adjusted(p, "bh") == pytest.approx([0.02, 0.04, None, 0.04, 0.02])
    assert adjusted([None], "holm") == [None]


def test_power_against_published_tables() -> None:
    # Cohen (1988): paired, two-sided 5 %: d_z = 0.5 needs 34 pairs for 80 %, d_z = 0.2 needs 199 (as G*Power says).
    assert [pairs_needed(0.5), pairs_needed(-0.2), pairs_needed(0.0), pairs_needed(1e-5)] == [34, 199, None, None]
    for effect, n in ((0.2, 60), (-0.5, 20), (0.0, 10), (1.2, 3), (3.0, 5)):
        assert power_of(effect, n) == pytest.approx(float(TTestPower().power(effect, n, 0.05)), abs=1e-5)
    assert power_of(50.0, 3) == pytest.approx(1, abs=1e-3)
    plan = planned(34, 2.0, 1.0)
    assert plan.needed == 34
    assert 0.8 <= plan.power < 0.82
    assert plan.detectable == pytest.approx(1.0, abs=0.02)


def test_the_small_sample_factor_is_hedges_own() -> None:
    assert small_sample_factor(2) == pytest.approx(1 / math.sqrt(math.pi))  # Hedges 1981: c(2) = 0.5642
    for freedom in (5, 10, 50, 200):
        assert small_sample_factor(freedom) == pytest.approx(1 - 3 / (4 * freedom - 1), abs=0.01 / freedom)


def test_outliers_are_those_beyond_the_fences() -> None:
    assert outliers([1, 2, 3, 4, 5, 6, 7, 8, 9, 17]) == [False] * 9 + [True]  # quartiles 3.25 and 7.75, fence at 14.5
    assert outliers([5, 5, 5, 5, 6]) == [False] * 4 + [True]


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0], [2.0, 2.0]])
def test_what_cannot_be_tested_is_none(values: list[float]) -> None:
    assert paired(values, values) is None
    assert unpaired(values, values) is None


def test_samples_that_do_not_vary_in_themselves_are_told_apart_by_ranks() -> None:
    found = unpaired([0.0] * 25, [1.0] * 25)
    assert found is not None
    assert found.mann_whitney_p < 1e-9
    assert (found.welch_p, found.g, found.delta.estimate, found.delta.high) == (None, None, 1.0, 1.0)
    assert 0.7 < found.delta.low < 1


@pytest.mark.parametrize("n", [3, 10, 50])
@pytest.mark.parametrize("effect", [-2.5, -0.3, 0.0, 0.3, 1.5])
def test_the_limits_of_dz_are_where_chance_would_hide_it(effect: float, n: int) -> None:
    found = effect_dz(effect, n)
    for limit, share in ((found.low, 0.975), (found.high, 0.025)):
        below = stats.nct.cdf(effect * math.sqrt(n), n - 1, limit * math.sqrt(n))  # an independent implementation
        assert below == pytest.approx(share, abs=2e-5)


@pytest.mark.parametrize("effect", [14.0, 200.0, 5000.0])
def test_a_very_large_effect_has_an_interval_too(effect: float) -> None:
    for n in (3, 50):
        found, mirrored = effect_dz(effect, n), effect_dz(-effect, n)
        assert 0 < found.low < effect < found.high
        assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))


def test_few_values_are_judged_by_t_tests() -> None:
    pairs = paired([1.0, 2.0, 3.0, 4.0], [2.0, 3.1, 4.0, 5.1])
    samples = unpaired([1.0, 1.1, 1.2], [2.0, 2.1, 2.2])
    assert pairs is not None
    assert samples is not None
    assert pairs.p == pairs.t_p < 0.001 < pairs.wilcoxon_p
    assert samples.p == samples.welch_p
    many = paired(SLEEP_1, SLEEP_2)
    assert many is not None
    assert many.p == many.wilcoxon_p


def covered(draw: Callable[[np.random.Generator], tuple[float, float]], true: float, times: int = 500) -> float:
    """Return in what share of samples the interval holds the true value."""
    rng = np.random.default_rng(1)
    return sum(low <= true <= high for low, high in (draw(rng) for _ in range(times))) / times


def test_intervals_cover_dz() -> None:
    def draw(rng: np.random.Generator) -> tuple[float, float]:
        sample = rng.normal(0.6, 1, 15)
        found = effect_dz(float(sample.mean() / sample.std(ddof=1)), 15)
        return found.low, found.high

    assert 0.925 < covered(draw, 0.6) < 0.975


@pytest.mark.parametrize(("sd", "second"), [(1.0, 25), (5.0, 25), (0.3, 40)])
def test_intervals_cover_g_where_variances_differ(sd: float, second: int) -> None:
    true = 0.8 / math.sqrt((24 + (second - 1) * sd * sd) / (23 + second))

    def draw(rng: np.random.Generator) -> tuple[float, float]:
        found = hedges_g(rng.normal(0, 1, 25).tolist(), rng.normal(0.8, sd, second).tolist())
        return found.low, found.high

    assert 0.925 < covered(draw, true) < 0.975


@pytest.mark.parametrize("shift", [0.0, 0.5, 3.0])
def test_intervals_cover_delta(shift: float) -> None:
    true = math.erf(shift / 2)  # 2 P(X < Y) - 1 for normal values one standard deviation wide

    def draw(rng: np.random.Generator) -> tuple[float, float]:
        found = cliffs_delta(rng.normal(0, 1, 20).tolist(), rng.normal(shift, 1, 20).tolist())
        return found.low, found.high

    assert 0.925 < covered(draw, true) < 0.995


def test_tests_raise_false_alarms_as_seldom_as_they_say() -> None:
    rng = np.random.default_rng(2)
    alarms = np.zeros(4)
    for _ in range(400):
        a, b = rng.lognormal(0, 0.5, 20).tolist(), rng.lognormal(0, 0.5, 20).tolist()
        pairs, samples = paired(a, b), unpaired(a, b)
        assert pairs is not None
        assert samples is not None
        assert samples.welch_p is not None
        alarms += np.array([pairs.t_p, pairs.wilcoxon_p, samples.welch_p, samples.mann_whitney_p]) < 0.05
    assert (alarms / 400 < 0.075).all()
    assert (alarms / 400 > 0.025).all()


def test_mediation_finds_what_was_put_in() -> None:
    rng = np.random.default_rng(3)

    def sample(volume: float, direct: float) -> list[tuple[float, float]]:
        characters = np.exp(rng.normal(math.log(1000 * volume), 0.2, 400))
        seconds = direct * 0.01 * characters * np.exp(rng.normal(0, 0.1, 400))
        return list(zip(seconds.tolist(), characters.tolist(), strict=True))

    found = mediation(sample(1.0, 1.0), sample(2.0, 0.7))
    assert found is not None
    assert found.through_volume.low < 1.0 < found.through_volume.high  # twice the volume, twice the time
    assert found.direct.low < -0.3 < found.direct.high
    both = (1 + found.through_volume.estimate) * (1 + found.direct.estimate) - 1
    assert found.total.estimate == pytest.approx(both)
    assert mediation(sample(1.0, 1.0)[:4], sample(1.0, 1.0)) is None
    assert mediation([(2.0, 10.0)] * 9, [(1.0, 20.0)] * 9) is None  # the mode is the volume: nothing tells them apart
