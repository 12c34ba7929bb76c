"""Mode crdt, end to end: several agents write into one file, and what they wrote lands as a commit each."""

from __future__ import annotations

import json
import os
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_interrupt import wait_for_line
from tests.support.orch import orch, start_orch, write_plan
from tests.support.repos import Repo, make_repo

pytestmark = pytest.mark.e2e

BASE = '"""Größe."""\n\n# TODO:one The first\n\n\n# TODO:two The second\n\n\nlast = "é漢😀"\n'
ONE, TWO, THREE = "def one():\n    return 'ä1'", "def two():\n    return '漢2'", "\n\ndef three():\n    return '😀3'\n"
LANDED = BASE.replace("# TODO:one The first", ONE).replace("# TODO:two The second", TWO) + THREE


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo", **{"app.py": BASE})


def stream(text: str, **more: Any) -> dict[str, Any]:
    return {"stream": {"path": "app.py", "text": text, "rate": 2000, **more}}


def part(todo: str, *steps: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"claim": todo}, *steps, {"done": todo}]


def task(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    todos = [{"id": name, "title": name.title()} for name in ("one", "two", "three")]
    return {"id": "A", "writes": ["app.py"], "todos": todos, "steps": list(steps), **more}


ALL = task(*part("one", stream(ONE)), *part("two", stream(TWO)), *part("three", stream(THREE)))
GATES = [{"name": "runs", "run": "python3 -c 'import app; assert app.one() and app.two() and app.three()'"}]


def run(
    repo: Repo,
    tmp_path: Path,
    *tasks: dict[str, Any],
    mode: str = "crdt",
    env: dict[str, str] | None = None,
    **more: Any,
) -> Any:
    plan = write_plan(tmp_path / "p", list(tasks), gates=GATES, **more)
    return orch("run", plan, "--mode", mode, "--run", "r", "--jobs", "3", "--json", cwd=repo.path, env=env)


def authors(repo: Repo) -> dict[str, str]:
    """Return line → the subject of the commit that git blames for it."""
    lines = repo.git("blame", "--line-porcelain", "app.py", "main").splitlines()
    subjects = [line.removeprefix("summary ") for line in lines if line.startswith("summary ")]
    return dict(zip((line[1:] for line in lines if line.startswith("\t")), subjects, strict=True))


def test_three_write_one_file_and_each_is_blamed_for_what_it_wrote(repo: Repo, tmp_path: Path) -> None:
    said = run(repo, tmp_path, ALL)
    assert said.code == 0, said.out + said.err
    assert repo.show("app.py", "main") == LANDED
    blamed = authors(repo)
    assert blamed["def one():"] == blamed["    return 'ä1'"] == "A.one: One"
    assert (blamed["def two():"], blamed["def three():"]) == ("A.two: Two", "A.three: Three")
    assert blamed['last = "é漢😀"'] not in {"A.one: One", "A.two: Two", "A.three: Three"}
    ours = [json.loads(line) for line in orch("blame", "app.py", "--json", cwd=repo.path).out.splitlines()]
    assert {line["text"]: line["task"] for line in ours}["def two():"] == "A"
    board = orch("board", cwd=repo.path).out
    assert all(f"[x] A.{name}" in board for name in ("one", "two", "three"))


def test_every_mode_lands_the_same_text(repo: Repo, tmp_path: Path) -> None:
    marked = [stream(ONE, marker="one"), stream(TWO, marker="two"), stream(THREE)]
    for mode in ("sequential", "worktree"):
        other = make_repo(tmp_path / mode, **{"app.py": BASE})
        steps = [step for name, text in zip(("one", "two", "three"), marked, strict=True) for step in part(name, text)]
        said = run(other, tmp_path / f"{mode}-plan", task(*steps), mode=mode)
        assert said.code == 0, said.out + said.err
        assert other.show("app.py", "main") == LANDED, mode


def test_characters_have_authors_and_the_writing_can_be_played_again(repo: Repo, tmp_path: Path) -> None:
    assert run(repo, tmp_path, ALL).code == 0
    found = json.loads(orch("blame", "app.py", "--chars", "--json", cwd=repo.path).out)
    assert "".join(piece["text"] for piece in found["written"]) == LANDED
    by = {piece["part"]: piece["text"] for piece in found["written"] if piece["part"]}
    assert by == {"A.one": ONE, "A.two": TWO, "A.three": THREE}
    played = [
        json.loads(line) for line in orch("board", "--replay", "app.py", "--json", cwd=repo.path).out.splitlines()
    ]
    assert played[-1] == {"text": LANDED}
    assert {moment["author"] for moment in played[:-1]} == {
        "the plan",
        *(f"whole.gen-1.A.{name}" for name in ("one", "two", "three")),
    }
    (repo.path / "app.py").write_text("x = 1\n")
    repo.git("commit", "-qam", "by hand")
    changed = orch("blame", "app.py", "--chars", cwd=repo.path)
    assert (changed.code, "only its lines have authors" in changed.err) == (2, True)


def test_what_a_writer_that_failed_wrote_goes_and_another_takes_its_part(repo: Repo, tmp_path: Path) -> None:
    broken = part("two", {"when": {"generation": 1, "do": [stream("def two(:"), {"fail": "lost the thread"}]}})
    said = run(repo, tmp_path, task(*part("one", stream(ONE)), *broken, *part("three", stream(THREE)), attempts=1))
    assert said.code == 1
    (report,) = said.json["tasks"]
    assert "A.two: fail: lost the thread" in report["reason"]
    kept = repo.show("app.py", report["branch"])
    assert "def two(" not in kept, kept
    assert "# TODO:two The second" in kept
    assert repo.show("app.py", "main") == BASE
    (left,) = [item for item in orch("recover", "--json", cwd=repo.path).json["items"] if item["kind"] == "snapshot"]
    assert orch(*shlex.split(left["command"])[1:], cwd=repo.path).code == 0
    assert "def two(" in repo.show("app.py", left["command"].split()[-1])  # though no heartbeat came between


def test_todos_of_an_outline_are_found_and_written(repo: Repo, tmp_path: Path) -> None:
    outline = {
        "id": "O",
        "writes": ["new.py"],
        "agent": "writer",
        "attempts": 1,
        "steps": [{"stream": {"path": "new.py", "text": "x = 1\n"}}],
    }
    files = {"new.py": "# TODO:O what is to be written\n"}
    plan = write_plan(tmp_path / "p", [outline], agents={"writer": {"kind": "script"}}, crdt={"files": files})
    said = orch("run", plan, "--mode", "crdt", "--json", cwd=repo.path)
    assert said.code == 0, said.out + said.err
    assert repo.show("new.py", "main") == "x = 1\n\n"


def test_faults_are_told_and_the_gate_decides(repo: Repo, tmp_path: Path) -> None:
    twice = task(*part("one", stream(ONE)), *part("two", stream(ONE)), *part("three", stream(THREE)), attempts=1)
    said = run(repo, tmp_path, twice)
    assert said.code == 1
    assert "duplicate-declaration" in said.err
    assert "gate:runs failed" in said.err


def test_a_run_that_was_killed_writes_anew_and_lands_once(repo: Repo, tmp_path: Path) -> None:
    killed = run(repo, tmp_path, ALL, env={"ORCH_KILL_AT": "work-captured:1"})
    assert killed.code == -signal.SIGKILL, killed.out + killed.err
    said = orch("resume", "r", "--json", cwd=repo.path)
    assert said.code == 0, said.out + said.err
    assert repo.show("app.py", "main") == LANDED


@pytest.mark.parametrize(
    ("tasks", "agents", "words"),
    [
        (
            [{"id": "A", "writes": ["a.py"], "prompt": "x", "agent": "c"}],
            {"c": {"kind": "command", "command": "true"}},
            "cannot write into a shared file",
        ),
        ([{"id": "A", "writes": ["src/**"], "steps": []}], {}, "no file is named"),
        (
            [{"id": "A", "writes": ["a.py"], "steps": [stream("x")]}],
            {},
            "app.py is to be shared, and no task may write it",
        ),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(
    repo: Repo, tmp_path: Path, tasks: list[dict[str, Any]], agents: dict[str, Any], words: str
) -> None:
    plan = write_plan(tmp_path / "p", tasks, agents=agents)
    said = orch("run", plan, "--mode", "crdt", cwd=repo.path)
    assert (said.code, words in said.err) == (2, True), said.err


def test_what_was_being_written_when_it_was_killed_is_listed_and_brought_back(repo: Repo, tmp_path: Path) -> None:
    slow = task(*part("one", stream(ONE, rate=2)), *part("two", stream(TWO)), *part("three", stream(THREE)))
    plan = write_plan(tmp_path / "p", [slow])
    process = start_orch("run", plan, "--mode", "crdt", "--run", "r", "--heartbeat", "0.1", cwd=repo.path)
    home = Path(os.environ["HOME"]) / ".local/state/orch"
    while not any("def on" in place.read_text() for place in home.glob("*/r/whole.gen-1/app.py")):
        assert process.poll() is None, process.communicate()
    while "+def on" not in repo.git("log", "--all", "-p", "--format=", "--", "app.py"):
        assert process.poll() is None, process.communicate()
    process.kill()
    process.communicate(timeout=60)
    items = {item["kind"]: item for item in orch("recover", "--json", cwd=repo.path).json["items"]}
    assert set(items) == {"snapshot", "kept folder"}
    for item in items.values():
        assert orch(*shlex.split(item["command"])[1:], cwd=repo.path).code == 0
    assert "def on" in repo.show("app.py", items["snapshot"]["command"].split()[-1])
    assert "def on" in (repo.path / items["kept folder"]["command"].split()[-1] / "app.py").read_text()


def test_what_was_written_when_it_was_stopped_is_kept(repo: Repo, tmp_path: Path) -> None:
    slow = task(
        *part("one", {"report": "here"}, stream(ONE, rate=2)), *part("two", stream(TWO)), *part("three", stream(THREE))
    )
    process = start_orch(
        "run", write_plan(tmp_path / "p", [slow]), "--mode", "crdt", "--run", "r", "--jobs", "3", cwd=repo.path
    )
    wait_for_line(process.stdout, "says here")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    said = orch("resume", "r", "--json", cwd=repo.path)
    assert (said.code, repo.show("app.py", "main")) == (0, LANDED)
    assert repo.git("for-each-ref", "--format=%(refname:short)", "refs/heads/orch/r") != ""


def test_the_tasks_of_one_track_share_files_and_the_others_have_worktrees(repo: Repo, tmp_path: Path) -> None:
    tracks = {"hot": {"owns": ["app.py"], "mode": "crdt"}, "other": {"owns": ["other/**"]}}
    tasks: list[dict[str, Any]] = [
        {"id": "B", "track": "other", "steps": [{"write": {"path": "other/b", "text": "b"}}]},
        {"id": "one", "track": "hot", "needs": ["B"], "steps": [stream(ONE)]},
        {"id": "two", "track": "hot", "steps": [stream(TWO)]},
        {"id": "C", "track": "other", "needs": ["two", "B"], "steps": [{"run": "grep two app.py"}]},
    ]
    said = orch("run", write_plan(tmp_path / "p", tasks, tracks=tracks), "--json", cwd=repo.path)
    assert said.code == 0, said.out + said.err
    assert {task["id"]: task["status"] for task in said.json["tasks"]} == dict.fromkeys(("B", "hot", "C"), "landed")
    assert repo.show("app.py", "main") == LANDED.removesuffix(THREE)
    assert authors(repo)["def one():"] == "one: one"


def test_tracks_that_cannot_be_worked_together_are_refused(repo: Repo, tmp_path: Path) -> None:
    tracks = {"hot": {"owns": ["app.py"], "mode": "crdt"}}
    tasks: list[dict[str, Any]] = [
        {"id": "one", "track": "hot", "steps": [stream(ONE)]},
        {"id": "between", "writes": ["b"], "needs": ["one"], "steps": []},
        {"id": "two", "track": "hot", "needs": ["between"], "steps": [stream(TWO)]},
    ]
    said = orch("run", write_plan(tmp_path / "p", tasks, tracks=tracks), cwd=repo.path)
    assert (said.code, "would need each other by way of others" in said.err) == (2, True), said.err
