"""The merge train, from the command line: many at once, tested together, landed in order, nobody's work undone."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.test_interrupt import wait_for_line
from tests.support.orch import Said, orch, start_orch, write_plan
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.unconfined]


def write(path: str, text: str) -> dict[str, Any]:
    return {"write": {"path": path, "text": text}}


def task(name: str, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": name, "writes": [f"{name}*"], "steps": list(steps) or [write(name, f"{name}\n")], **more}


def events(repo: Repo, kind: str) -> list[dict[str, Any]]:
    said = orch("log", "--json", cwd=repo.path)
    return [event for line in said.out.splitlines() if (event := json.loads(line))["kind"] == kind]


def checks(said: Said, name: str, of: int = 0) -> list[dict[str, Any]]:
    return [check for check in said.json["tasks"][of]["checks"] if check["name"] == name]


def test_candidates_are_tested_side_by_side(tmp_path: Path) -> None:
    """Each gate waits until the other's runs, so they can only pass side by side."""
    repo = make_repo(tmp_path / "repo")
    (tmp_path / "seen").mkdir()
    both = f"test $(ls {tmp_path}/seen | wc -l) -ge 2"
    meet = f": > {tmp_path}/seen/$$; until {both}; do sleep 0.02; done"
    gate = f"test ! -e A || {{ {meet}; }}"
    plan = write_plan(
        tmp_path / "p",
        [task("A"), task("B", {"sleep": "0.3s"}, write("B", "b"))],
        gates=[{"name": "g", "run": gate, "timeout": "60s"}],
    )
    said = orch("run", plan, "--jobs", "2", cwd=repo.path)
    assert said.code == 0, said.out + said.err
    assert set(repo.files("main")) == {"A", "B", "README.txt"}
    assert repo.git("for-each-ref", "refs/orch") == ""


def test_the_train_lands_what_is_good_around_what_is_not(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    names = ["A", "B", "C", "D"]
    plan = write_plan(
        tmp_path / "p", [task(n, write(n, "bad\n" if n == "B" else "good\n"), attempts=1) for n in names],
        gates=[{"name": "g", "run": "! grep -q bad A B C D 2>/dev/null"}], merge={"window": 4},
    )  # fmt: skip
    said = orch("run", plan, "--json", "--jobs", "4", cwd=repo.path)
    assert said.code == 1, said.err
    assert [t["status"] for t in said.json["tasks"]] == ["landed", "failed", "landed", "landed"]
    assert set(repo.files("main")) == {"A", "C", "D", "README.txt"}
    for commit in repo.git("rev-list", "--first-parent", "main").split()[:-1]:
        assert "bad" not in repo.git("grep", "-h", "-e", ".", commit)


def test_a_squashed_run_has_one_commit_a_task_and_blame_knows_it(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    plan = write_plan(tmp_path / "p", [task("A"), task("B", needs=["A"])], merge={"strategy": "squash"})
    assert orch("run", plan, cwd=repo.path).code == 0
    assert repo.git("rev-list", "--count", "main").strip() == "3"
    assert repo.git("log", "--merges", "main") == ""
    assert orch("blame", "B", "--json", cwd=repo.path).json["task"] == "B"
    commit = repo.git("blame", "--porcelain", "main", "--", "A").split()[0]
    assert "Provenance-Task: A" in repo.git("log", "-1", "--format=%B", commit)


@pytest.mark.parametrize(("baseline", "code"), [("no-new-failures", 0), ("must-pass", 1)])
def test_failures_that_were_there_before_are_judged_by_the_policy(tmp_path: Path, baseline: str, code: int) -> None:
    junit = """import sys, os, pathlib
found = {n: pathlib.Path(n).exists() for n in ("old", "A")}
fail = '<failure message="x"/>'
shown = {n: ok for n, ok in found.items() if n == "old" or ok}
cases = "".join(f'<testcase classname="t" name="{n}">{"" if ok else fail}</testcase>' for n, ok in shown.items())
pathlib.Path(os.environ["ORCH_JUNIT"]).write_text(f"<testsuite>{cases}</testsuite>")
sys.exit(1)
"""
    repo = make_repo(tmp_path / "repo", **{"run.py": junit})
    gate = {"name": "g", "run": "python3 run.py", "baseline": baseline}
    plan = write_plan(tmp_path / "p", [task("A", attempts=1)], gates=[gate])
    said = orch("run", plan, "--json", cwd=repo.path)
    assert said.code == code, said.out + said.err
    if code == 0:
        (check,) = checks(said, "gate:g")
        assert [v["kind"] for v in check["violations"]] == ["gate-baseline"]
    assert "The gate g fails on the base already" in orch("log", cwd=repo.path).out


def test_a_flaky_gate_is_run_again_and_recorded(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    flaky = f"test ! -e A || {{ mkdir {tmp_path}/once 2>/dev/null && exit 1; true; }}"
    plan = write_plan(tmp_path / "p", [task("A")], gates=[{"name": "g", "run": flaky}])
    said = orch("run", plan, "--json", cwd=repo.path)
    assert said.code == 0, said.out + said.err
    (check,) = checks(said, "gate:g")
    assert (check["passed"], [v["kind"] for v in check["violations"]]) == (True, ["gate-flaky"])


def test_a_gate_that_passed_on_a_tree_is_not_run_on_it_again_after_a_crash(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    gate = {"name": "g", "run": f"test ! -e A || echo run >> {tmp_path}/runs"}
    plan = write_plan(tmp_path / "p", [task("A")], gates=[gate])
    killed = orch("run", plan, "--run", "r", cwd=repo.path, env={"ORCH_KILL_AT": "checkout-move:1"})
    assert killed.code == -signal.SIGKILL
    said = orch("resume", "r", "--json", cwd=repo.path)
    assert said.code == 0, said.err
    assert (tmp_path / "runs").read_text().count("run") == 1
    assert checks(said, "gate:g")[0]["cached"] is True


def test_a_conflict_tells_the_next_generation_what_it_needs(tmp_path: Path) -> None:
    """A starts first and is slow; B lands a change of the same line meanwhile; A's next generation gets both differences."""
    repo = make_repo(tmp_path / "repo", **{"shared.txt": "one\ntwo\nthree\n"})
    hold = f"until test $(git -C {repo.path} rev-list --count main) -gt 1; do sleep 0.02; done"
    first = [{"run": "sed -i s/two/TWO/ shared.txt"}, {"run": hold}]
    again = {"run": "cp $ORCH_PROMPT A.prompt; sed -i 's/zwei/TWO and zwei/' shared.txt"}
    tasks = [
        {"id": "A", "title": "Shout", "prompt": "Make it loud.", "writes": ["shared.txt", "A.prompt"],
         "steps": [{"when": {"generation": 1, "do": first}}, {"when": {"generation": 2, "do": [again]}}]},
        task("B"),
    ]  # fmt: skip
    plan = write_plan(tmp_path / "p", tasks)
    process = start_orch("run", plan, "--run", "r", "--jobs", "2", cwd=repo.path)
    wait_for_line(process.stdout, "A: default (script@1) starts")
    repo.git("checkout", "-q", "--detach")
    repo.write("shared.txt", "one\nzwei\nthree\n")
    repo.git("commit", "-qam", "German by hand")
    hand = repo.head()
    while True:  # the run may move the branch in between
        tip = repo.head("main")
        repo.git("checkout", "-q", "--detach", tip)
        repo.git("cherry-pick", hand)
        try:
            repo.git("update-ref", "refs/heads/main", repo.head(), tip)
            break
        except AssertionError:
            continue
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, out + err
    told = repo.show("A.prompt", "main")
    assert "does not merge with what has landed since, at: shared.txt" in told
    assert "-two\n+TWO" in told
    assert "-two\n+zwei" in told
    assert "German by hand landed meanwhile" in told
    assert repo.show("shared.txt", "main") == "one\nTWO and zwei\nthree\n"


def test_agents_whose_unfinished_work_would_not_merge_are_told_while_they_write(tmp_path: Path) -> None:
    """Two submitted generations cannot overlap by plan, but work in progress may: an agent that leaves its scope."""
    repo = make_repo(tmp_path / "repo", **{"shared.txt": "one\n"})
    hold = f"until test -e {tmp_path}/go; do sleep 0.02; done"
    tasks = [task(n, {"run": f"echo {n} > shared.txt; {hold}"}, attempts=1) for n in ("A", "B")]
    plan = write_plan(tmp_path / "p", tasks)
    process = start_orch("run", plan, "--run", "r", "--jobs", "2", "--heartbeat", "0.1", cwd=repo.path)
    wait_for_line(process.stdout, "does not merge with what")
    (tmp_path / "go").touch()
    process.communicate(timeout=60)
    (seen,) = events(repo, "overlap-seen")
    assert ({seen["task"], seen["other"]}, seen["paths"]) == ({"A", "B"}, ["shared.txt"])
    board = orch("board", "r", "--json", cwd=repo.path)
    assert "overlap" in board.out
    report = json.loads((repo.path / ".git/orch/r/report.json").read_text())
    assert report["conflicts"]["detected_early"] >= 1


def test_an_interrupt_during_gates_keeps_the_work_submitted_and_a_resume_lands_it(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    gate = {"name": "g", "run": f"test ! -e A || test -e {tmp_path}/go || {{ : > {tmp_path}/in; sleep 60; }}"}
    plan = write_plan(tmp_path / "p", [task("A"), task("B")], gates=[gate])
    process = start_orch("run", plan, "--run", "r", cwd=repo.path)
    while not (tmp_path / "in").exists():
        assert process.poll() is None
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    (tmp_path / "go").touch()
    said = orch("resume", "r", "--json", cwd=repo.path)
    assert said.code == 0, said.err
    assert [t["generation"] for t in said.json["tasks"]] == [1, 1]


def test_much_that_has_waited_is_written_and_landed_at_once(tmp_path: Path) -> None:
    """A run is killed while the first move of the base branch is kept up; the next one finds all the rest submitted."""
    repo = make_repo(tmp_path / "repo", d__old_txt="old\n")
    names = [f"t{number:02}" for number in range(12)]
    wait = {"run": f"until test -e {tmp_path}/go; do sleep 0.02; done"}
    tasks = [
        {
            "id": name,
            "writes": [f"d/{name}", f"{name}/**"],
            "steps": [{"report": "up"}, wait, write(f"d/{name}", name), write(f"{name}/x", "")],
        }
        for name in names
    ]
    run = start_orch("run", write_plan(tmp_path / "p", tasks), "--run", "r", "--jobs", "12", cwd=repo.path)
    for _ in names:
        wait_for_line(run.stdout, "up")
    follow = start_orch("log", "r", "--follow", "--json", cwd=repo.path)
    try:
        with (repo.path / ".git/orch/landing.lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            (tmp_path / "go").touch()
            for _ in names:
                wait_for_line(follow.stdout, '"submitted"')
            os.killpg(run.pid, signal.SIGKILL)
    finally:
        for process in (run, follow):
            process.kill()
            process.communicate()
    said = orch("resume", "r", cwd=repo.path)
    assert said.code == 0, said.out + said.err
    for name in names:
        assert (repo.show(f"d/{name}", "main"), repo.show(f"{name}/x", "main")) == (name, "")
    assert len(repo.git("rev-list", "--first-parent", "--min-parents=2", "main").split()) == len(names)
    assert list((repo.path / ".git/objects/pack").glob("*.pack")), "many merges are one pack"
    assert repo.git("fsck", "--strict", "--no-dangling") == ""
    assert repo.status() == ""
