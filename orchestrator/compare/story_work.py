"""The parts of the report about the work itself: quality, errors, conflicts and overhead by kind, and every measure."""

from __future__ import annotations

from statistics import mean
from typing import TYPE_CHECKING

from orchestrator.compare.blocks import Column, Figure, Items, Section, Table, count, number, percent
from orchestrator.compare.measures import score_names
from orchestrator.compare.plots import bars_plot, radar_plot
from orchestrator.compare.story_time import table_of_tests

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.compare.analysis import Analysis
    from orchestrator.compare.arms import Arm
    from orchestrator.compare.blocks import Block, Value
    from orchestrator.compare.trials import Trial

__all__ = ["conflicts_part", "errors_part", "every_measure_part", "overhead_part", "quality_part"]

_ERRORS = ("reported_errors_per_1000", "syntax_errors_per_1000", "type_errors_per_1000", "unparsed")


def quality_part(analysis: Analysis) -> Section | None:
    """Return the scores of a judge."""
    names, title = score_names(analysis.trials), "Quality, as a judge scored it"
    said = _who_judged(analysis.trials)
    if not names:
        return Section(title=title, blocks=[Items(tuple(said))]) if said else None
    scores = [c for c in analysis.comparisons if c.measure.key.startswith("score.")]
    blocks: list[Block] = []
    plotted = [name for name in names if name != "overall"]
    means = {arm.label: {name: _mean_score(analysis, arm, name) for name in plotted} for arm in analysis.arms[:8]}
    shown = {arm: {n: v for n, v in by_name.items() if v is not None} for arm, by_name in means.items()}
    complete = {arm: by_name for arm, by_name in shown.items() if len(by_name) == len(plotted)}
    if len(plotted) >= 3 and complete:
        top = max(20.0, *(value for by_name in complete.values() for value in by_name.values()))
        alt = f"Radar of mean scores from 0 to {top:g}, over all tasks, by mode."
        blocks.append(Figure(name="quality", alt=alt, svg=radar_plot(complete, top)))
    blocks.append(table_of_tests("quality_tests", "Scores, all trials", scores, kept=False, with_means=True))
    spreads = [sd for t in analysis.trials for sd in t.score_sd.values()]
    text = f"The same work judged again spreads by {mean(spreads):.2f} points on average." if spreads else ""
    text = text or "No trial was judged more than once, so that the judge's own spread is not known."
    return Section(title=title, blocks=[Items((text, *said)), *blocks])


def _who_judged(trials: Sequence[Trial]) -> list[str]:
    """Return who gave the scores, what that has cost, and how many trials have none; nothing if it was not recorded."""
    said = [
        f"The judge is {model}; it judged each trial {times} time{'s' * (times != 1)}, by its task and files alone, in "
        "shuffled order. It was told no mode, no agents and no times."
        for model, times in sorted({(t.judge, t.judgements) for t in trials if t.judge and t.judgements})
    ]
    without = [t.remark for t in trials if t.remark]
    if said or without:
        known = [t.judging_usd for t in trials if t.judge or t.remark]
        priced = [usd for usd in known if usd is not None]
        cost = f"{sum(priced):.4f} USD" if len(priced) == len(known) else "an unknown amount"
        said.append(f"Judging has cost {cost}, which is in no trial's cost.")
    if without:
        said.append(f"{len(without)} trial{'s' * (len(without) != 1)} could not be judged; the first: {without[0]}.")
    return said


def errors_part(analysis: Analysis) -> Section | None:
    """Return errors by volume, the volume itself, and how much does not parse."""
    measures = [m for key in ("characters", *_ERRORS) for m in analysis.measures if m.key == key]
    if len(measures) < 2:
        return None
    rows: list[tuple[Value, ...]] = []
    for task in analysis.tasks:
        for arm in analysis.arms:
            these = [t for t in analysis.trials if t.task == task and arm.holds(t) and not t.error]
            values = [[v for t in these if (v := measure.value(t)) is not None] for measure in measures]
            rows.append((task, arm.label, *(mean(each) if each else None for each in values)))
    shows: dict[str, Callable[[float], str]] = {"characters": count, "unparsed": percent}
    columns = (
        Column(key="task", title="Task"),
        Column(key="arm", title="Mode"),
        *(Column(key=m.key, title=f"{m.title}, {m.unit}", show=shows.get(m.key, number(2))) for m in measures),
    )
    table = Table(
        name="errors", caption="Means over trials (of each trial's own rate).", columns=columns, rows=tuple(rows)
    )
    return Section(title="Errors and volume", blocks=(Items(tuple(_what_errors_say(analysis))), table))


def _what_errors_say(analysis: Analysis) -> list[str]:
    text = "An error count is worth something only where the file parses: most compilers report little or nothing about the "
    text += "meaning of a file whose syntax is broken."
    known = [t for t in analysis.trials if t.parses is not None and not t.error]
    if not known:
        return [f"{text} These trials do not say which files parse."]
    said = [
        text,
        f"Of {len(known)} trials it is known whether their work parses; that of {sum(not t.parses for t in known)} does not.",
    ]
    measure = next((m for m in analysis.measures if m.key == _ERRORS[0]), None)
    rates = {
        parses: [r for t in known if t.parses is parses and measure and (r := measure.value(t)) is not None]
        for parses in (True, False)
    }
    if rates[True] and rates[False]:
        good, broken = mean(rates[True]), mean(rates[False])
        text = f"Errors as reported: {good:.2f} per 1,000 characters in work that parses, {broken:.2f} in work that does not."
        if broken < good / 2:
            text += " The count falls where files are broken: fewer reported errors are no sign of better work."
        said.append(text)
    return said


def conflicts_part(analysis: Analysis) -> Section | None:
    """Return conflicts between tasks by kind."""
    return _by_kind(analysis, "Conflicts by kind", "conflicts", "conflicts a trial", lambda trial: trial.conflicts)


def overhead_part(analysis: Analysis) -> Section | None:
    """Return the orchestration's overhead by phase."""
    return _by_kind(analysis, "Overhead by phase", "overhead", "seconds a trial", lambda trial: trial.overhead)


def every_measure_part(analysis: Analysis) -> Section:
    """Return all that was compared, in two long tables."""
    tables = [
        table_of_tests("comparisons", "Every measure, all trials", analysis.comparisons, kept=False, with_means=True),
        table_of_tests(
            "comparisons_without_outliers",
            "Every measure, without outliers",
            analysis.comparisons,
            kept=True,
            with_means=True,
        ),
    ]
    return Section(title="Every measure", blocks=tables)


def _by_kind(
    analysis: Analysis, title: str, name: str, unit: str, kinds_of: Callable[[Trial], Mapping[str, float]]
) -> Section | None:
    bars: dict[str, dict[str, float]] = {}
    for task in analysis.tasks:
        for arm in analysis.arms:
            found = [
                kinds_of(t) for t in analysis.trials if t.task == task and arm.holds(t) and not t.error and kinds_of(t)
            ]
            kinds = sorted({kind for each in found for kind in each})
            if found:
                bars[f"{task}, {arm.label}"] = {kind: mean(each.get(kind, 0) for each in found) for kind in kinds}
    if not bars:
        return None
    kinds = sorted({kind for by_kind in bars.values() for kind in by_kind})
    columns = (
        Column(key="where", title="Task and mode"),
        *(Column(key=kind, title=kind, show=number(2)) for kind in kinds),
    )
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (where, *(by_kind.get(kind, 0.0) for kind in kinds)) for where, by_kind in bars.items()
    )
    caption = f"Means, {unit}, of the trials that recorded them."
    plot = Figure(name=name, alt=f"{title}: {unit}, by task and mode.", svg=bars_plot(bars, unit, name))
    return Section(
        title=title,
        blocks=(plot, Table(name=name, caption=caption, columns=columns, rows=rows, folded=len(rows) > 24)),
    )


def _mean_score(analysis: Analysis, arm: Arm, name: str) -> float | None:
    found = [t.scores[name] for t in analysis.trials if arm.holds(t) and not t.error and name in t.scores]
    return mean(found) if found else None
