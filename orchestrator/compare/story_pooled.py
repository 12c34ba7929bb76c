"""The parts of the report that go beyond single tasks: pooling, stated results, agents and length, how many trials."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from orchestrator.compare.analysis import WORTH
from orchestrator.compare.blocks import (
    Column,
    Figure,
    Items,
    Paragraph,
    Section,
    Table,
    count,
    number,
    p_value,
    percent,
    signed_percent,
)
from orchestrator.compare.measures import TIME
from orchestrator.compare.plots import forest_plot, scaling_plot
from orchestrator.compare.published import Source
from orchestrator.compare.statistics import Effect, Z

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.compare.analysis import Analysis, PooledMeasure
    from orchestrator.compare.blocks import Block, Value
    from orchestrator.compare.published import Checked

__all__ = ["pooled_part", "published_part", "scaling_part", "trials_needed_part"]

_FORESTS = 4  # a page with more is not read; the table has them all


def pooled_part(analysis: Analysis) -> Section | None:
    """Return effects pooled over tasks."""
    pooled = [p for p in analysis.pooled if p.dz or p.ratio]
    if not pooled:
        return None
    times = [p for p in pooled if p.measure.key == TIME]
    blocks: list[Block] = [Paragraph(_what_pooling_says(each)) for each in times[:_FORESTS]]
    for i, each in enumerate(times[:_FORESTS]):
        panels = [("Wall time, d_z", each.dz, False), ("Change of the mean time", each.ratio, True)]
        given = [(title, found, as_percent) for title, found, as_percent in panels if found]
        alt = f"Forest plot of the wall time, {each.pair.label}: each task, fixed and random effects, prediction."
        blocks.append(Figure(name=f"forest-{i + 1}", alt=alt, svg=forest_plot(given, f"forest-{i + 1}")))
    return Section(title="Pooled over tasks", blocks=[*blocks, _dz_table(pooled), _ratio_table(pooled)])


def _what_pooling_says(pooled: PooledMeasure) -> str:
    found = pooled.ratio or pooled.dz
    assert found is not None
    show = _as_percent if pooled.ratio else _as_number
    what = "the mean time changes by" if pooled.ratio else "d_z is"
    text = (
        f"{pooled.pair.label}: {what} {show(found.random)} if tasks differ (random effects), and {show(found.fixed)} "
    )
    text += f"if all of them shared one effect. Heterogeneity: Q = {found.q:.1f} on {found.k - 1} degrees of freedom, "
    text += f"I² = {percent(found.i2)}, τ² = {found.tau2:.3f}."
    if found.i2 > 0.75:
        text += " That is large: tasks do not share one effect, and the fixed effect describes none of them."
    if found.prediction:
        text += f" For a further task: {show(found.prediction)}."
    if pooled.ratio_kept:
        text += f" Without outliers: {show(pooled.ratio_kept.random)}, I² = {percent(pooled.ratio_kept.i2)}."
    return text


def _dz_table(pooled: list[PooledMeasure]) -> Table:
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (p.measure.title, p.pair.label, d.k, d.fixed, d.random, d.random_p, d.q, d.i2, d.tau2, d.prediction)
        for p in pooled
        if (d := p.dz)
    )
    columns = (
        Column(key="measure", title="Measure"),
        Column(key="pair", title="Compared"),
        Column(key="tasks", title="Tasks", show=count),
        Column(key="fixed", title="d_z, fixed [95 %]", show=number(2)),
        Column(key="random", title="d_z, random [95 %]", show=number(2)),
        Column(key="p", title="p", show=p_value),
        Column(key="q", title="Q", show=number(1)),
        Column(key="i2", title="I²", show=percent),
        Column(key="tau2", title="τ²", show=number(3)),
        Column(key="prediction", title="d_z, further task [95 %]", show=number(2)),
    )
    caption = (
        "d_z with the small-sample correction, pooled by inverse variance; between tasks Paule and Mandel's estimate; "
    )
    caption += "intervals of random effects after Hartung, Knapp, Sidik and Jonkman."
    return Table(name="pooled_dz", caption=caption, columns=columns, rows=rows)


def _ratio_table(pooled: list[PooledMeasure]) -> Table:
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (
            p.measure.title, p.pair.label, r.k, _shares(r.fixed), _shares(r.random), r.i2, _shares(r.prediction),
            _shares(p.ratio_kept.random) if p.ratio_kept else None,
        )
        for p in pooled
        if (r := p.ratio)
    )  # fmt: skip
    columns = (
        Column(key="measure", title="Measure"),
        Column(key="pair", title="Compared"),
        Column(key="tasks", title="Tasks", show=count),
        Column(key="fixed", title="Fixed [95 %]", show=signed_percent),
        Column(key="random", title="Random [95 %]", show=signed_percent),
        Column(key="i2", title="I²", show=percent),
        Column(key="prediction", title="Further task [95 %]", show=signed_percent),
        Column(key="random_without_outliers", title="Random, without outliers", show=signed_percent),
    )
    caption = "Changes of the mean, pooled as logarithms of ratios; only where no mean is zero."
    return Table(name="pooled_ratio", caption=caption, columns=columns, rows=rows)


def published_part(analysis: Analysis) -> Section | None:
    """Return what was stated against what follows from it, and from the trials."""
    if not analysis.checked:
        return None
    pair = analysis.pairs[0]
    ours = [(each, analysis.pooled_of(each.measure, pair)) for each in analysis.checked]
    said = [*_judgement(*ours[0]), *_others(ours[1:])]
    rows = tuple(
        (
            pooled.measure.title if pooled else each.measure,
            each.pooled, each.ours, each.stated_q, each.q_normalised, each.q, each.stated_i2, each.i2,
            pooled.dz.i2 if pooled and pooled.dz else None,
            pooled.dz.random if pooled and pooled.dz else None,
            "yes" if each.holds else "no",
        )
        for each, pooled in ours
    )  # fmt: skip
    columns = (
        Column(key="measure", title="Measure"),
        Column(key="stated_pooled", title="d_z, stated", show=number(3)),
        Column(key="trials_pooled", title="trials, pooled alike", show=number(3)),
        Column(key="stated_q", title="Q, stated", show=number(2)),
        Column(key="q_normalised", title="Q with normalised weights", show=number(2)),
        Column(key="q", title="Q with weights 1/variance", show=number(1)),
        Column(key="stated_i2", title="I², stated", show=percent),
        Column(key="i2", title="I² of the stated effects", show=percent),
        Column(key="trials_i2", title="I² of the trials", show=percent),
        Column(key="trials_random", title="d_z of the trials, random [95 %]", show=number(2)),
        Column(key="follows", title="Does the stated I² follow?"),
    )
    caption = "Q is recomputed from the stated effects of the tasks, with two kinds of weights."
    return Section(
        title="Stated results against these trials",
        blocks=(Items(tuple(said)), Table(name="published", caption=caption, columns=columns, rows=rows)),
    )


def _judgement(stated: Checked, ours: PooledMeasure | None) -> list[str]:
    name = ours.measure.title if ours else stated.measure
    figures = f"I² = {percent(stated.stated_i2)} (Q = {stated.stated_q:.2f})"
    if stated.holds:
        return [f"{name}: the stated {figures} follows from the stated effects."]
    text = f"{name}: the stated {figures} does not follow from the stated effects. "
    if stated.source is Source.NORMALISED:
        text += "That Q comes out if the weights are normalised, that is divided by their sum, before Q is computed; it is then "
        text += f"too small by the factor {stated.q / stated.q_normalised:,.0f}. "
    elif stated.source is Source.NEITHER:
        text += "It comes out neither with weights of one over the variance, nor with these divided by their sum. "
    text += f"With inverse-variance weights ({stated.variance}) the same effects give Q = {stated.q:.1f} on {stated.freedom} "
    text += f"degrees of freedom (p {_with_sign(stated.q_p)}), I² = {percent(stated.i2)}"
    if ours and ours.dz:
        text += f"; the trials themselves give Q = {ours.dz.q:.1f}, I² = {percent(ours.dz.i2)}"
    said = [text + "."]
    if ours and ours.dz and stated.i2 > stated.stated_i2:
        said.append(_consequence(stated, ours))
    return said


def _others(checked: Sequence[tuple[Checked, PooledMeasure | None]]) -> list[str]:
    """Say of all further measures what was said of the first one at length."""
    groups: dict[str, list[str]] = {}
    for stated, ours in checked:
        verdict = "the stated heterogeneity follows from the stated effects"
        if not stated.holds:
            verdict = "the stated heterogeneity does not follow from the stated effects"
            verdict += " (normalised weights)" if stated.source is Source.NORMALISED else ""
            if ours and ours.dz:
                kept = _claimed(stated).excludes(0) == ours.dz.random.excludes(0)
                verdict += f", and with random effects the pooled conclusion {'stands' if kept else 'is not supported'}"
        groups.setdefault(verdict, []).append(ours.measure.title.removeprefix("Score: ") if ours else stated.measure)
    return [f"{', '.join(names)}: {verdict}." for verdict, names in groups.items()]


def _claimed(stated: Checked) -> Effect:
    half = Z * stated.error
    return Effect(estimate=stated.pooled, low=stated.pooled - half, high=stated.pooled + half)


def _consequence(stated: Checked, ours: PooledMeasure) -> str:
    """Say what heterogeneity does to the stated conclusion; every word of it depends on the figures."""
    assert ours.dz is not None
    claimed = _claimed(stated)
    text = f"{ours.measure.title}, what this does to the conclusion: the stated pooled d_z = {_as_number(claimed)} holds only if "
    text += f"all tasks share one effect. With random effects it is {_as_number(ours.dz.random)}"
    if ours.dz.prediction:
        text += f", and for a further task {_as_number(ours.dz.prediction)}"
    if claimed.excludes(0) and not ours.dz.random.excludes(0):
        text += ": the interval now holds zero, and the pooled conclusion is not supported."
    else:
        text += f": the interval still {'leaves zero out' if ours.dz.random.excludes(0) else 'holds zero'}, as stated."
    return " ".join([text, *_pooled_alike(stated), *_not_a_percentage(stated, ours)])


def _pooled_alike(stated: Checked) -> list[str]:
    if stated.ours is None or stated.largest_gap is None:
        return []
    said = f"Pooled in the stated way, the trials give {number(2)(stated.ours)}"
    if stated.largest_gap > 0.005:
        said += f" (single tasks differ by up to {stated.largest_gap:.2f}: other pairs than those by run number were formed)"
    return [said + "."]


def _not_a_percentage(stated: Checked, ours: PooledMeasure) -> list[str]:
    if ours.measure.key != TIME or not ours.ratio:
        return []
    said = f"A d_z counts standard deviations of the differences: {number(2)(stated.pooled)} is not "
    said += f"{_whole_percent(stated.pooled)}. "
    said += f"As a ratio of mean times the pooled change is {_as_percent(ours.ratio.random)}"
    return [said + (f", and {_as_percent(ours.ratio_kept.random)} without outliers." if ours.ratio_kept else ".")]


def scaling_part(analysis: Analysis) -> Section:
    """Return the fits over the number of agents, and from which length on parallel work pays."""
    blocks: list[Block] = []
    if analysis.scaling:
        fits = {f"{task}, {mode}": fit for mode, task, fit in analysis.scaling}
        alt = "Time over the number of agents: means of the trials as points, fits as lines."
        blocks += [Figure(name="scaling", alt=alt, svg=scaling_plot(fits)), _scaling_table(analysis)]
    else:
        blocks.append(
            Paragraph("No mode was tried with three or more numbers of agents, so that there is no fit over agents.")
        )
    said = []
    for arm, each in analysis.break_evens:
        text = f"{arm.label}: {each.overhead:.1f} s of overhead a trial"
        if each.seconds is None:
            text += f" and no parallel share: {each.agents} agents do not pay at any length."
        else:
            text += f", so that {each.agents} agents pay for work of more than {each.seconds:.1f} s in sequence "
            text += f"(parallel share {percent(each.share)}, {'measured' if each.measured_share else 'the best case'})."
        said.append(text)
    if not analysis.break_evens:
        said.append("Overhead was not measured, so that the break-even of overhead against length is not known.")
    said += [_crossing_text(analysis, i) for i in range(len(analysis.crossings))]
    return Section(title="How many agents, and from which length on", blocks=[*blocks, Items(tuple(said))])


def _crossing_text(analysis: Analysis, i: int) -> str:
    pair, each = analysis.crossings[i]
    text = f"{pair.label}: over {each.tasks} tasks, its time is {number(1)(each.offset)} s + {each.slope:.2f} times that of "
    text += f"{pair.first.label}. "
    side = "longer" if each.longer_pays else "shorter"
    if each.at is None:
        text += "The two do not meet within twice the longest task"
    else:
        text += f"The two take the same time at {each.at:.0f} s; {pair.second.label} pays for {side} tasks"
    return text + f" (the direction holds in {percent(each.sure)} of samples drawn again from the tasks)."


def _scaling_table(analysis: Analysis) -> Table:
    columns = (
        Column(key="task", title="Task"),
        Column(key="mode", title="Mode"),
        Column(key="serial", title="Serial, s [95 %]", show=number(1)),
        Column(key="parallel", title="Parallel, s [95 %]", show=number(1)),
        Column(key="cost", title="Cost of each further agent, s [95 %]", show=number(2)),
        Column(key="share", title="Parallel share [95 %]", show=percent),
        Column(key="best", title="Best number", show=count),
        Column(key="speedup", title="Speed-up there", show=number(2)),
    )
    rows = tuple(
        (task, mode, fit.serial, fit.parallel, fit.cost, fit.share, fit.best, fit.speedup)
        for mode, task, fit in analysis.scaling
    )
    caption = "Amdahl's law with a cost per agent: T(N) = serial + parallel / N + cost · (N - 1)."
    return Table(name="scaling", caption=caption, columns=columns, rows=rows)


def trials_needed_part(analysis: Analysis) -> Section | None:
    """Return what the trials at hand can show, and how many it takes."""
    if not analysis.plans:
        return None
    rows = tuple(
        (task, pair.label, p.n, p.power, p.detectable, p.worth, p.needed, max(0, p.needed - p.n) if p.needed else None)
        for pair, task, p in analysis.plans
    )
    columns = (
        Column(key="task", title="Task"),
        Column(key="pair", title="Compared"),
        Column(key="pairs", title="Pairs", show=count),
        Column(key="power", title="Power", show=percent),
        Column(key="detectable", title="Found with 80 %, s", show=number(1)),
        Column(key="worth", title="Worth finding, s", show=number(1)),
        Column(key="needed", title="Pairs for 80 %", show=count),
        Column(key="still_needed", title="Still needed", show=count),
    )
    caption = f"Paired t test at 5 %, all trials: the power to find a change of {WORTH:.0%} of the first mode's mean time, the "
    caption += "smallest change found with a power of 80 %, and the pairs it takes for the one worth finding."
    return Section(
        title="How many trials it takes", blocks=(Table(name="power", caption=caption, columns=columns, rows=rows),)
    )


def _shares(logarithms: Effect | None) -> Effect | None:
    if logarithms is None:
        return None
    low, estimate, high = (math.expm1(x) for x in (logarithms.low, logarithms.estimate, logarithms.high))
    return Effect(estimate=estimate, low=low, high=high)


def _as_percent(logarithms: Effect) -> str:
    low, estimate, high = (
        signed_percent(math.expm1(x)) for x in (logarithms.low, logarithms.estimate, logarithms.high)
    )
    return f"{estimate} [{low}, {high}]"


def _as_number(effect: Effect) -> str:
    show = number(2)
    return f"{show(effect.estimate)} [{show(effect.low)}, {show(effect.high)}]"


def _whole_percent(share: float) -> str:
    return f"{'+' if share > 0 else ''}{100 * share:.0f} %"


def _with_sign(p: float) -> str:
    shown = p_value(p)
    return shown if shown.startswith("<") else f"= {shown}"
