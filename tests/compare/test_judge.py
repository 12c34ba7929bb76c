"""A model as judge: it is blind, it is asked again, what it says is kept trial by trial, and it may fail."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.compare.judge import judge_trials, open_judge, refuse_another
from orchestrator.compare.series_folder import SeriesFolder
from orchestrator.compare.trials import Trial, read_trials
from orchestrator.errors import UsageError
from tests.support.fake_model import FakeModel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fake_model import Scenario

MODEL = "claude-sonnet-5-5"
POINTS = {"code_quality": 12, "architecture": 14.5, "performance": 9, "accessibility": None, "functionality": 20}
GIVEN = {name: float(points) for name, points in POINTS.items() if points is not None}


def gives(**more: Any) -> dict[str, Any]:
    return {"call": {"name": "give_scores", "input": POINTS | more}, "model": MODEL}


def folder_of(path: Path) -> SeriesFolder:
    """Return a folder with three trials that were not judged, one of them failed."""
    folder = SeriesFolder(path=path, about={"models": []})
    for run, (mode, error) in enumerate((("sequential", ""), ("crdt", ""), ("worktree", "it broke")), start=1):
        trial = Trial(task="t", mode=mode, run=run, agents=run, wall_seconds=77.5, error=error)
        folder.add(trial, set(), {"a.py": f"x = {mode.count('e')}\n"})
    return folder


def judged(
    folder: SeriesFolder, scenario: Scenario, monkeypatch: pytest.MonkeyPatch, times: int = 1
) -> tuple[list[str], list[str]]:
    """Judge the trials; return what people were told, and the requests."""
    said: list[str] = []

    async def judge() -> None:
        opened = open_judge(MODEL, times, 1)
        await judge_trials(opened, "Write x.", folder, stop=asyncio.Event(), tell=said.append)

    with FakeModel({"judge": scenario}) as fake:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url("judge"))
        asyncio.run(judge())
    return said, [json.dumps(body) for _, body in fake.requests]


def test_trials_are_judged_blindly_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path)
    said, requests = judged(folder, [gives()], monkeypatch, times=2)
    assert said == ["judging 1 of 2: done", "judging 2 of 2: done"]
    assert len(requests) == 4
    assert all("Write x." in request and "x = " in request and "accessibility" in request for request in requests)
    assert not [word for word in ("sequential", "crdt", "worktree", "agent", "77") for r in requests if word in r]
    kept = read_trials(folder.rows)
    assert list(kept) == folder.trials
    assert [t.scores for t in kept] == [GIVEN, GIVEN, {}]
    assert kept[0].score_sd == dict.fromkeys(GIVEN, 0.0)
    assert [(t.judge, t.judgements, t.remark, bool(t.judging_usd)) for t in kept[:2]] == [(MODEL, 2, "", True)] * 2
    assert all(t.cost_usd is None for t in kept)
    assert judged(folder, [gives()], monkeypatch) == ([], [])
    with pytest.raises(UsageError, match=f"by {MODEL}, 2 judgements each"):
        refuse_another(open_judge(MODEL, 3, 1), kept)


def test_an_answer_that_does_not_fit_is_asked_for_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path)
    wrong = gives(architecture=21)
    said, requests = judged(folder, {"x = 0": [wrong], "did not fit": [gives()], "x = 2": [wrong]}, monkeypatch)
    assert len(requests) == 4
    assert sum("architecture: Input should be less than or equal to 20" in request for request in requests) == 2
    good, bad, _ = folder.trials
    assert (good.scores, good.score_sd, good.remark) == (GIVEN, {}, "")
    assert bad.remark.startswith("the judge's answer does not fit: architecture: ")
    assert (bad.scores, bad.judge, bool(bad.judging_usd)) == ({}, "", True)
    assert any(bad.remark in line for line in said)


def test_a_refused_key_is_shown_once_and_a_later_call_judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path)
    _, requests = judged(folder, [{"faults": [{"status": 401, "times": 9}]}], monkeypatch)
    assert len(requests) == 1
    assert ["ANTHROPIC_API_KEY is refused" in trial.remark for trial in folder.trials] == [True, True, False]
    judged(folder, [gives()], monkeypatch)
    assert [(trial.scores, trial.remark) for trial in folder.trials[:2]] == [(GIVEN, "")] * 2
