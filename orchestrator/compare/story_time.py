"""The parts of the report about trials and times: what was compared, which mode is the faster one, and why."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import TYPE_CHECKING

from orchestrator.compare.advice import advise, verdict
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
    signed_percent,
)
from orchestrator.compare.measures import TIME
from orchestrator.compare.plots import time_plot
from orchestrator.compare.statistics import RANKS_FROM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.compare.analysis import Analysis, Comparison, Tests
    from orchestrator.compare.arms import Arm
    from orchestrator.compare.blocks import Block, Value

__all__ = ["advice_part", "table_of_tests", "time_part", "trials_part", "volume_part"]


def advice_part(analysis: Analysis) -> Section:
    """Return the advice: what holds for all tasks, then each task."""
    advice = advise(analysis)
    general = Items(tuple(f"{each.text} ({each.sure})" for each in advice if not each.about))
    columns = (
        Column(key="task", title="Task"),
        Column(key="advice", title="Advice"),
        Column(key="sure", title="How sure"),
    )
    rows = tuple((each.about, each.text, each.sure.value) for each in advice if each.about)
    caption = "Clear: survives the correction for many tests and holds with and without outliers, for mean and median. "
    caption += "Likely: survives the correction, but not all of these agree. Open: these trials do not show it."
    return Section(
        title="Which mode", blocks=(general, Table(name="advice", caption=caption, columns=columns, rows=rows))
    )  # fmt: skip


def trials_part(analysis: Analysis) -> Section:
    """Return what was compared, and what about the trials themselves the reader must know."""
    counts = Counter(
        (t.task, arm.label) for t in analysis.trials for arm in analysis.arms if arm.holds(t) and not t.error
    )
    failed = Counter((t.task, arm.label) for t in analysis.trials for arm in analysis.arms if arm.holds(t) and t.error)
    rows = tuple(
        (task, arm.label, counts[task, arm.label], failed[task, arm.label])
        for task in analysis.tasks
        for arm in analysis.arms
    )
    columns = (
        Column(key="task", title="Task"),
        Column(key="arm", title="Mode"),
        Column(key="trials", title="Trials", show=count),
        Column(key="failed", title="Failed", show=count),
    )
    caption = "Failed trials are kept in the table of trials, and left out of every mean."
    table = Table(name="trials_by_task", caption=caption, columns=columns, rows=rows, folded=len(rows) > 24)
    return Section(title="What was compared", blocks=(Items(tuple(_about_trials(analysis))), table))


def _about_trials(analysis: Analysis) -> list[str]:
    times = [c for c in analysis.comparisons if c.measure.key == TIME]
    said = [
        f"{len(analysis.trials)} trials of {len(analysis.tasks)} tasks; {sum(1 for t in analysis.trials if t.error)} failed."
    ]
    removed, of = analysis.outliers_removed, sum(1 for t in analysis.trials if t.wall_seconds and not t.error)
    said.append(
        f"{removed} of {of} times lie more than 1.5 interquartile ranges outside the quartiles of their task and mode. "
        "Every comparison of times is shown with and without them."
    )
    seeded = sum(c.seeded for c in times)
    correlations = [
        c.every.paired.correlation for c in times if c.every.paired and c.every.paired.correlation is not None
    ]
    said.append(
        f"Corrected p values are of tests of ranks (Wilcoxon, Mann-Whitney) from {RANKS_FROM} values on, else of t tests."
    )
    if times and seeded == len(times):
        said.append("Pairs share their seed, so the tests of pairs are the ones to read.")
    elif correlations:
        said.append(
            f"Pairs are formed by run number; {'not all' if seeded else 'none'} share a seed (median correlation within pairs: "
            f"{median(correlations):.2f}). Without a common seed pairs say no more than independent samples do, so that "
            "corrected p values are of tests of samples there; those of pairs are shown beside them."
        )
    return said


def time_part(analysis: Analysis) -> Section:
    """Return times: means with and without outliers, tests, effect sizes."""
    times = [c for c in analysis.comparisons if c.measure.key == TIME]
    plotted = {
        task: {arm.label: _values(analysis, task, arm) for arm in analysis.arms if _values(analysis, task, arm)}
        for task in analysis.tasks
    }
    alt = "Box plots of the wall time by task and mode, on a logarithmic scale."
    return Section(
        title="Wall time",
        blocks=(
            Figure(name="time", alt=alt, svg=time_plot(plotted, "wall time, s (logarithmic)")),
            _means_table(times),
            table_of_tests("time_tests", "All trials", times, kept=False),
            table_of_tests("time_tests_without_outliers", "Without outliers", times, kept=True),
        ),
    )


def volume_part(analysis: Analysis) -> Section | None:
    """Return times by volume of code, and how much of the change of time goes with volume."""
    by_volume = [c for c in analysis.comparisons if c.measure.key == f"{TIME}_per_1000"]
    if not by_volume:
        return None
    fits = {(pair, task): found for pair, task, found in analysis.mediations}
    rows: list[tuple[Value, ...]] = []
    for c in by_volume:
        fit = fits.get((c.pair, c.task))
        parts = (fit.total, fit.through_volume, fit.direct) if fit else (None, None, None)
        rows.append((c.task, c.pair.label, c.every.first.mean, c.every.second.mean, c.every.change, c.holm, *parts))
    columns = (
        *_WHICH,
        Column(key="first", title="s per 1,000 characters, first", show=number(2)),
        Column(key="second", title="second", show=number(2)),
        Column(key="change", title="Change", show=signed_percent),
        Column(key="holm", title="p (Holm)", show=p_value),
        Column(key="total", title="Time: in all", show=signed_percent),
        Column(key="through_volume", title="through volume", show=signed_percent),
        Column(key="direct", title="at the same volume", show=signed_percent),
    )
    caption = "Changes of the geometric mean time with 95 % intervals; “through volume” times “at the same volume” is “in all”. "
    caption += "Volume was not drawn by lot: this shows what goes together, not what causes what."
    blocks: list[Block] = [Table(name="volume", caption=caption, columns=columns, rows=tuple(rows))]
    if fits:
        slower = sum(f.direct.low > 0 for f in fits.values())
        faster = sum(f.direct.high < 0 for f in fits.values())
        more = sum(f.through_volume.low > 0 for f in fits.values())
        text = f"In {more} of {len(fits)} comparisons the second mode wrote more code and took longer with it. "
        text += f"At the same volume of code it is faster in {faster}, slower in {slower}, not told apart in "
        text += f"{len(fits) - faster - slower}."
        blocks.insert(0, Paragraph(text))
    return Section(title="Time and volume of code", blocks=blocks)


_WHICH = (Column(key="task", title="Task"), Column(key="pair", title="Compared"))


def _means_table(comparisons: Sequence[Comparison]) -> Table:
    def cells(tests: Tests) -> tuple[Value, ...]:
        return tests.first.n, tests.second.n, tests.first.mean, tests.second.mean, tests.change

    rows: tuple[tuple[Value, ...], ...] = tuple(
        (c.task, c.pair.label, *cells(c.kept), *cells(c.every), c.holm, verdict(c).sure.value) for c in comparisons
    )
    columns = list(_WHICH)
    for key, title in (("kept", "without outliers"), ("all", "all")):
        columns += [
            Column(key=f"{key}_n_first", title=f"Trials, first ({title})", show=count),
            Column(key=f"{key}_n_second", title="second", show=count),
            Column(key=f"{key}_mean_first", title=f"Mean s, first ({title})", show=number(2)),
            Column(key=f"{key}_mean_second", title="second", show=number(2)),
            Column(key=f"{key}_change", title="Change", show=signed_percent),
        ]
    columns += [Column(key="holm", title="p (Holm)", show=p_value), Column(key="sure", title="How sure")]
    caption = "“First” is the mode that is compared with. p is corrected over the tasks (Holm)."
    return Table(name="time", caption=caption, columns=tuple(columns), rows=rows, folded=len(rows) > 24)


def table_of_tests(
    name: str, caption: str, comparisons: Sequence[Comparison], *, kept: bool, with_means: bool = False
) -> Table:  # fmt: skip
    """Return a table of tests and effect sizes; it is folded if it is long."""
    rows: list[tuple[Value, ...]] = []
    for c in comparisons:
        tests = c.kept if kept else c.every
        a, b = tests.paired, tests.unpaired
        head: tuple[Value, ...] = (c.measure.title, tests.first.mean, tests.second.mean) if with_means else ()
        of_pairs: tuple[Value, ...] = (a.n, a.t_p, a.wilcoxon_p, a.dz) if a else (None,) * 4
        of_samples: tuple[Value, ...] = (b.welch_p, b.mann_whitney_p, b.g, b.delta) if b else (None,) * 4
        corrected: tuple[Value, ...] = (None, None) if kept else (c.holm, c.bh)
        rows.append((c.task, c.pair.label, *head, *of_pairs, *of_samples, *corrected))
    means = (
        Column(key="measure", title="Measure"),
        Column(key="first", title="Mean, first", show=number(2)),
        Column(key="second", title="second", show=number(2)),
    )
    columns = (
        *_WHICH,
        *(means if with_means else ()),
        Column(key="pairs", title="Pairs", show=count),
        Column(key="t_p", title="t, p", show=p_value),
        Column(key="wilcoxon_p", title="Wilcoxon, p", show=p_value),
        Column(key="dz", title="d_z [95 %]", show=number(2)),
        Column(key="welch_p", title="Welch, p", show=p_value),
        Column(key="mann_whitney_p", title="Mann-Whitney, p", show=p_value),
        Column(key="g", title="Hedges' g [95 %]", show=number(2)),
        Column(key="delta", title="Cliff's δ [95 %]", show=number(2)),
        Column(key="holm", title="p (Holm)", show=p_value),
        Column(key="bh", title="p (BH)", show=p_value),
    )
    if kept:  # corrections are made once, for all trials
        columns, rows = columns[:-2], [row[:-2] for row in rows]
    return Table(name=name, caption=caption, columns=columns, rows=tuple(rows), folded=len(rows) > 12)


def _values(analysis: Analysis, task: str, arm: Arm) -> list[float]:
    these = [t for t in analysis.trials if t.task == task and arm.holds(t) and not t.error]
    return [t.wall_seconds for t in these if t.wall_seconds]
