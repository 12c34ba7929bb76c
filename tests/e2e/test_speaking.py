"""Speaking with a run while it goes on: questions and answers, wider scopes, cancelling, pausing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.test_interrupt import wait_for_line
from tests.support.orch import orch, start_orch, write_plan
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

pytestmark = pytest.mark.e2e


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo")


def task(name: str, *steps: dict[str, Any], writes: str = "", **more: Any) -> dict[str, Any]:
    return {"id": name, "writes": [writes or f"{name}/**"], "attempts": 1, "steps": list(steps), **more}


def write(path: str) -> dict[str, Any]:
    return {"write": {"path": path, "text": "x\n"}}


def events(repo: Repo) -> list[dict[str, Any]]:
    return [json.loads(line) for line in orch("log", "--json", cwd=repo.path).out.splitlines()]


def kinds(repo: Repo) -> list[str]:
    said = orch("log", "--json", cwd=repo.path)
    return [json.loads(line)["kind"] for line in said.out.splitlines()] if said.code == 0 else []


def end_of(process: subprocess.Popen[bytes]) -> int:
    process.communicate(timeout=60)
    return process.returncode


def test_a_question_is_answered_from_another_terminal(repo: Repo, tmp_path: Path) -> None:
    steps = [{"ask": "Which colour?"}, write("a/f")]
    process = start_orch("run", write_plan(tmp_path / "p", [task("a", *steps)]), cwd=repo.path)
    wait_for_line(process.stdout, "a: asks Which colour? (orch answer q1 ...)")
    assert "q1 of a.gen-1 to person: Which colour?" in orch("board", cwd=repo.path).out
    wrong = orch("answer", "q7", "blue", cwd=repo.path)
    assert (wrong.code, "Open questions: q1." in wrong.err) == (2, True)
    assert orch("answer", "q1", "blue", cwd=repo.path).code == 0
    assert end_of(process) == 0
    assert '"text": "blue"' in next((repo.path / ".git/orch").glob("*/transcripts/a.gen-1.jsonl")).read_text()
    again = orch("answer", "q1", "green", cwd=repo.path)
    assert (again.code, "q1 was answered by person: blue" in again.err) == (2, True)


def test_a_wider_scope_is_granted_if_nobody_at_work_has_it(repo: Repo, tmp_path: Path) -> None:
    first = task("a", {"widen": ["shared/a.txt", "c/new"]}, write("shared/a.txt"), write("c/new"))
    later = task("c", {"run": "test -e c/new"}, write("c/f"), needs=["a"])
    said = orch("run", write_plan(tmp_path / "p", [first, later]), "--json", cwd=repo.path)
    assert said.code == 0, said.out
    assert [e["globs"] for e in events(repo) if e["kind"] == "scope-widened"] == [["shared/a.txt", "c/new"]]


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ("b/f", "b/f is in the scope of b, which is at work"),
        ("contracts/**", "contracts/x.txt is a contract"),
        ("common/x", "common/x is shared"),
    ],
)
@pytest.mark.unconfined
def test_a_wider_scope_is_refused(repo: Repo, tmp_path: Path, wanted: str, why: str) -> None:
    meeting = tmp_path / "asked"
    wait = f"while ! test -e {meeting}; do sleep 0.02; done"
    other = task("b", {"run": f"touch {tmp_path}/there; {wait}"}, write("b/f"))
    wait_for_other = {"run": f"while ! test -e {tmp_path}/there; do sleep 0.02; done"}
    asking = {"when": {"generation": 1, "do": [wait_for_other, {"widen": [wanted]}]}}
    plan = write_plan(
        tmp_path / "p", [task("a", asking, {"run": f"touch {meeting}"}, write("a/f"), attempts=2), other],
        shared=["common/**"], contracts={"files": {"contracts/x.txt": "x\n"}},
    )  # fmt: skip
    said = orch("run", plan, "--json", "--jobs", "2", cwd=repo.path)
    assert said.code == 0, said.out
    assert any(why in e.get("reason", "") for e in events(repo) if e["kind"] == "refused")


def test_a_granted_scope_ends_with_its_generation(repo: Repo, tmp_path: Path) -> None:
    first = {"when": {"generation": 1, "do": [{"widen": ["extra"]}, write("extra"), {"fail": "no"}]}}
    second = {"when": {"generation": 2, "do": [write("extra")]}}
    said = orch("run", write_plan(tmp_path / "p", [task("a", first, second, attempts=2)]), "--json", cwd=repo.path)
    assert said.code == 1
    assert "extra: adds this path" in said.json["tasks"][0]["reason"]


def test_a_task_is_cancelled_and_the_others_land(repo: Repo, tmp_path: Path) -> None:
    slow = task("a", write("a/f"), {"report": "here"}, {"sleep": "60s"})
    plan = write_plan(tmp_path / "p", [slow, task("b", write("b/f")), task("c", write("c/f"), needs=["a"])])
    process = start_orch("run", plan, cwd=repo.path)
    wait_for_line(process.stdout, "a: says here")
    assert orch("cancel", "zz", cwd=repo.path).code == 2
    assert orch("cancel", "a", cwd=repo.path).code == 0
    assert end_of(process) == 1
    report = json.loads(next((repo.path / ".git/orch").glob("*/report.json")).read_text())
    assert {t["id"]: t["status"] for t in report["tasks"]} == {"a": "cancelled", "b": "landed", "c": "blocked"}
    assert repo.git("show", f"{report['tasks'][0]['branch']}:a/f") == "x"
    assert orch("resume", cwd=repo.path).code == 1  # it is still not wanted


def test_nothing_begins_while_a_run_is_paused(repo: Repo, tmp_path: Path) -> None:
    first = task("a", {"report": "here"}, {"run": f"while ! test -e {tmp_path}/go; do sleep 0.02; done"}, write("a/f"))
    plan = write_plan(tmp_path / "p", [first, task("b", write("b/f"), needs=["a"])])
    process = start_orch("run", plan, cwd=repo.path)
    wait_for_line(process.stdout, "a: says here")
    assert orch("pause", cwd=repo.path).code == 0
    wait_for_line(process.stdout, "Paused: no attempt begins")
    (tmp_path / "go").touch()
    wait_for_line(process.stdout, "a: landed")
    assert sum(kind == "assigned" for kind in kinds(repo)) == 1
    assert orch("unpause", cwd=repo.path).code == 0
    assert end_of(process) == 0
    over = orch("pause", cwd=repo.path)
    assert (over.code, "is over" in over.err) == (2, True)
