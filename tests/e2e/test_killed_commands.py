"""Commands with a repository of their own that are killed: what they left is found, is nobody's or is brought back, and goes."""

from __future__ import annotations

import os
import shlex
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_interrupt import wait_for_line
from tests.support.orch import Said, orch, start_orch, write_plan
from tests.support.processes import alive
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.e2e, pytest.mark.unconfined]


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    return make_repo(tmp_path / "repo")


@contextmanager
def killed(tmp_path: Path, *command: str | Path, doctor_meanwhile: Repo) -> Iterator[int]:
    """Kill a command once its agent has written its number into `agent`; yield that number. Before that, doctor keeps off."""
    process = start_orch(*command, cwd=doctor_meanwhile.path)
    while not (tmp_path / "agent").exists() or not (tmp_path / "agent").read_text().endswith("\n"):
        assert process.poll() is None, process.communicate()
    agent = int((tmp_path / "agent").read_text())
    said = orch("doctor", "--json", cwd=doctor_meanwhile.path)
    assert (said.code, said.json["found"]) == (0, []), said.out
    assert alive(agent)
    process.kill()
    process.communicate(timeout=60)
    try:
        yield agent
    finally:
        if alive(agent):
            os.kill(agent, signal.SIGKILL)


def found(said: Said) -> dict[str, str]:
    """Return the outcome of what was found, by the beginning of its name."""
    names = {each["name"]: each["outcome"] for each in said.json["found"]}
    return {Path(name).name.rpartition("-")[0] or name: outcome for name, outcome in names.items()}


def agent(tmp_path: Path, first: str = "true") -> str:
    return f"{first}; echo $$ > {tmp_path}/agent; sleep 1000"


def a_comparison(tmp_path: Path, script: str, modes: str = "sequential,worktree") -> tuple[str | Path, ...]:
    plan = write_plan(tmp_path / "p", [{"id": "a", "writes": ["a"], "steps": [{"run": script}]}])
    return ("compare", plan, "--modes", modes, "--trials", "1", "--out", tmp_path / "out")


def test_a_killed_comparison_is_told_and_the_next_one_ends_it_and_removes_its_folder(
    repo: Repo, tmp_path: Path
) -> None:
    with killed(tmp_path, *a_comparison(tmp_path, agent(tmp_path)), doctor_meanwhile=repo) as pid:
        (left,) = (tmp_path / "tmp").glob("orch-compare-*")
        told = orch("doctor", "--dry-run", "--json", cwd=repo.path)
        assert (told.code, found(told), alive(pid)) == (1, {"orch-compare": "repairable"}, True)
        said = orch(*a_comparison(tmp_path, "true", "sequential"), cwd=repo.path)
        assert f"{left}: left by an `orch compare` that was killed; removed." in said.err
        assert not alive(pid)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_trial_whose_orch_is_killed_leaves_no_agent(repo: Repo, tmp_path: Path) -> None:
    once = f"echo $$ > {tmp_path}/agent; kill -9 $PPID; sleep 1000"
    process = start_orch(*a_comparison(tmp_path, once), cwd=repo.path)
    assert b"exit code -9" in wait_for_line(process.stderr, "trial 1 of 2").encode()
    assert not alive(int((tmp_path / "agent").read_text()))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_a_killed_architect_wrote_is_listed_and_brought_back(repo: Repo, tmp_path: Path) -> None:
    writing = agent(tmp_path, "mkdir orch-plan; echo half > orch-plan/plan.yaml")
    command = ("plan", "a shop", "--kind", "command", "--command", writing, "--out", tmp_path / "planned")
    with killed(tmp_path, *command, doctor_meanwhile=repo) as pid:
        (item,) = orch("recover", "--json", cwd=repo.path).json["items"]
        assert (item["item"], item["why"]) == ("plan/gen-1/folder", "its attempt has not ended")
        assert orch(*shlex.split(item["command"])[1:], cwd=repo.path).code == 0
        (file,) = (repo.path / "recovered").rglob("plan.yaml")
        assert file.read_text() == "half\n"
        (folder,) = (repo.path / ".git/orch").glob(".architect-*")
        assert f"kept: {folder}: what an `orch plan` wrote there may be" in orch("clean", cwd=repo.path).out
        outcome = found(orch("doctor", "--json", cwd=repo.path))
        assert (outcome[f"process {pid}"], outcome[".architect"], alive(pid)) == ("repaired", "told", False)
    assert orch("recover", "--json", cwd=repo.path).json["items"] == [item]


def test_what_a_killed_probe_left_goes(repo: Repo, tmp_path: Path) -> None:
    agents = {"m": {"kind": "command", "command": agent(tmp_path)}}
    plan = write_plan(tmp_path / "p", [{"id": "a", "writes": ["a"], "prompt": "x", "agent": "m"}], agents=agents)
    with killed(tmp_path, "doctor", "--probe", "m", "--plan", plan, doctor_meanwhile=repo) as pid:
        outcome = found(orch("doctor", "--json", cwd=repo.path))
        assert (outcome[".probe"], alive(pid)) == ("repaired", False)
    assert list((repo.path / ".git/orch").iterdir()) == []
    assert not list((Path(os.environ["HOME"]) / ".local/state/orch").glob("probe*"))
