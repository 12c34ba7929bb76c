"""Signals: the first stops politely, the second now; nothing is lost either way."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import IO

import pytest

from tests.support.orch import start_orch, write_plan
from tests.support.processes import alive
from tests.support.repos import Repo, make_repo

pytestmark = pytest.mark.e2e


def wait_for_line(stream: IO[bytes] | None, text: str) -> str:
    """Read until a line holds the text, and return it; the test's own time limit ends a wait in vain."""
    assert stream is not None
    seen = []
    for line in stream:
        seen.append(line)
        if text.encode() in line:
            return line.decode()
    raise AssertionError(f"{text!r} was never printed: {b''.join(seen).decode()}")


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_stops_agents_politely_and_keeps_their_work(repo: Repo, tmp_path: Path, number: int) -> None:
    slow = [
        {"write": {"path": "A.txt", "text": "half\n"}},
        {"report": "up"},
        {"run": "trap 'echo tidy > A2.txt; exit 0' INT; while :; do sleep 0.05; done"},
    ]
    plan = write_plan(
        tmp_path / "p",
        [{"id": "A", "writes": ["A*.txt"], "steps": slow}, {"id": "B", "needs": ["A"], "writes": ["B"], "steps": slow}],
    )
    before = repo.head()
    process = start_orch("run", plan, "--run", "r", cwd=repo.path)
    wait_for_line(process.stdout, "A: says up")
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err.decode()
    assert b"interrupted by" in out
    assert repo.head() == before
    assert repo.show("A.txt", "orch/r/A/gen-1") == "half\n"
    report = json.loads((repo.path / ".git/orch/r/report.json").read_text())
    assert [t["status"] for t in report["tasks"]] == ["cancelled", "cancelled"]
    assert repo.git("worktree", "list").count("\n") == 0


def test_the_second_signal_ends_everything_now_and_keeps_the_folder(repo: Repo, tmp_path: Path) -> None:
    stubborn = [
        {"write": {"path": "A.txt", "text": "half\n"}},
        {"run": "trap '' INT TERM; echo $$ > pid; echo up > A.txt; sleep 60"},
    ]
    plan = write_plan(tmp_path / "p", [{"id": "A", "writes": ["A.txt", "pid"], "steps": stubborn}])
    process = start_orch("run", plan, "--run", "r", cwd=repo.path)
    wait_for_line(process.stdout, "A: default (script@1) starts")
    home = Path(os.environ["HOME"])
    while not (pids := [p for p in home.rglob("A.gen-1/pid") if p.read_text()]):
        assert process.poll() is None
    pid = int(pids[0].read_text())
    os.kill(process.pid, signal.SIGINT)
    wait_for_line(process.stdout, "Stopping: interrupted")
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err.decode()
    assert not alive(pid)
    assert (pids[0].parent / "A.txt").read_text() == "up\n"  # the folder stays: nobody took its files in


def test_a_run_that_is_killed_leaves_main_as_it_landed_and_another_run_can_follow(repo: Repo, tmp_path: Path) -> None:
    plan = write_plan(
        tmp_path / "p",
        [
            {"id": "A", "writes": ["A.txt"], "steps": [{"write": {"path": "A.txt", "text": "a\n"}}]},
            {"id": "B", "writes": ["B.txt"], "needs": ["A"], "steps": [{"report": "up"}, {"sleep": "60s"}]},
        ],
    )
    process = start_orch("run", plan, cwd=repo.path)
    wait_for_line(process.stdout, "B: says up")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert repo.show("A.txt") == "a\n"
    assert repo.status() == ""
    steps = [{"write": {"path": "C", "text": "c"}}]
    again = write_plan(tmp_path / "q", [{"id": "C", "writes": ["C"], "steps": steps}], name="another")
    process = start_orch("run", again, cwd=repo.path)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert "C" in repo.files()


def test_a_log_that_is_followed_through_a_pipe_tells_each_line_at_once(repo: Repo, tmp_path: Path) -> None:
    wait = {"run": f"until test -e {tmp_path}/go; do sleep 0.02; done"}
    plan = write_plan(tmp_path / "p", [{"id": "A", "writes": ["A"], "steps": [{"report": "up"}, wait]}])
    process = start_orch("run", plan, "--run", "r", cwd=repo.path)
    wait_for_line(process.stdout, "A: says up")
    follow = start_orch("log", "r", "--follow", cwd=repo.path)
    wait_for_line(follow.stdout, "A: says up")
    (tmp_path / "go").touch()
    rest, _ = follow.communicate(timeout=60)
    assert (follow.returncode, b"The run is over" in rest) == (0, True), rest
    process.communicate(timeout=60)
