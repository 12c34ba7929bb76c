"""Our own agent loop, end to end: `orch run` against a model server that says what it is told to."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.confine.level import Level, why_not
from tests.e2e.test_interrupt import wait_for_line
from tests.support.fake_model import FakeModel
from tests.support.orch import Said, orch, start_orch, write_plan
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e

needs_landlock = pytest.mark.skipif(bool(why_not(Level.LANDLOCK)), reason=why_not(Level.LANDLOCK))

Steps = list[dict[str, Any]]
MODEL = "claude-sonnet-5-5"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo")


def calls(tool: str, **given: Any) -> dict[str, Any]:
    return {"call": {"name": tool, "input": given}}


def writes(path: str, text: str = "x\n") -> dict[str, Any]:
    return calls("write", path=path, text=text)


def task(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "writes": [f"{name}/**"], "prompt": f"Do {name}.", "agent": "m", "attempts": 1, **more}


def environment(fake: FakeModel, key: str = "test-key") -> dict[str, str]:
    return {"ANTHROPIC_API_KEY": key, "ANTHROPIC_BASE_URL": fake.url("story")}


def run(
    repo: Repo, tmp_path: Path, tasks: list[dict[str, Any]], story: dict[str, Steps], *, key: str = "test-key", **spec: Any
) -> tuple[Said, FakeModel]:  # fmt: skip
    """Run a plan; what the model says to a task is in the story, under the task's id."""
    agents = {"m": {"kind": "anthropic", "model": MODEL, **spec}}
    with FakeModel({"story": {f"# {name}:": steps for name, steps in story.items()}}) as fake:
        plan = write_plan(tmp_path / "p", tasks, agents=agents)
        return orch("run", plan, "--run", "r", "--jobs", "8", "--json", cwd=repo.path, env=environment(fake, key)), fake


def transcript(repo: Repo, name: str, generation: int = 1) -> list[dict[str, Any]]:
    file = repo.path / f".git/orch/r/transcripts/{name}.gen-{generation}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def returned(repo: Repo, name: str) -> list[str]:
    return [line["text"] for line in transcript(repo, name) if line["event"] == "returned"]


def test_a_task_with_todos_is_done_and_lands_with_its_provenance(repo: Repo, tmp_path: Path) -> None:
    story: Steps = [
        {"say": "I look.", **calls("board_read")},
        {"calls": [calls("todo_claim", todo="one")["call"], calls("read", path="README.txt")["call"]]},
        writes("a/f.txt", "hello\n"),
        calls("edit", path="a/f.txt", old="hello", new="world"),
        calls("run", command="cat a/f.txt; echo key $ANTHROPIC_API_KEY task $ORCH_TASK"),
        {**calls("todo_done", todo="one"), "cached": 500},
        {"say": "The file says world.", "faults": [{"status": 529, "retry_after": 0}]},
    ]
    said, fake = run(repo, tmp_path, [task("a", todos=[{"id": "one", "title": "One"}])], {"a": story}, effort="low")
    assert said.code == 0, said.out + said.err
    (report,) = said.json["tasks"]
    used = [line for line in transcript(repo, "a") if line["event"] == "used"]
    assert report["cost_usd"] == round(sum(line["usd"] for line in used), 6) > 0
    assert (len(used), report["model"], said.json["cost_usd"]) == (7, f"{MODEL}@anthropic", report["cost_usd"])
    assert used[5]["cached_tokens"] == 500
    assert repo.show("a/f.txt") == "world\n"
    message = repo.git("log", "-1", "--format=%B", "main^2")
    assert "The file says world." in message
    assert f"Provenance-Model: {MODEL}@anthropic" in message
    assert "It ended with exit code 0.\nworld\nkey task a" in returned(repo, "a")
    body = fake.requests[0][1]
    assert (body["output_config"], body["cache_control"]) == ({"effort": "low"}, {"type": "ephemeral"})
    assert "test-key" not in (repo.path / ".git/orch/r/transcripts/a.gen-1.jsonl").read_text()
    log = orch("log", "--task", "a", "--transcript", cwd=repo.path).out
    for sentence in (
        "says: I look.",
        'calls edit {"path": "a/f.txt"',
        "waits 0.0 s: the provider is asked again: 529",
        "ends: done",
    ):
        assert sentence in log
    assert orch("log", "--transcript", cwd=repo.path).code == 2


def test_every_way_to_go_on_ends_well(repo: Repo, tmp_path: Path) -> None:
    """What can go wrong on the way, each in a task of its own; all of them land."""
    raw = {"call": {"name": "write", "raw": '{"path": }'}}
    todos = {"todos": [{"id": "one"}]}
    now = {"retry_after": 0}
    story: dict[str, Steps] = {
        "cut": [{**writes("cut/f"), "faults": [{"cut": True, "times": 2}]}],
        "busy": [{**writes("busy/f"), "faults": [{"status": 429, **now}, {"break": 529}, {"status": 500, **now}]}],
        "garbled": [raw, writes("garbled/f")],
        "wrong": [calls("write", path="wrong/f"), calls("no_such_tool"), writes("wrong/f")],
        "long": [{**writes("long/f"), "stop": "max_tokens"}, {"say": "so", "stop": "max_tokens", "then": [writes("long/f")]}],
        "paused": [{"say": "hm", "stop": "pause_turn", "then": [{**writes("paused/f")}]}],
        "asked": [{"say": "Done!", "then": [calls("todo_claim", todo="one")]}, writes("asked/f"), calls("todo_done", todo="one")],
        "outside": [writes("elsewhere/f"), calls("scope_request", paths=["elsewhere/f"], reason="the task needs it"),
                    writes("elsewhere/f"), writes("outside/f")],
    }  # fmt: skip
    tasks = [task(name, **(todos if name == "asked" else {})) for name in story]
    said, _ = run(repo, tmp_path, tasks, story)
    assert {t["id"]: t["reason"] for t in said.json["tasks"] if t["status"] != "landed"} == {}, said.err
    assert repo.files() == sorted(["README.txt", "elsewhere/f", *(f"{name}/f" for name in story)])
    assert any("no JSON object" in text for text in returned(repo, "garbled"))
    assert any(text.startswith("write was called wrongly: text: Field required") for text in returned(repo, "wrong"))
    assert any("There is no tool 'no_such_tool'. Call one of: read, write" in text for text in returned(repo, "wrong"))
    assert any("was cut at" in text for text in returned(repo, "long"))
    assert "You may not write elsewhere/f: the task may write outside/**" in returned(repo, "outside")[0]
    advice = [line["text"] for line in transcript(repo, "asked") if line["event"] == "advised"]
    assert len(advice) == 1
    assert "these TODOs are open: one" in advice[0]


@pytest.mark.parametrize("level", [pytest.param("landlock", marks=needs_landlock), "audit"])
def test_neither_an_edit_nor_a_command_changes_what_is_outside_the_scope(
    repo: Repo, tmp_path: Path, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands are refused by the system, or, where agents are not confined, the check refuses the work."""
    monkeypatch.setenv("ORCH_CONFINE", level)
    outside = [calls("edit", path="README.txt", old="start", new="evil"), writes("elsewhere/f")]
    command = calls("run", command="echo evil >> README.txt; mkdir elsewhere && echo x > elsewhere/g")
    said, _ = run(repo, tmp_path, [task("a")], {"a": [*outside, command, writes("a/f")]})
    (report,) = said.json["tasks"]
    edited, wrote, commanded, _ = returned(repo, "a")
    assert "You may not write README.txt" in edited
    assert "You may not write elsewhere/f" in wrote
    assert (report["confined"], "Permission denied" in commanded) == (level, level == "landlock"), commanded
    assert report["status"] == ("landed" if level == "landlock" else "failed"), report["reason"]
    assert repo.files() == (["README.txt", "a/f"] if level == "landlock" else ["README.txt"])
    assert repo.show("README.txt") == "start\n"


def test_every_way_to_fail_is_told_with_its_reason(repo: Repo, tmp_path: Path) -> None:
    """What ends an attempt, each in a task of its own; none of them lands, and each says why."""
    reads = {**calls("read", path="README.txt"), "repeat": True}
    story: dict[str, Steps] = {
        "loop": [reads],
        "errors": [{**calls("todo_claim", todo=str(number))} for number in range(20)],
        "budget": [{**calls("list"), "repeat": True}],
        "turns": [{**calls("list"), "repeat": True}],
        "refusal": [{"say": "No.", "stop": "refusal"}],
        "full": [{"stop": "model_context_window_exceeded"}],
        "strange": [{"stop": "cosmic_rays"}],
        "idle": [{"say": "Done!"}],
        "todos": [writes("todos/f"), {"say": "Done!"}],
        "cut": [{"say": "Some words that are cut.", "faults": [{"cut": True, "times": 3}]}],
        "silent": [{"say": "Some words, and then none.", "faults": [{"hang": 30}]}],
        "slow": [{**calls("run", command="sleep 30")}],
        "unpriced": [{**calls("list"), "model": "model-of-nobody"}],
    }  # fmt: skip
    limits = {
        "budget": {"cost_usd": 0.001}, "turns": {"turns": 2}, "silent": {"stall": "500ms"}, "slow": {"wall": "4s"},
        "unpriced": {"cost_usd": 1},
    }  # fmt: skip
    tasks = [
        task(name, limits=limits.get(name, {}), todos=[{"id": "one"}] if name == "todos" else []) for name in story
    ]
    said, _ = run(repo, tmp_path, tasks, story)
    assert said.code == 1, said.err
    reasons = {t["id"]: t["reason"] for t in said.json["tasks"]}
    expected = {
        "loop": "it called read with the same arguments 4 times in a row",
        "errors": "its last 6 calls failed, the last one of todo_claim",
        "budget": "the budget of $0.001 is used up ($0.",
        "turns": "the limit of 2 turns is used up",
        "refusal": "the model refuses to go on",
        "full": "the conversation has filled the model's context",
        "strange": "a reason that is not known here: cosmic_rays",
        "idle": "it said that it was done, but it changed no file",
        "todos": "it said that it was done, but these TODOs are open: one",
        "cut": "the provider is at fault: 3 times its answer broke off",
        "silent": "the agent stalled: the provider sent nothing for 0.5 s",
        "slow": "the agent timed-out: the time limit of 4 s is used up",
        "unpriced": "the price of model-of-nobody is not known",
    }
    assert {name: reasons[name] for name, text in expected.items() if text not in reasons[name]} == {}
    assert repo.show("todos/f", "orch/r/todos/gen-1") == "x\n", "what was written is kept"
    assert "unpriced: the price of model-of-nobody is not known, so 1 of 1 requests are unpriced" in said.err


def test_a_key_that_is_missing_or_refused_is_said_and_not_tried_again(repo: Repo, tmp_path: Path) -> None:
    missing, fake = run(repo, tmp_path, [task("a", attempts=3)], {"a": []}, key="")
    (report,) = missing.json["tasks"]
    assert (missing.code, report["generation"], len(fake.requests)) == (1, 1, 0)
    assert "ANTHROPIC_API_KEY is not set" in report["reason"]
    refusal: Steps = [{"faults": [{"status": 401, "say": "invalid x-api-key"}]}]
    with FakeModel({"story": refusal}) as fake:
        plan = write_plan(tmp_path / "p", [task("a", attempts=3), task("b")], agents={"m": {"kind": "anthropic"}})
        refused = orch("run", plan, "--new", "--jobs", "1", "--json", cwd=repo.path, env=environment(fake))
    assert [t["generation"] for t in refused.json["tasks"]] == [1, 1]
    assert all("ANTHROPIC_API_KEY is refused (401, invalid x-api-key)" in t["reason"] for t in refused.json["tasks"])
    assert len(fake.requests) == 1


def test_an_interrupt_ends_it_at_once_in_the_middle_of_an_answer(repo: Repo, tmp_path: Path) -> None:
    story: Steps = [writes("a/f"), calls("report_progress", text="half"), {"say": "word " * 1000, "pace": 2}]
    with FakeModel({"story": story}) as fake:
        plan = write_plan(tmp_path / "p", [task("a")], agents={"m": {"kind": "anthropic"}})
        process = start_orch("run", plan, "--run", "r", cwd=repo.path, env=environment(fake))
        wait_for_line(process.stdout, "a: says half")
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130
    assert repo.show("a/f", "orch/r/a/gen-1") == "x\n"
    assert transcript(repo, "a")[-1]["reason"] == "stopped before it was finished"


def test_the_budget_of_a_task_counts_all_its_attempts_and_that_of_the_run_all_tasks(repo: Repo, tmp_path: Path) -> None:
    idle: Steps = [calls("list"), {"say": "Done!"}]
    lists: Steps = [{**calls("list"), "repeat": True}]
    tasks = [
        task("turns", attempts=9, budget={"turns": 5}),
        task("tokens", limits={"tokens": 1}),
        task("never", needs=["good"]),
        task("good"),
    ]
    with FakeModel(
        {"story": {"# turns:": idle, "# tokens:": lists, "# good:": [writes("good/f")], "# never:": []}}
    ) as fake:
        agents = {"m": {"kind": "anthropic", "model": MODEL}}
        plan = write_plan(tmp_path / "p", tasks, agents=agents, limits={"turns": 7})
        said = orch("run", plan, "--run", "r", "--jobs", "1", "--json", cwd=repo.path, env=environment(fake))
    reports = {t["id"]: t for t in said.json["tasks"]}
    assert said.code == 1, said.err
    assert reports["turns"]["generation"] == 2
    assert reports["turns"]["reason"].startswith(
        "the task's budget of 5 turns is used up (5 in 2 attempts); the agent failed: "
    )
    assert "the limit of 1 tokens is used up: it has used" in reports["tokens"]["reason"]
    assert reports["good"]["status"] == "landed", "what was submitted lands"
    assert (reports["never"]["status"], reports["never"]["reason"]) == (
        "cancelled",
        "the run's budget of 7 turns is used up (8)",
    )
