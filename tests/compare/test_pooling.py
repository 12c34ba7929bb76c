"""Pooling against metafor's published results, and what is said of the stated results of others."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import statsmodels.api as sm

from orchestrator.compare.pooling import Part, dz_part, heterogeneity, pool, ratio_part
from orchestrator.compare.published import Published, Source, check_published, read_published
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

# metafor's `dat.bcg` (Colditz 1994): cases and others, vaccinated and not, in 13 trials.
BCG = [
    (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761),
    (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232), (17, 1699, 65, 1600),
    (186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825),
]  # fmt: skip


def bcg() -> list[Part]:
    """Return the logarithms of the risk ratios."""
    return [
        Part(
            task=str(i),
            effect=math.log(a / (a + b) / (c / (c + d))),
            variance=1 / a - 1 / (a + b) + 1 / c - 1 / (c + d),
        )
        for i, (a, b, c, d) in enumerate(BCG)
    ]


def test_fixed_effect_and_heterogeneity_against_metafor() -> None:
    found = pool(bcg())
    assert found is not None
    # metafor's own tests: rma(yi, vi, method="EE"): -0.4303 [-0.5097, -0.3509], QE = 152.2330
    assert [round(x, 4) for x in (found.fixed.estimate, found.fixed.low, found.fixed.high)] == [
        -0.4303,
        -0.5097,
        -0.3509,
    ]
    assert round(found.q, 4) == 152.2330
    assert round(found.i2, 4) == 0.9212  # method="DL": I^2 = 92.12 %
    assert heterogeneity([p.effect for p in bcg()], [1 / p.variance for p in bcg()]) == pytest.approx(found.q)


def test_random_effects_are_paule_and_mandels_with_hartung_and_knapps_interval() -> None:
    found = pool(bcg())
    assert found is not None
    assert round(found.tau2, 4) == 0.3181  # metafor: rma(yi, vi, method="PM")
    weights = [1 / (p.variance + found.tau2) for p in bcg()]
    effects = [p.effect for p in bcg()]
    assert heterogeneity(effects, weights) == pytest.approx(12, abs=1e-4)  # the equation that defines the estimate
    fit = sm.WLS(effects, np.ones(13), weights=weights).fit()  # the same as Hartung and Knapp's, by another way
    assert found.random.estimate == pytest.approx(fit.params[0])
    assert (found.random.low, found.random.high) == pytest.approx(tuple(fit.conf_int()[0]), rel=2e-3)
    assert found.prediction is not None
    reach = 2.200985 * math.sqrt(found.tau2 + 1 / sum(weights))  # t with 11 degrees of freedom
    assert found.prediction.high - found.prediction.estimate == pytest.approx(reach, rel=1e-4)


def test_equal_effects_have_no_heterogeneity() -> None:
    found = pool([Part(task=str(i), effect=0.3 + 0.01 * (i % 2), variance=0.04) for i in range(6)])
    assert found is not None
    assert (found.i2, found.tau2) == (0.0, 0.0)
    assert found.random.high - found.random.low >= found.fixed.high - found.fixed.low
    assert pool([Part(task="a", effect=1.0, variance=1.0)]) is None


def test_intervals_of_random_effects_cover_and_the_prediction_holds_further_tasks() -> None:
    rng = np.random.default_rng(4)
    covered = foreseen = 0
    for _ in range(400):
        true = rng.normal(0.2, 0.4, 6)
        variances = rng.uniform(0.01, 0.06, 6)
        effects = rng.normal(true, np.sqrt(variances))
        found = pool(
            [
                Part(task=str(i), effect=float(e), variance=float(v))
                for i, (e, v) in enumerate(zip(effects, variances, strict=True))
            ]
        )
        assert found is not None
        assert found.prediction is not None
        covered += not found.random.excludes(0.2)
        foreseen += not found.prediction.excludes(float(rng.normal(0.2, 0.4)))
    assert 0.92 < covered / 400 < 0.98
    assert 0.90 < foreseen / 400 < 0.99


def test_the_ratio_of_means_is_a_percentage() -> None:
    part = ratio_part("a", [9.0, 10.0, 11.0], [12.0, 13.0, 14.0])
    assert part is not None
    assert math.exp(part.effect) == pytest.approx(1.3)
    assert part.variance == pytest.approx(1 / (3 * 100) + 1 / (3 * 169))
    assert ratio_part("a", [0.0, 0.0], [1.0, 2.0]) is None


def stated(effects: dict[str, float], n: int, q: float, i2: float) -> Published:
    """Return a stated result with weights n."""
    pooled = sum(effects.values()) / len(effects)
    meta = {
        "pooled_effect_size": pooled,
        "pooled_se": 1 / math.sqrt(n * len(effects)),
        "heterogeneity_Q": q,
        "heterogeneity_I2": i2,
    }
    tasks = {task: {"n": n, "effect_size_dz": effect} for task, effect in effects.items()}
    return Published.model_validate({"per_task": tasks, "meta_analysis": meta})


EFFECTS = {"a": -0.5, "b": 0.1, "c": 0.7}
Q = 40 * (0.6**2 + 0.0 + 0.6**2)  # weights 40, mean 0.1


@pytest.mark.parametrize(
    ("q", "i2", "source", "holds"),
    [
        (Q, 100 * (1 - 2 / Q), Source.INVERSE_VARIANCE, True),
        (Q, 0.0, Source.INVERSE_VARIANCE, False),
        (Q / 120, 0.0, Source.NORMALISED, False),
        (7.0, 71.4, Source.NEITHER, False),
    ],
)
def test_the_stated_heterogeneity_is_traced_to_its_weights(q: float, i2: float, source: Source, *, holds: bool) -> None:
    found = check_published("wall_seconds", stated(EFFECTS, 40, q, i2), dict(EFFECTS))
    assert (found.source, found.holds, found.variance) == (source, holds, "1/n")
    assert (found.q, found.q_normalised) == pytest.approx((Q, Q / 120))
    assert found.largest_gap == 0
    assert found.ours is not None
    assert 0.097 < found.ours < 0.1  # the same effects, with the small-sample correction
    assert check_published("wall_seconds", stated(EFFECTS, 40, q, i2), {"a": -0.4}).ours is None


def test_the_variance_of_dz_is_known_by_the_stated_error() -> None:
    parts = [dz_part(task, effect, 40) for task, effect in EFFECTS.items()]
    full = stated(EFFECTS, 40, 1.0, 0.0)
    error = 1 / math.sqrt(sum(1 / (1 / 40 + e * e / 80) for e in EFFECTS.values()))
    other = full.model_copy(update={"meta_analysis": full.meta_analysis.model_copy(update={"pooled_se": error})})
    found = check_published("wall_seconds", other, {})
    assert found.variance == "1/n + d²/2n"
    assert found.q == pytest.approx(
        heterogeneity(list(EFFECTS.values()), [1 / (1 / 40 + e * e / 80) for e in EFFECTS.values()])
    )
    assert [p.variance for p in parts] == pytest.approx([1 / 40 + p.effect**2 / 80 for p in parts])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        ("{", "is no JSON"),
        ({"response_time": {"per_task": {}}}, "response_time → per_task: "),
        ({"x": {"per_task": {"a": {"n": 1, "effect_size_dz": 1}}, "meta_analysis": {}}}, "x → per_task → a → n"),
    ],
)
def test_stated_results_that_cannot_be_read_are_refused_in_a_sentence(content: Any, said: str, tmp_path: Path) -> None:
    file = tmp_path / "stated.json"
    if content is not None:
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UsageError) as refused:
        read_published(file)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
