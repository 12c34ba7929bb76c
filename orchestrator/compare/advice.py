"""What follows from an analysis, in words: which mode, how many agents, and how sure that is. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from orchestrator.compare.blocks import percent, signed_percent
from orchestrator.compare.measures import TIME, Better
from orchestrator.compare.statistics import ALPHA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.compare.analysis import Analysis, Comparison
    from orchestrator.compare.arms import Pair
    from orchestrator.compare.pooling import Pooled

__all__ = ["Advice", "Sure", "Verdict", "advise", "verdict"]

_MUST = {"unparsed", "gates"}  # worse here, and a gain of time is none
_NOT_QUALITY = {TIME, f"{TIME}_per_1000", "agent_seconds", "overhead"}  # other forms of the time


class Sure(StrEnum):
    """How sure a sentence is."""

    CLEAR = "clear"  # it survives the correction for many tests, and goes the same way with and without outliers
    LIKELY = (
        "likely"  # it survives the correction, but mean and median, or all trials and those without outliers, disagree
    )
    OPEN = "open"  # the trials do not show it


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Which way one comparison goes: -1, 0 or 1 for the second arm's typical value, and how sure that is."""

    direction: int
    sure: Sure


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A sentence of advice; `about` is a task, or empty for all of them."""

    about: str
    text: str
    sure: Sure


def verdict(comparison: Comparison) -> Verdict:
    """Judge one comparison by its corrected p value, and by whether means, medians and trials without outliers agree."""
    every, kept = comparison.every, comparison.kept
    signs = [
        _sign(every.second.mean - every.first.mean),
        _sign(kept.second.mean - kept.first.mean),
        _sign(every.second.median - every.first.median),
    ]
    typical = signs[2] or signs[1]
    if comparison.holm is None or comparison.holm >= ALPHA or not typical:
        return Verdict(direction=typical, sure=Sure.OPEN)
    agree = {sign for sign in signs if sign} == {typical}
    found_without_outliers = comparison.p_kept is not None and comparison.p_kept < ALPHA
    return Verdict(direction=typical, sure=Sure.CLEAR if agree and found_without_outliers else Sure.LIKELY)


def advise(analysis: Analysis) -> tuple[Advice, ...]:
    """Return advice: for all tasks together, on the number of agents, then for each task."""
    base = analysis.pairs[0].first
    against_base = [pair for pair in analysis.pairs if pair.first == base]
    overall = [each for pair in against_base for each in _overall(analysis, pair)]
    tasks = [found for task in analysis.tasks if (found := _task(analysis, task, against_base))]
    return (*overall, *_agents(analysis), *_coupling(analysis), *tasks)


def _overall(analysis: Analysis, pair: Pair) -> list[Advice]:
    found = [(c, verdict(c)) for c in analysis.of(TIME, pair)]
    if not found:
        return []
    second, first = pair.second.label, pair.first.label
    faster = sum(v.direction < 0 and v.sure is not Sure.OPEN for _, v in found)
    slower = sum(v.direction > 0 and v.sure is not Sure.OPEN for _, v in found)
    text = f"{second} is faster than {first} in {faster} of {len(found)} tasks, slower in {slower}, undecided in "
    text += f"{len(found) - faster - slower}."
    one_way = bool(faster) != bool(slower) and faster + slower == len(found)
    advice = [
        Advice(about="", text=text, sure=Sure.CLEAR if one_way else Sure.LIKELY if faster or slower else Sure.OPEN)
    ]
    pooled = analysis.pooled_of(TIME, pair)
    if pooled and pooled.ratio:
        advice.append(_next_task(pooled.ratio, pair))
    return advice


def _next_task(ratio: Pooled, pair: Pair) -> Advice:
    mean, further = ratio.random, ratio.prediction or ratio.random
    text = f"Over all tasks, {pair.second.label} changes the mean time of {pair.first.label} by {_percent(mean.estimate)}, "
    text += f"with 95 % between {_percent(mean.low)} and {_percent(mean.high)} (random effects). "
    if ratio.prediction:
        text += f"For a further task like these, expect anything between {_percent(further.low)} and {_percent(further.high)}"
        text += "." if further.excludes(0) else ": decide by task, and measure first."
    sure = Sure.CLEAR if further.excludes(0) else Sure.LIKELY if mean.excludes(0) else Sure.OPEN
    return Advice(about="", text=text.strip(), sure=sure)


def _agents(analysis: Analysis) -> list[Advice]:
    if not analysis.scaling:
        text = "How many agents: these trials do not say, for no mode was tried with three or more numbers of agents."
        return [Advice(about="", text=text, sure=Sure.OPEN)]
    advice = []
    for mode, task, fit in analysis.scaling:
        text = f"How many agents for {task} with {mode}: {fit.best}, of up to {fit.tried[-1]} that were tried; that is "
        text += f"{fit.speedup:.1f} times as fast as one agent. {100 * fit.share.estimate:.0f} % of the work runs in parallel"
        text += f" ({100 * fit.share.low:.0f} to {100 * fit.share.high:.0f} %)."
        sure = Sure.CLEAR if fit.share.low > 0.1 or fit.share.high < 0.1 else Sure.OPEN
        advice.append(Advice(about="", text=text, sure=sure))
    return advice


def _coupling(analysis: Analysis) -> list[Advice]:
    """Return what the tasks' static coupling says of the gain, where it was recorded."""
    advice = []
    for pair, found in analysis.couplings:
        text = f"The more the parts of a task depend on each other, the {'slower' if found.rho > 0 else 'faster'} "
        text += f"{pair.second.label} was against {pair.first.label} (rank correlation {found.rho:.2f} over {found.tasks} tasks, "
        text += f"p = {found.p:.2g})."
        advice.append(Advice(about="", text=text, sure=Sure.LIKELY if found.p < ALPHA else Sure.OPEN))
    return advice


def _task(analysis: Analysis, task: str, pairs: Sequence[Pair]) -> Advice | None:
    found = [(c, verdict(c)) for pair in pairs for c in analysis.of(TIME, pair) if c.task == task]
    if not found:
        return None
    gains = [(c, v) for c, v in found if v.direction < 0 and v.sure is not Sure.OPEN]
    chosen, judged = min(gains or found, key=lambda each: each[0].kept.change or 0.0)
    first, second = chosen.pair.first.label, chosen.pair.second.label
    if judged.sure is Sure.OPEN:
        text = f"It makes no difference that these trials show: {second} takes {_change(chosen)}."
    elif judged.sure is Sure.LIKELY:
        way = "faster" if judged.direction < 0 else "slower"
        text = f"{second} is typically the {way} one: {_change(chosen)} against {first}. "
        text += "But mean and median, or all trials and those without outliers, disagree: rare slow trials decide."
    elif judged.direction > 0:
        text = f"Use {first}: {second} takes {_change(chosen)}."
    else:
        text = f"Use {second}: {_change(chosen)} against {first}."
    if judged.direction < 0 and (broken := _broken(analysis, chosen)):
        text = f"Use {first}: {second} is faster ({_change(chosen)}), but {broken}."
    return Advice(about=task, text=f"{text} {_side_effects(analysis, chosen)}".strip(), sure=judged.sure)


def _broken(analysis: Analysis, chosen: Comparison) -> str:
    """Return in words what makes work worthless that came faster; empty if nothing is known to."""
    for c in analysis.comparisons:
        if (c.task, c.pair) == (chosen.task, chosen.pair) and c.measure.key in _MUST and verdict(c).sure is Sure.CLEAR:
            good = (c.every.second.mean > c.every.first.mean) == (c.measure.better is Better.HIGHER)
            if not good:
                shares = f"{percent(c.every.second.mean)} against {percent(c.every.first.mean)}"
                return f"{c.measure.title.lower()} is {shares}"
    return ""


def _side_effects(analysis: Analysis, chosen: Comparison) -> str:
    better: list[str] = []
    worse: list[str] = []
    for c in analysis.comparisons:
        judged = verdict(c)
        if (
            (c.task, c.pair) != (chosen.task, chosen.pair)
            or c.measure.key in _NOT_QUALITY
            or judged.sure is not Sure.CLEAR
        ):
            continue
        if c.measure.better is not Better.NEITHER:
            good = (judged.direction > 0) == (c.measure.better is Better.HIGHER)
            (better if good else worse).append(c.measure.title.removeprefix("Score: ").lower())
    said = [f"better: {', '.join(better)}"] * bool(better) + [f"worse: {', '.join(worse)}"] * bool(worse)
    return f"With {chosen.pair.second.label}, {'; '.join(said)}." if said else ""


def _change(comparison: Comparison) -> str:
    """Return the change of the mean time without outliers, and with them where that differs by more than a tenth."""
    kept, every = comparison.kept.change or 0.0, comparison.every.change or 0.0
    text = f"{signed_percent(kept)} time"
    return text if abs(kept - every) < 0.1 else f"{text}, with outliers {signed_percent(every)}"


def _percent(logarithm: float) -> str:
    return signed_percent(math.expm1(logarithm))


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
