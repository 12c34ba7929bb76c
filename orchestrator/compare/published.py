"""Stated results of others against the trials: does the stated heterogeneity follow from the stated effects?

The file is JSON: `{measure: {"per_task": {task: {"n", "effect_size_dz"}}, "meta_analysis": {"pooled_effect_size",
"pooled_se", "heterogeneity_Q", "heterogeneity_I2" (percent)}}}`; further keys are passed over.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from orchestrator.compare.pooling import heterogeneity
from orchestrator.compare.statistics import small_sample_factor
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["Checked", "Published", "Source", "check_published", "read_published"]

_NAMES = {"response_time": "wall_seconds", "overall_score": "score.overall"}  # `code_quality` is `score.code_quality`
_CLOSE = 0.005  # relative: the stated figures are rounded, or from the same numbers


class _Task(BaseModel):
    model_config = ConfigDict(frozen=True)

    n: Annotated[int, Field(ge=2)]
    effect_size_dz: Annotated[float, Field(allow_inf_nan=False)]


class _Meta(BaseModel):
    model_config = ConfigDict(frozen=True)

    pooled_effect_size: Annotated[float, Field(allow_inf_nan=False)]
    pooled_se: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    heterogeneity_Q: Annotated[float, Field(ge=0, allow_inf_nan=False)]  # noqa: N815 - as published
    heterogeneity_I2: Annotated[float, Field(ge=0, le=100)]  # noqa: N815 - as published


class Published(BaseModel):
    """What others state about one measure."""

    model_config = ConfigDict(frozen=True)

    per_task: Annotated[dict[str, _Task], Field(min_length=2)]
    meta_analysis: _Meta


class Source(StrEnum):
    """Which weights give the stated Q."""

    INVERSE_VARIANCE = "inverse variance"
    NORMALISED = "normalised"  # divided by their sum: Q shrinks by that sum, and I² falls to nothing
    NEITHER = "neither"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Stated heterogeneity against what the stated effects give.

    `q` and `i2` (a share) come from the stated effects with weights 1/variance, `q_normalised` with the same weights divided
    by their sum. `variance` says which variance that is: the one which the stated standard error shows, if one of the two
    known ones does. `ours` is what the trials give if pooled in the same way (None: a task is not there), with the small-sample
    correction; `largest_gap` is the largest difference between a stated d_z and that of the trials (None: not there).
    """

    measure: str
    effects: Mapping[str, float]
    pooled: float
    error: float
    stated_q: float
    stated_i2: float
    q: float
    q_p: float
    i2: float
    q_normalised: float
    variance: str
    source: Source
    ours: float | None
    largest_gap: float | None

    @property
    def freedom(self) -> int:
        """Degrees of freedom of Q."""
        return len(self.effects) - 1

    @property
    def holds(self) -> bool:
        """Whether the stated Q and I² both follow from the stated effects."""
        return self.source is Source.INVERSE_VARIANCE and abs(self.stated_i2 - self.i2) <= 0.01


def read_published(path: Path) -> dict[str, Published]:
    """Return stated results by measure.

    Raises:
        UsageError: the file cannot be read, or is no such JSON.
    """
    hint = (
        'It needs {measure: {"per_task": {task: {"n", "effect_size_dz"}}, "meta_analysis": {"pooled_effect_size", …}}}.'
    )
    try:
        found = TypeAdapter(dict[str, Published]).validate_python(json.loads(path.read_bytes()))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", hint=hint) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{path}: {' → '.join(map(str, first['loc'])) or 'it'}: {first['msg']}.", hint=hint) from error
    except ValueError as error:  # no JSON, or no text
        raise UsageError(f"{path} is no JSON: {error}.", hint=hint) from error
    return {
        _NAMES.get(name, name if name in _NAMES.values() else f"score.{name}"): each for name, each in found.items()
    }


def check_published(measure: str, stated: Published, ours: Mapping[str, float]) -> Checked:
    """Recompute Q from the stated effects, both ways; `ours` are the d_z of the trials by task."""
    from scipy import stats

    tasks = sorted(stated.per_task)
    effects = [stated.per_task[task].effect_size_dz for task in tasks]
    meta = stated.meta_analysis
    variance, weights = _weights(effects, [stated.per_task[task].n for task in tasks], meta.pooled_se)
    q = heterogeneity(effects, weights)
    normalised = q / sum(weights)
    source = Source.NEITHER
    if math.isclose(meta.heterogeneity_Q, q, rel_tol=_CLOSE):
        source = Source.INVERSE_VARIANCE
    elif math.isclose(meta.heterogeneity_Q, normalised, rel_tol=_CLOSE):
        source = Source.NORMALISED
    gaps = [abs(stated.per_task[task].effect_size_dz - ours[task]) for task in tasks if task in ours]
    return Checked(
        measure=measure,
        effects=dict(zip(tasks, effects, strict=True)),
        pooled=meta.pooled_effect_size,
        error=meta.pooled_se,
        stated_q=meta.heterogeneity_Q,
        stated_i2=meta.heterogeneity_I2 / 100,
        q=q,
        q_p=float(stats.chi2.sf(q, len(tasks) - 1)),
        i2=max(0.0, 1 - (len(tasks) - 1) / q) if q > 0 else 0.0,
        q_normalised=normalised,
        variance=variance,
        source=source,
        ours=_pooled_alike(weights, [ours[task] for task in tasks], stated) if len(gaps) == len(tasks) else None,
        largest_gap=max(gaps, default=None),
    )


def _pooled_alike(weights: Sequence[float], effects: Sequence[float], stated: Published) -> float:
    """Return effects of ours pooled with the stated weights."""
    sizes = [stated.per_task[task].n for task in sorted(stated.per_task)]
    corrected = [e * small_sample_factor(n - 1) for e, n in zip(effects, sizes, strict=True)]
    return sum(w * e for w, e in zip(weights, corrected, strict=True)) / sum(weights)


def _weights(effects: Sequence[float], sizes: Sequence[int], error: float) -> tuple[str, list[float]]:
    """Return one over the variances of d_z, as the stated standard error shows that they were taken."""
    simple = [float(n) for n in sizes]
    full = [1 / (1 / n + e * e / (2 * n)) for e, n in zip(effects, sizes, strict=True)]
    if math.isclose(error, 1 / math.sqrt(sum(simple)), rel_tol=_CLOSE):
        return "1/n", simple
    return "1/n + d²/2n", full
