"""Agents that speak the Agent Client Protocol, whole: a program of ours that plays scripts, driven by `orch run`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.confine.level import Level, why_not
from tests.e2e.test_interrupt import wait_for_line
from tests.support.orch import orch, start_orch, write_plan
from tests.support.repos import Repo, make_repo

pytestmark = pytest.mark.e2e

needs_landlock = pytest.mark.skipif(bool(why_not(Level.LANDLOCK)), reason=why_not(Level.LANDLOCK))
ROOT = Path(__file__).parents[2]


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo", a__old_txt="old\n")


def plan(tmp_path: Path, scripts: dict[str, list[list[dict[str, Any]]]], **more: dict[str, Any]) -> Path:
    """Write a plan with a task for each script, which may write the folder of its name."""
    agents, tasks = {}, []
    for name, turns in scripts.items():
        script = tmp_path / f"{name}.json"
        script.write_text(json.dumps(turns))
        command = f"cd {ROOT} && exec {sys.executable} -m tests.support.acp_agent {script}"
        agents[name] = {"kind": "acp", "command": command, "model": "played@1"}
        task = {"id": name, "writes": [f"{name}/**"], "agent": name, "prompt": "do it", "attempts": 1}
        tasks.append({**task, **more.get(name, {})})
    return write_plan(tmp_path / "p", tasks, agents=agents)


def transcript(repo: Repo, task: str) -> list[dict[str, Any]]:
    path = next((repo.path / ".git/orch").glob(f"*/transcripts/{task}.gen-1.jsonl"))
    return [json.loads(line) for line in path.read_text().splitlines()]


GOOD: list[list[dict[str, Any]]] = [
    [
        {"board": ["todo_claim", {"todo": "one"}]},
        {"board": ["report_progress", {"text": "well begun"}]},
        {"write": ["a/new.txt", "through the client\n"]},
        {"write": ["docs/evil.txt", "x\n"]},
        {"write": ["../evil.txt", "x\n"]},
        {"ask": ["a/asked.txt", "asked\n", "edit"]},
        {"cost": 0.25},
        {"tokens": 300},
        {"ask": ["docs/evil2.txt", "x\n", "edit"]},  # refused, which ends the turn
    ],
    [{"refuse": [-32603, "429 Too Many Requests; please retry in 0.3s"]}],
    [{"board": ["todo_done", {"todo": "one"}]}, {"say": "all done"}],
]

REASONS: dict[str, tuple[list[list[dict[str, Any]]], dict[str, Any], str]] = {
    "refused": ([[{"ask": ["docs/x", "x\n", "edit"]}]] * 9, {}, "it ended 4 turns because something was refused"),
    "idle": ([[{"say": "done"}]] * 3, {}, "it said that it was done, but it changed no file"),
    "dear": ([[{"cost": 3.0}, {"hang": True}]], {"limits": {"cost_usd": 1}}, "limit of $1 is used up: it has cost $3.0000"),
    "many": ([[{"tokens": 400}]], {"limits": {"tokens": 300}},
             "limit of 300 tokens is used up: it has used 400"),
    "locked": ([[{"refuse": [-32000, "Authentication required"]}]] * 9, {"attempts": 3},
               "the login is refused (Authentication required"),
    "wrong": ([[{"refuse": [-32602, "no such thing"]}]] * 9, {}, "the conversation with it failed: no such thing"),
    "dead": ([[{"say": "x"}, {"die": 3}]], {}, "ended with exit code 3; its last words: no more"),
}  # fmt: skip


def test_it_works_inside_its_scope_and_fails_for_a_reason(repo: Repo, tmp_path: Path) -> None:
    scripts = {"a": GOOD, **{name: turns for name, (turns, _, _) in REASONS.items()}}
    more = {"a": {"todos": [{"id": "one"}]}, **{name: task for name, (_, task, _) in REASONS.items()}}
    said = orch("run", plan(tmp_path, scripts, **more), "--json", "--jobs", "3", cwd=repo.path)
    assert said.code == 1, said.out
    tasks = {task["id"]: task for task in said.json["tasks"]}
    assert (tasks["a"]["status"], tasks["a"]["cost_usd"]) == ("landed", 0.25)
    assert sorted(repo.files("main")) == ["a/asked.txt", "a/new.txt", "a/old.txt"]
    assert "all done" in repo.git("log", "--format=%B", "main")
    heard = " ".join(line["text"] for line in transcript(repo, "a") if line["event"] == "said")
    assert "You may not write docs/evil.txt" in heard
    (dropped,) = [
        line for line in orch("board", "--json", cwd=repo.path).json["log"] if "well begun" in json.dumps(line)
    ]
    assert (dropped["fields"]["agent"], dropped["fields"]["said"]) == ("a.gen-1", "well begun")
    wrong = {
        name: tasks[name]["reason"] for name, (_, _, reason) in REASONS.items() if reason not in tasks[name]["reason"]
    }
    assert wrong == {}
    assert tasks["locked"]["generation"] == 1
    told = [line for line in transcript(repo, "a") if line["event"] in ("used", "waited")]
    assert [(line["event"], line.get("input_tokens"), line.get("seconds")) for line in told] == [
        ("used", 290, None),
        ("waited", None, 0.3),
    ]


def test_it_is_told_to_stop_and_its_work_is_kept(repo: Repo, tmp_path: Path) -> None:
    turns: list[list[dict[str, Any]]] = [
        [{"write": ["a/new.txt", "x\n"]}, {"board": ["report_progress", {"text": "here"}]}, {"hang": True}]
    ]
    process = start_orch("run", plan(tmp_path, {"a": turns}), cwd=repo.path)
    wait_for_line(process.stdout, "a: says here")
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert transcript(repo, "a")[-1]["status"] == "stopped"
    assert repo.git("for-each-ref", "--format=%(refname)", "refs/heads/orch") != ""


def test_a_session_that_needs_a_login_is_not_asked_for_twice(repo: Repo, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text("[]")
    command = f"cd {ROOT} && exec {sys.executable} -m tests.support.acp_agent {script}"
    agents = {"it": {"kind": "acp", "command": command, "env": ["PLAYED_LOGIN"]}}
    tasks = [{"id": name, "writes": [f"{name}/**"], "agent": "it", "prompt": "do it", "attempts": 3} for name in "ab"]
    plan = write_plan(tmp_path / "p", tasks, agents=agents)
    said = orch("run", plan, "--json", "--jobs", "1", cwd=repo.path, env={"PLAYED_LOGIN": "none"})
    assert [task["generation"] for task in said.json["tasks"]] == [1, 1]
    assert all("the login is refused (Authentication required" in task["reason"] for task in said.json["tasks"])
    assert said.err.count("nothing more is tried with it") == 1


@pytest.mark.parametrize("level", [pytest.param("landlock", marks=needs_landlock), "audit"])
def test_a_command_that_it_runs_by_itself_writes_nothing_outside_its_scope(
    repo: Repo, tmp_path: Path, level: str
) -> None:
    """Its own programs ask nobody: the system refuses them, or, where agents are not confined, the check refuses the work."""
    turn: list[dict[str, Any]] = [{"write": ["a/new.txt", "x\n"]}, {"shell": "mkdir -p docs; echo x > docs/evil.txt"}]
    said = orch("run", plan(tmp_path, {"a": [turn]}), "--json", cwd=repo.path, env={"ORCH_CONFINE": level})
    (task,) = said.json["tasks"]
    heard = " ".join(line["text"] for line in transcript(repo, "a") if line["event"] == "said")
    assert (task["confined"], "Permission denied" in heard) == (level, level == "landlock"), heard
    assert task["status"] == ("landed" if level == "landlock" else "failed"), task["reason"]
    assert ("docs/evil.txt" in (task["reason"] or "")) == (level == "audit")
    assert repo.files("main") == (["a/new.txt", "a/old.txt"] if level == "landlock" else ["a/old.txt"])
