"""`orch compare PLAN`: trials of every mode in copies of a repository, kept one by one, and the report on them."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.compare.trials import Trial, read_trials
from tests.support.fake_model import FakeModel
from tests.support.orch import orch, start_orch, write_plan
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e

MODEL = "claude-sonnet-5-5"
POINTS = {"code_quality": 12, "architecture": 14, "performance": 9, "accessibility": None, "functionality": 20}
GATES = [{"name": "there", "run": "ls *.py"}]


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "tmp").mkdir()
    return {"TMPDIR": str(tmp_path / "tmp")}


def task(name: str, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    path = f"{name}.py"
    text = f"def {name}():\n    return 1\n"
    return {
        "id": name,
        "writes": [path],
        "steps": [{"stream": {"path": path, "text": text, "rate": 5000}}, *steps],
        **more,
    }


def rows(out: Path) -> dict[tuple[str, int], Trial]:
    return {(trial.mode, trial.run): trial for trial in read_trials(out / "trials.csv")}


def test_modes_are_tried_measured_and_reported(repo: Repo, tmp_path: Path, env: dict[str, str]) -> None:
    before = (repo.head(), repo.git("for-each-ref"), sorted(path.name for path in (repo.path / ".git").iterdir()))
    alone = {"run": 'test "$ORCH_TASK" != b'}  # in mode worktree, and only there, the task is called so
    plan = write_plan(tmp_path / "p", [task("a"), task("b", alone, attempts=1)], gates=GATES)
    out = tmp_path / "out"
    command = ("compare", plan, "--trials", "1", "--jobs", "2", "--out", out, "--judge", MODEL)
    with FakeModel({"judge": [{"call": {"name": "give_scores", "input": POINTS}, "model": MODEL}]}) as judge:
        keys = {"ANTHROPIC_API_KEY": "test-key", "ANTHROPIC_BASE_URL": judge.url("judge")}
        said = orch(*command, cwd=repo.path, env={**env, **keys})
    assert said.code == 0, said.out + said.err
    assert said.err.startswith("Simulation:")
    assert "s left" in said.err
    found = rows(out)
    assert {mode for mode, _ in found} == {"sequential", "worktree", "crdt"}
    assert sorted(trial.position or 0 for trial in found.values()) == [1, 2, 3]
    assert all(trial.simulated for trial in found.values())
    failed = found["worktree", 1]  # it is kept as what it is
    assert failed.error.startswith("1 of 2 tasks did not land: ")
    good = found["sequential", 1]
    assert (good.error, good.lines, good.characters, good.gates_passed, good.gates_run) == ("", 4, 44, 1, 1)
    assert (found["crdt", 1].error, found["crdt", 1].characters) == ("", 44)
    assert (good.parses, good.syntax_errors, good.type_errors) == (True, 0, 0)
    assert [(t.scores.get("architecture"), t.judgements) for t in (good, failed)] == [(14, 3), (None, None)]
    asked = [json.dumps(body) for _, body in judge.requests]
    assert len(asked) == 6  # three times each trial that did not fail
    assert all("def b():" in each for each in asked)
    assert not [word for word in ("sequential", "worktree", "crdt", "agent") for each in asked if word in each]
    assert (good.rework, good.merge_conflicts, good.interventions) == (0, 0, 0)
    assert good.wall_seconds is not None
    assert 0 < sum(good.overhead.values()) < good.wall_seconds * 2
    report = json.loads((out / "report.json").read_text())
    assert (report["simulated"], report["failed"], report["trials"]) == (True, 1, 3)
    assert report["command"] == f"orch compare --from {out / 'trials.csv'} --out {out}"
    page = (out / "report.md").read_text()
    assert all(
        words in page
        for words in ("Simulation: ", f"The judge is {MODEL}; it judged each trial 3 times", "Score: performance")
    )
    about = json.loads((out / "environment.json").read_text())
    assert (about["base"], about["seed"], len(about["environments"])) == (repo.head(), 1, 1)
    assert before == (
        repo.head(),
        repo.git("for-each-ref"),
        sorted(path.name for path in (repo.path / ".git").iterdir()),
    )
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_simulation_that_was_ended_goes_on_and_another_one_is_refused(tmp_path: Path, env: dict[str, str]) -> None:
    spec, out = tmp_path / "spec.yaml", tmp_path / "out"
    text = "{name: hot, tasks: 3, coupling: 0.4, tokens: 30, rate: 5000, first_token: 10ms, hot_file: true}"
    spec.write_text(text)
    command = ("compare", "--simulate", spec, "--modes", "sequential,crdt", "--trials", "1", "--out", out, "--json")
    process = start_orch(*command, "--warm-up", "1", cwd=tmp_path, env=env)
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith(b"trial 1 of 2"):
            break
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert b"The same command goes on." in told
    first = read_trials(out / "trials.csv")
    assert len(first) == 1
    assert [line.startswith(b"warm-up: ") for line in lines] == [False, True, True, False]
    said = orch(*command, cwd=tmp_path, env=env)
    assert said.code == 0, said.out + said.err
    assert "1 are left." in said.err
    assert said.json["simulated"]
    assert read_trials(out / "trials.csv")[:1] == first
    found = rows(out)
    assert {(key, t.coupling and round(t.coupling, 2), t.seed, t.error) for key, t in found.items()} == {
        ((mode, 1), 0.33, 2, "") for mode in ("sequential", "crdt")
    }
    assert found["crdt", 1].characters == found["sequential", 1].characters
    spec.write_text(text.replace("tokens: 30", "tokens: 40"))
    refused = orch(*command, cwd=tmp_path, env=env)
    assert (refused.code, "holds trials of something else: the plan changed since." in refused.err) == (2, True)
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["plan.yaml", "--from", "x.csv"], "Name one of these: a PLAN"),
        (["--from", "x.csv", "--trials", "3"], "--trials says how trials are made"),
        (["plan.yaml", "--modes", "fast"], "'fast' is no mode"),
        (["plan.yaml", "--jobs", "0"], "is no list of numbers"),
        (["plan.yaml", "--judgements", "2"], "name one with --judge"),
        (["plan.yaml", "--judge", "m", "--modes", "sequential,worktree"], "needs a key in ANTHROPIC_API_KEY"),
        (["plan.yaml", "--modes", "sequential"], "only mode sequential was asked for"),
        (["plan.yaml"], "cannot be worked in mode crdt"),
        (["--simulate", "plan.yaml"], "plan.yaml: version: "),
    ],
)
def test_mistakes_in_options_are_told(repo: Repo, options: list[str], words: str) -> None:
    write_plan(repo.path, [{"id": "a", "writes": ["src/**"], "steps": []}])
    said = orch("compare", *options, "--out", "out", cwd=repo.path, env={"ANTHROPIC_API_KEY": ""})
    assert (said.code, words in said.err) == (2, True), said.err
    assert not (repo.path / "out").exists()
