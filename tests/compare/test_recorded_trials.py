"""The published 600 trials: their figures come out, and what does not follow from them is found."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from orchestrator.compare.advice import Sure, advise, verdict
from orchestrator.compare.analysis import Analysis, analyse
from orchestrator.compare.blocks import Items, Table
from orchestrator.compare.outputs import outputs_part, read_outputs, with_parses
from orchestrator.compare.published import Source, read_published
from orchestrator.compare.story_pooled import published_part
from orchestrator.compare.story_work import errors_part
from orchestrator.compare.trials import Trial, read_trials

DATA = Path(__file__).parents[3] / "shared" / "data" / "codecrdt"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the recorded trials in {DATA}")

MEAN_TIMES = {  # seconds without outliers, sequential and parallel
    "tic_tac_toe": (45.47, 35.89),
    "registration_page": (56.13, 52.15),
    "markdown_editor": (69.33, 64.32),
    "pomodoro_timer": (56.27, 76.47),
    "dashboard": (64.43, 83.19),
    "algorithm_visualizer": (66.39, 92.57),
}
ERRORS_AND_LENGTH = {  # errors per 1,000 characters, and thousands of characters, sequential and parallel
    "algorithm_visualizer": (3.78, 0.92, 18, 53),
    "dashboard": (5.93, 1.91, 19, 38),
    "markdown_editor": (3.26, 4.04, 18, 16),
    "pomodoro_timer": (4.09, 1.95, 15, 27),
    "registration_page": (4.24, 2.27, 17, 19),
    "tic_tac_toe": (4.60, 0.59, 13, 12),
}


@cache
def trials() -> tuple[Trial, ...]:
    """Return the 600 trials."""
    return read_trials(DATA / "trials.csv")


@cache
def analysis() -> Analysis:
    """Return their analysis, with the published one to be checked."""
    return analyse(trials(), read_published(DATA / "published_paired_analysis.json"))


@pytest.mark.exhaustive
def test_the_published_times_come_out() -> None:
    found = analysis()
    times = found.of("wall_seconds", found.pairs[0])
    assert found.outliers_removed == 83
    assert {c.task: (round(c.kept.first.mean, 2), round(c.kept.second.mean, 2)) for c in times} == MEAN_TIMES
    stated = json.loads((DATA / "published_paired_analysis.json").read_bytes())["response_time"]["per_task"]
    for c in times:
        assert c.every.first.mean == pytest.approx(stated[c.task]["sequential_mean"])
        assert c.every.second.mean == pytest.approx(stated[c.task]["parallel_mean"])


def test_the_published_objective_table_comes_out() -> None:
    found = analysis()
    rates = {c.task: c.every for c in found.of("reported_errors_per_1000", found.pairs[0])}
    lengths = {c.task: c.every for c in found.of("characters", found.pairs[0])}
    assert {
        task: (
            round(rates[task].first.mean, 2),
            round(rates[task].second.mean, 2),
            round(lengths[task].first.mean / 1000),
            round(lengths[task].second.mean / 1000),
        )
        for task in found.tasks
    } == ERRORS_AND_LENGTH


def test_the_stated_heterogeneity_does_not_follow() -> None:
    found = analysis()
    time = next(each for each in found.checked if each.measure == "wall_seconds")
    assert time.ours is not None
    assert round(time.ours, 2) == round(time.pooled, 2) == 0.13
    assert (time.source, time.holds, time.stated_i2) == (Source.NORMALISED, False, 0)
    assert time.q == pytest.approx(300 * time.stated_q)
    assert time.i2 > 0.94
    assert all(each.source is Source.NORMALISED and not each.holds for each in found.checked)
    pooled = found.pooled_of("wall_seconds", found.pairs[0])
    assert pooled is not None
    assert pooled.dz is not None
    assert pooled.dz.i2 > 0.9
    assert not pooled.dz.random.excludes(0)
    part = published_part(found)
    assert part is not None
    said = " ".join(text for block in part.blocks if isinstance(block, Items) for text in block.texts)
    assert "the stated I² = 0 % (Q = 0.32) does not follow from the stated effects" in said
    assert "weights are normalised" in said
    assert "the interval now holds zero, and the pooled conclusion is not supported" in said
    assert "0.13 is not +13 %" in said


def test_the_advice_is_by_task() -> None:
    found = analysis()
    sure = {c.task: (verdict(c).direction, verdict(c).sure) for c in found.of("wall_seconds", found.pairs[0])}
    assert sure["tic_tac_toe"] == (-1, Sure.CLEAR)
    assert sure["dashboard"] == (1, Sure.CLEAR)
    assert sure["registration_page"] == (-1, Sure.LIKELY)  # the median falls, the mean rises
    overall = [each for each in advise(found) if not each.about]
    assert "faster than sequential in 3 of 6 tasks, slower in 3" in overall[0].text
    assert overall[1].sure is Sure.OPEN


@pytest.mark.exhaustive
def test_what_the_files_hold_corrects_the_error_count() -> None:
    tasks = {"dashboard", "tic_tac_toe"}
    written = [each for each in read_outputs(DATA / "outputs.jsonl.gz") if each.task in tasks]
    said, table = outputs_part(written).blocks
    assert isinstance(said, Items)
    assert isinstance(table, Table)
    keys = [column.key for column in table.columns]
    rows = {row[:2]: dict(zip(keys, row, strict=True)) for row in table.rows}
    assert all(row["any"] == 0 for (_, mode), row in rows.items() if mode == "sequential")
    assert rows["tic_tac_toe", "parallel"]["syntax"] == 1
    assert rows["tic_tac_toe", "parallel"]["todo"] == pytest.approx(0.96)
    assert rows["dashboard", "parallel"]["duplicate_import"] == 1
    assert (rows["dashboard", "sequential"]["distinct"], rows["dashboard", "parallel"]["distinct"]) == (9, 25)
    assert any("Identical files repeat, so these trials are not independent" in text for text in said.texts)
    known = with_parses([trial for trial in trials() if trial.task in tasks], written)
    found = analyse(known)
    part = errors_part(found)
    assert part is not None
    text = " ".join(text for block in part.blocks if isinstance(block, Items) for text in block.texts)
    assert "fewer reported errors are no sign of better work" in text
    advice = {each.about: each.text for each in advise(found)}
    assert "work that does not parse is 100 % against 0 %" in advice["tic_tac_toe"]  # faster, and worth nothing
