"""Fits over agents and lengths find what made the times."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.compare.scaling import break_even, coupling_effect, crossing, fit_scaling


def times(serial: float, parallel: float, cost: float, spread: float = 1.0, seed: int = 5) -> list[tuple[int, float]]:
    """Return times of ten trials each of 1 to 16 agents."""
    rng = np.random.default_rng(seed)
    means = {n: serial + parallel / n + cost * (n - 1) for n in (1, 2, 4, 8, 16)}
    return [(n, mean + rng.normal(0, spread)) for n, mean in means.items() for _ in range(10)]


def test_the_fit_finds_the_best_number_and_its_intervals_cover_the_terms() -> None:
    covered = np.zeros(4)
    for seed in range(40):
        found = fit_scaling(times(20, 80, 1.25, seed=seed))
        assert found is not None
        assert found.best in {7, 8, 9}  # the square root of 80 / 1.25 is 8
        assert found.speedup == pytest.approx(100 / 38.75, rel=0.05)
        true = ((found.serial, 20), (found.parallel, 80), (found.cost, 1.25), (found.share, 0.8))
        covered += [not effect.excludes(value) for effect, value in true]
    assert (covered / 40 >= 0.85).all()


def test_amdahls_law_is_the_fit_without_a_cost() -> None:
    found = fit_scaling(times(30, 70, 0, spread=0.0))
    assert found is not None
    assert (found.serial.estimate, found.cost.estimate) == pytest.approx((30, 0), abs=1e-6)
    assert found.best == 16


def test_work_that_does_not_parallelise_needs_one_agent() -> None:
    found = fit_scaling(times(50, 0, 2))
    assert found is not None
    assert found.best == 1
    assert found.share.estimate < 0.1
    assert fit_scaling([(1, 10.0), (2, 6.0)]) is None


def test_break_even_is_where_what_is_saved_equals_the_overhead() -> None:
    found = break_even([9.0, 11.0], 4, 0.8)
    assert found is not None
    assert found.seconds == pytest.approx(10 / (0.8 * 0.75))
    best_case = break_even([10.0], 4, None)
    assert best_case is not None
    assert best_case.seconds == pytest.approx(40 / 3)
    assert not best_case.measured_share
    never = break_even([10.0], 4, 0.0)
    assert never is not None
    assert never.seconds is None
    assert (break_even([], 4, 0.5), break_even([10.0], 1, 0.5)) == (None, None)


def test_the_crossing_of_two_modes_and_the_side_that_pays() -> None:
    lengths = [20.0, 40.0, 80.0, 160.0, 320.0]
    found = crossing(lengths, [30 + 0.4 * x for x in lengths])
    assert found is not None
    assert found.at == pytest.approx(50)
    assert found.longer_pays
    assert found.sure == 1
    other = crossing(lengths, [2 * x - 60 for x in lengths])
    assert other is not None
    assert other.at == pytest.approx(60)
    assert not other.longer_pays
    apart = crossing(lengths, [1.1 * x + 10 for x in lengths])
    assert apart is not None
    assert apart.at is None  # the second is the slower one everywhere
    assert crossing(lengths[:3], lengths[:3]) is None


def test_coupling_goes_with_the_loss() -> None:
    found = coupling_effect([0.1, 0.2, 0.5, 0.9, 1.0], [-0.3, -0.1, 0.0, 0.2, 0.5])
    assert found is not None
    assert found.rho == pytest.approx(1)
    assert found.p == pytest.approx(2 / 120)  # one order of five and its mirror
    assert coupling_effect([0.1, 0.1, 0.1, 0.1], [1.0, 2.0, 3.0, 4.0]) is None
