"""The capability probe: an agent shows what it can do before it is given work."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.fake_model import FakeModel
from tests.support.orch import orch, write_plan
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e

READ = "w=$(sed 's/.* //' question.txt)"
EDIT = f'{READ}; sed -i "s/PENDING/$w/" notes.txt'
SEAL = f"{sys.executable} seal.py"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo")


def calls(tool: str, **given: Any) -> dict[str, Any]:
    return {"call": {"name": tool, "input": given}}


def story(*commands: str, done: bool = True) -> list[dict[str, Any]]:
    ran = [calls("run", command=command) for command in commands]
    board = [calls("todo_claim", todo="steps"), calls("todo_done", todo="steps")] if done else []
    return [*board[:1], *ran, *board[1:], {"say": "That was all."}]


def plan_of(tmp_path: Path) -> Path:
    tasks: list[dict[str, Any]] = [
        {"id": "A", "writes": ["a/**"], "prompt": "Do A.", "agent": "m", "attempts": 2},
        {"id": "B", "writes": ["b/**"], "prompt": "Do B.", "agent": "m", "attempts": 2},
        {"id": "S", "writes": ["s"], "steps": [{"write": {"path": "s", "text": "s"}}]},
    ]
    agents = {"m": {"kind": "anthropic", "model": "claude-sonnet-5-5", "probe": True}, "default": {"kind": "script"}}
    return write_plan(tmp_path / "p", tasks, agents=agents)


def environment(fake: FakeModel) -> dict[str, str]:
    return {"ANTHROPIC_API_KEY": "test-key", "ANTHROPIC_BASE_URL": fake.url("story")}


@pytest.mark.parametrize(
    ("steps", "missing"),
    [
        (story(EDIT, SEAL), ()),
        (story(EDIT), ("runs",)),
        (story(f"{READ}; echo $w > notes.txt", SEAL), ("edits",)),
        (story(EDIT, SEAL, done=False), ("reports",)),
    ],
    ids=["all", "no command", "written anew", "not on the board"],
)
def test_what_an_agent_can_do_is_read_from_what_it_left(
    repo: Repo, tmp_path: Path, steps: list[dict[str, Any]], missing: tuple[str, ...]
) -> None:
    before = repo.head()
    with FakeModel({"story": {"# probe:": steps}}) as fake:
        said = orch(
            "doctor", "--probe", "m", "--plan", plan_of(tmp_path), "--json", cwd=repo.path, env=environment(fake)
        )
    probe = json.loads(said.out)["probe"]
    assert tuple(name for name in ("reads", "edits", "runs", "reports") if not probe[name]) == missing, said.out
    assert (probe["passed"], said.code) == (not missing, 1 if missing else 0)
    assert (repo.head(), repo.status(), list((repo.path / ".git/orch").iterdir())) == (before, "", [])


def test_an_agent_gets_no_task_before_it_has_passed_and_is_asked_once(repo: Repo, tmp_path: Path) -> None:
    stories = {
        "# probe:": story(EDIT, SEAL),
        "# A:": [calls("write", path="a/f", text="a\n"), {"say": "done"}],
        "# B:": [calls("write", path="b/f", text="b\n"), {"say": "done"}],
    }
    with FakeModel({"story": stories}) as fake:
        said = orch("run", plan_of(tmp_path), "--json", cwd=repo.path, env=environment(fake))
        asked = sum("# probe:" in json.dumps(body) for _, body in fake.requests)
    assert said.code == 0, said.out + said.err
    assert asked == len(stories["# probe:"])


def test_tasks_of_one_that_does_not_pass_fail_at_once_and_the_others_land(repo: Repo, tmp_path: Path) -> None:
    with FakeModel({"story": {"# probe:": story(EDIT)}}) as fake:
        said = orch("run", plan_of(tmp_path), "--json", cwd=repo.path, env=environment(fake))
    tasks = {task["id"]: task for task in said.json["tasks"]}
    assert (said.code, tasks["S"]["status"]) == (1, "landed")
    for name in ("A", "B"):
        assert (tasks[name]["status"], tasks[name]["generation"]) == ("failed", 1)
        assert "did not show that it can: run a command" in tasks[name]["reason"]


def test_what_cannot_be_probed_is_said(repo: Repo, tmp_path: Path) -> None:
    unknown = orch("doctor", "--probe", "nobody", cwd=repo.path)
    assert (unknown.code, "There is no agent 'nobody' to probe." in unknown.err) == (2, True)
    script = write_plan(
        tmp_path / "p", [{"id": "S", "writes": ["s"]}], agents={"default": {"kind": "script", "probe": True}}
    )
    said = orch("check", script, cwd=repo.path)
    assert (said.code, "has no model to probe" in said.err) == (3, True)
