"""Crash-only: a run is killed at every instant that matters, taken up again, and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from orchestrator.effects import POINTS
from tests.e2e.test_interrupt import wait_for_line
from tests.support.orch import orch, start_orch, write_plan
from tests.support.processes import alive
from tests.support.repos import Repo, make_repo

pytestmark = pytest.mark.e2e

SLOW = {"run": "echo $$ > /dev/null; sleep 0.05"}


def the_plan(folder: Path) -> Path:
    """A contract, a task that is refused once, dependants, and a gate."""
    again = [
        {"when": {"generation": 1, "do": [{"write": {"path": "elsewhere", "text": "x"}}]}},
        SLOW,
        {"write": {"path": "A.txt", "text": "a\n"}},
    ]
    return write_plan(
        folder,
        [
            {"id": "A", "writes": ["A.txt"], "todos": [{"id": "t"}], "steps": [{"claim": "t"}, *again, {"done": "t"}]},
            {"id": "B", "writes": ["B.txt"], "steps": [SLOW, {"write": {"path": "B.txt", "from": "b"}}]},
            {
                "id": "C",
                "writes": ["C.txt"],
                "needs": ["A", "B"],
                "steps": [{"write": {"path": "C.txt", "text": "c\n"}}],
            },
        ],
        {"b": "b\n"},
        contracts={"files": {"contracts/c.md": "agreed\n"}},
        gates=[{"name": "g", "run": "true"}],
    )


def assert_as_if_undisturbed(repo: Repo) -> None:
    """Right tree, each task landed once, everything reachable, nothing left over."""
    assert {p: repo.show(p) for p in repo.files("main")} == {
        "A.txt": "a\n", "B.txt": "b\n", "C.txt": "c\n", "README.txt": "start\n", "contracts/c.md": "agreed\n",
    }  # fmt: skip
    landed = repo.git("log", "--first-parent", "--format=%(trailers:key=Provenance-Task,valueonly,separator=)", "main")
    assert sorted(landed.split()) == ["A", "B", "C", "contracts"]
    assert repo.status() == ""
    assert repo.git("worktree", "list").count("\n") == 0
    assert not list((repo.path / ".git").glob("worktrees/*"))
    assert not list((repo.path / ".git/orch").glob(".worktree-*"))
    home = Path(os.environ["HOME"]) / ".local/state/orch"
    assert not [p for p in home.rglob("*") if p.is_file()]
    repo.git("fsck", "--strict")
    (report,) = (repo.path / ".git/orch").glob("*/report.json")
    assert json.loads(report.read_text())["status"] == "landed"


KILLS = [f"{point}:{count}" for point in POINTS for count in (1, 3)]


@pytest.mark.parametrize("kill", KILLS)
def test_a_run_killed_at_any_point_is_resumed_to_the_same_end(tmp_path: Path, kill: str) -> None:
    repo = make_repo(tmp_path / "repo")
    plan = the_plan(tmp_path / "p")
    first = orch("run", plan, "--jobs", "2", "--run", "r", cwd=repo.path, env={"ORCH_KILL_AT": kill})
    if first.code == -signal.SIGKILL:
        again = orch("resume", "r", cwd=repo.path, env={"ORCH_KILL_AT": kill})
        if again.code == -signal.SIGKILL:  # the same instant, once more
            again = orch("resume", "r", cwd=repo.path)
        if "ended before it began" in again.err:  # not even the first event was written
            again = orch("run", plan, "--run", "r2", cwd=repo.path)
        assert again.code == 0 or "has landed" in again.err, again.out + again.err
    else:
        assert first.code == 0, first.out + first.err  # the run never comes to that point so often
    assert_as_if_undisturbed(repo)


def test_agents_of_a_dead_orchestrator_are_ended_and_their_work_is_kept(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    agent = f"""if test -e {tmp_path}/go; then cp $ORCH_PROMPT A.txt
    else echo half > A.txt; echo $$ > pid; trap '' TERM; sleep 100; fi"""
    plan = write_plan(
        tmp_path / "p", [{"id": "A", "writes": ["A.txt", "pid"], "attempts": 1, "steps": [{"run": agent}]}]
    )
    process = start_orch("run", plan, "--run", "r", cwd=repo.path)
    wait_for_line(process.stdout, "A: default (script@1) starts")
    home = Path(os.environ["HOME"])
    while not (pids := [p for p in home.rglob("A.gen-1/pid") if p.read_text()]):
        assert process.poll() is None
    pid = int(pids[0].read_text())
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert alive(pid)
    (tmp_path / "go").touch()
    said = orch("resume", cwd=repo.path)
    assert said.code == 0, said.out
    assert f"The process {pid} of this run ran on and was ended" in said.out
    assert not alive(pid)
    assert repo.show("A.txt", "orch/r/A/gen-1") == "half\n"
    assert "its orchestrator ended before it did" in repo.show("A.txt")  # an attempt cut short burns none
    assert orch("status", "r", cwd=repo.path).out.startswith("r: landed")


def test_a_run_that_somebody_works_on_is_not_taken_over(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    plan = write_plan(tmp_path / "p", [{"id": "A", "writes": ["A"], "steps": [{"report": "up"}, {"sleep": "60s"}]}])
    process = start_orch("run", plan, "--run", "r", cwd=repo.path)
    wait_for_line(process.stdout, "A: says up")
    said = orch("resume", "r", cwd=repo.path)
    assert (said.code, f"(pid {process.pid})" in said.err) == (2, True)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130


def test_an_interrupted_run_goes_on_and_an_unfinished_one_is_offered(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    once = {"run": f"test -e {tmp_path}/go || {{ echo waiting; sleep 60; }}"}
    tasks = [{"id": "A", "writes": ["A"], "steps": [{"report": "up"}, once, {"write": {"path": "A", "text": "a"}}]}]
    plan = write_plan(tmp_path / "p", tasks)
    for number in (signal.SIGINT, signal.SIGKILL):
        command = ("run", plan, "--run", "r") if number == signal.SIGINT else ("resume",)
        process = start_orch(*command, cwd=repo.path)
        wait_for_line(process.stdout, "A: says up")
        os.kill(process.pid, number)
        process.communicate(timeout=60)
    (tmp_path / "go").touch()
    offered = orch("run", plan, cwd=repo.path)
    assert (offered.code, "orch resume r" in offered.err) == (2, True)
    said = orch("resume", "--json", cwd=repo.path)
    assert (said.code, said.json["status"], said.json["tasks"][0]["generation"]) == (0, "landed", 3)
    nothing = orch("resume", cwd=repo.path)
    assert (nothing.code, "No run in this repository has work left" in nothing.err) == (2, True)
    log = orch("log", "r", "--follow", cwd=repo.path)
    assert log.out.count("Going on with the base branch") == 2


def test_a_run_whose_journal_is_damaged_stands_in_nobodys_way(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    plan = write_plan(tmp_path / "p", [{"id": "A", "writes": ["A"], "steps": [{"write": {"path": "A", "text": "a"}}]}])
    assert orch("run", plan, "--run", "old", cwd=repo.path).code == 0
    (repo.path / ".git/orch/old/journal").write_bytes(b"something else")
    assert orch("run", plan, "--run", "new", cwd=repo.path).code == 0
    assert orch("run", plan, cwd=repo.path).code == 0
    assert orch("blame", "A", "--json", cwd=repo.path).json["task"] == "A"
    said = orch("status", "old", cwd=repo.path)
    assert (said.code, "is not a journal of this version" in said.err) == (70, True)


def test_a_link_in_the_place_of_a_dead_runs_gate_folder_is_not_followed(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").write_text("mine")
    plan = write_plan(
        tmp_path / "p",
        [
            {
                "id": "A",
                "writes": ["A"],
                "steps": [{"run": f"rm -rf ../gate; ln -s {tmp_path}/precious ../gate; echo a > A"}],
            }
        ],
        gates=[{"name": "g", "run": "true"}],
    )
    killed = orch("run", plan, "--run", "r", cwd=repo.path, env={"ORCH_KILL_AT": "work-kept:1"})
    assert killed.code == -signal.SIGKILL
    said = orch("resume", "r", cwd=repo.path)
    assert said.code in (0, 1), said.err
    assert (tmp_path / "precious/file").read_text() == "mine"
