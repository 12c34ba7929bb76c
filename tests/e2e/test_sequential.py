"""One agent does a whole plan in sequence: by wish, or because nothing came of the work side by side."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.orch import orch, write_plan
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo")


def writes(path: str, text: str = "x\n") -> dict[str, Any]:
    return {"write": {"path": path, "text": text}}


TASKS: list[dict[str, Any]] = [
    {"id": "A", "writes": ["a"], "todos": [{"id": "t"}], "steps": [{"claim": "t"}, writes("a"), {"done": "t"}]},
    {"id": "B", "writes": ["b"], "needs": ["A"], "steps": [{"run": "test -f a"}, writes("b")]},
]


def test_one_agent_does_it_all_under_the_same_checks(repo: Repo, tmp_path: Path) -> None:
    gates, contracts = [{"name": "both", "run": "test -f c.md && ls a b"}], {"files": {"c.md": "Agreed.\n"}}
    plan = write_plan(tmp_path / "p", TASKS, contracts=contracts, gates=gates)
    said = orch("run", plan, "--mode", "sequential", "--json", cwd=repo.path)
    assert said.code == 0, said.out + said.err
    assert (said.json["mode"], [task["id"] for task in said.json["tasks"]]) == ("sequential", ["whole"])
    assert '"task": "whole"' in orch("blame", "b", "--json", cwd=repo.path).out
    assert "landed" in orch("status", cwd=repo.path).out


def test_one_that_was_killed_goes_on_in_sequence(repo: Repo, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "p", TASKS)
    killed = orch("run", plan, "--mode", "sequential", "--run", "r", cwd=repo.path, env={"ORCH_KILL_AT": "base-move:1"})
    assert killed.code == -signal.SIGKILL, killed.out + killed.err
    side_by_side = orch("run", plan, "--json", cwd=repo.path)  # in another mode it is another run
    assert side_by_side.code == 0, side_by_side.err
    said = orch("resume", "r", "--json", cwd=repo.path)
    assert (said.code, [task["id"] for task in said.json["tasks"]]) == (0, ["whole"]), said.err


ONLY_AS_ONE = [
    {"id": name, "writes": [name], "attempts": 1, "steps": [{"run": "test $ORCH_TASK = whole"}, writes(name)]}
    for name in ("a", "b")
]


def test_it_follows_if_the_plan_says_so_and_nothing_has_landed(repo: Repo, tmp_path: Path) -> None:
    tasks = ONLY_AS_ONE
    offered = orch("run", write_plan(tmp_path / "p", tasks), cwd=repo.path)
    assert (offered.code, "orch run --mode sequential PLAN" in offered.out) == (1, True), offered.out
    said = orch("run", write_plan(tmp_path / "q", tasks, fallback="sequential"), "--new", cwd=repo.path)
    assert said.code == 0, said.out + said.err
    assert "As the plan says, one agent does all of it now." in said.out
    assert repo.show("a", "main") == repo.show("b", "main") == "x\n"


@pytest.mark.parametrize("kill", ["work-captured:2", "report-written:1", "base-move:1"])
def test_it_follows_once_whenever_the_run_was_killed(repo: Repo, tmp_path: Path, kill: str) -> None:
    repo.git("branch", "other")
    plan = write_plan(tmp_path / "p", ONLY_AS_ONE, fallback="sequential")
    killed = orch("run", plan, "--run", "first", "--jobs", "1", cwd=repo.path, env={"ORCH_KILL_AT": kill})
    assert killed.code == -signal.SIGKILL, killed.out + killed.err
    if kill == "base-move:1":  # the one that followed has begun
        offered = orch("run", plan, cwd=repo.path)
        assert (offered.code, "has not ended" in offered.err) == (2, True), offered.out + offered.err
    repo.git("checkout", "-q", "other")
    said = orch("resume", "--json", cwd=repo.path)
    assert (said.code, [task["id"] for task in said.json["tasks"]]) == (0, ["whole"]), said.err
    assert repo.show("a", "main") == repo.show("b", "main") == "x\n"
    assert repo.files("other") == ["README.txt"]
    nothing = orch("resume", "--retry", cwd=repo.path)
    assert (nothing.code, "has work left" in nothing.err) == (2, True), nothing.out
    assert orch("resume", "first", cwd=repo.path).code == 1
    runs = [folder for folder in (repo.path / ".git/orch").iterdir() if (folder / "journal").is_file()]
    assert len(runs) == 2, "what has followed does not follow again"


def test_it_does_not_follow_if_something_has_landed(repo: Repo, tmp_path: Path) -> None:
    tasks: list[dict[str, Any]] = [TASKS[0], {"id": "F", "writes": ["f"], "attempts": 1, "steps": [{"fail": "no"}]}]
    said = orch("run", write_plan(tmp_path / "p", tasks, fallback="sequential"), cwd=repo.path)
    assert (said.code, "one agent does all" in said.out) == (1, False)


def test_what_failed_is_tried_again_and_what_landed_is_not(repo: Repo, tmp_path: Path) -> None:
    wanted = tmp_path / "wanted"
    tasks: list[dict[str, Any]] = [
        {"id": "A", "writes": ["a"], "steps": [writes("a")]},
        {"id": "F", "writes": ["f"], "attempts": 1, "steps": [{"run": f"test -f {wanted}"}, writes("f")]},
        {"id": "G", "writes": ["g"], "needs": ["F"], "steps": [writes("g")]},
    ]
    first = orch("run", write_plan(tmp_path / "p", tasks), cwd=repo.path)
    assert (first.code, "--retry" in first.out) == (1, True), first.out
    assert orch("resume", cwd=repo.path).code == 1
    wanted.touch()
    said = orch("resume", "--retry", "--json", cwd=repo.path)
    assert said.code == 0, said.out + said.err
    assert [(task["id"], task["generation"]) for task in said.json["tasks"]] == [("A", 1), ("F", 2), ("G", 1)]


def test_agents_of_a_mode(repo: Repo, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "p", TASKS)
    wrong = orch("run", plan, "--agent", "m", cwd=repo.path)
    assert (wrong.code, "is for --mode sequential" in wrong.err) == (2, True)
    unknown = orch("run", plan, "--mode", "sequential", "--agent", "m", cwd=repo.path)
    assert (unknown.code, "The plan has no agent 'm'." in unknown.err) == (2, True)
