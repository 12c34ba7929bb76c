"""Crash-only: a run is killed at every instant that matters, taken up again, and ends as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from orchestrator.effects import POINTS
from orchestrator.journal.journal import read_journal
from orchestrator.model import events as happened
from orchestrator.worktrees.mounts import why_no_overlay
from tests.e2e.test_interrupt import wait_for_line
from tests.support.crash import ALL_SHARED, SHARED, SHORT, finish, go, has_landed, make_story, violations
from tests.support.orch import orch, start_orch, write_plan
from tests.support.processes import alive
from tests.support.repos import make_repo

pytestmark = [pytest.mark.e2e, pytest.mark.unconfined]

OVERLAY = ["template-written", "layer-mounted", "layer-unmounted", "layer-trashed"]
"""Points that a run passes only in a repository of more files, or where overlays are asked for."""
OF_SHARED_FILES = ["shared-mirror", "shared-mirrored", "authors-noted"]
"""Points that a run passes only where files are shared."""
FIRST = [f"{point}:1" for point in POINTS if point not in {*OVERLAY, *OF_SHARED_FILES}]
LANDING = [
    f"{point}:2" for point in ("base-move", "base-moved", "checkout-move", "checkout-moved")
]  # 1 is the contracts


@pytest.mark.parametrize("kill", [*FIRST, *LANDING])
def test_a_run_killed_at_any_point_is_resumed_to_the_same_end(tmp_path: Path, kill: str) -> None:
    story = make_story(tmp_path)
    first = go(story, kill_at=kill)
    assert first.code == -signal.SIGKILL, first.out + first.err
    if not has_landed(story) and (kill in LANDING or FIRST.index(kill) % 6 == 0):  # one of six: each takes seconds
        again = go(story, kill_at=kill)  # the same instant once more, if the rest of the run comes to it
        assert again.code in (-signal.SIGKILL, 0), again.out + again.err
    finish(story)
    assert violations(story) == []


@pytest.mark.parametrize("point", [*OVERLAY, "worktree-removed"])
def test_so_is_one_whose_worktrees_are_overlays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    if why := why_no_overlay(tmp_path):
        pytest.skip(why)
    monkeypatch.setenv("ORCH_WORKTREES", "overlay")
    story = make_story(tmp_path)
    first = go(story, kill_at=f"{point}:1")
    assert first.code == -signal.SIGKILL, first.out + first.err
    finish(story)
    assert violations(story) == []


MODES = {"worktree": SHARED, "crdt": ALL_SHARED, "sequential": SHORT}
"""For each mode, the story of its runs; the one of mode worktree has tracks in mode crdt."""


@pytest.mark.parametrize(
    ("mode", "kill"),
    [
        *(("worktree", f"{point}:1") for point in OF_SHARED_FILES),
        ("crdt", "base-moved:2"), ("sequential", "work-kept:2"),
    ],
)  # fmt: skip
def test_so_is_one_of_any_mode_and_one_whose_tracks_share_files(tmp_path: Path, mode: str, kill: str) -> None:
    story = make_story(tmp_path, MODES[mode], mode=mode)
    first = go(story, kill_at=kill)
    assert first.code == -signal.SIGKILL, first.out + first.err
    finish(story)
    assert violations(story) == []


@pytest.mark.parametrize("mode", ["crdt", "sequential"])
def test_so_is_one_of_any_mode_that_is_killed_at_any_time(tmp_path: Path, mode: str) -> None:
    story = make_story(tmp_path, MODES[mode], mode=mode)
    assert go(story, kill_after=random.Random(mode).uniform(0.8, 1.4)).code in (-signal.SIGKILL, 0)
    finish(story)
    assert violations(story) == []


@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(n, marks=pytest.mark.soak) for n in range(3, 20))])
def test_a_run_killed_again_and_again_at_any_time_ends_as_if_undisturbed(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    story = make_story(tmp_path)
    most = 1.0
    while not has_landed(story):
        said = go(story, kill_after=chance.uniform(0.2, most))
        assert said.code in (-signal.SIGKILL, 0), said.out + said.err
        most *= 1.5  # so that it comes to an end on any machine
    assert violations(story) == []


def test_the_story_is_as_eventful_as_it_should_be_and_ends_well_undisturbed(tmp_path: Path) -> None:
    story = make_story(tmp_path)
    finish(story)
    assert violations(story) == []
    events = [event for _, event in read_journal(story.runs()[0] / "journal")]
    kinds = Counter(event.kind for event in events)
    assert kinds["landed"] == len(story.tasks)
    assert list(story.held.iterdir()) == []
    snapshots = [e for e in events if isinstance(e, happened.SnapshotTaken) and e.task == "t2"]
    assert "t2.d/half" in story.repo.files(snapshots[0].commit)
    assert {e.text for e in events if isinstance(e, happened.Reported)} == {"one"}
    failed = {e.result.name for e in events if isinstance(e, happened.Checked) and not e.result.passed}
    assert {"boundary", "merge", "gate:refuses"} <= failed
    assert story.agent_commits.read_text().strip() in story.repo.git("for-each-ref", "refs/orch")


def test_what_is_wrong_after_a_run_is_found(tmp_path: Path) -> None:
    story = make_story(tmp_path)
    finish(story)
    folder = story.runs()[0]
    git = story.repo.git
    left = subprocess.Popen(["sleep", "100"], env={"ORCH_RUN_FOLDER": str(folder)}, start_new_session=True)
    git("branch", "-D", "orch/r0/t0/gen-1")
    git("update-ref", "refs/orch/r0/candidate", "main")
    git("worktree", "add", "--detach", tmp_path / "home/.local/state/orch/more/t0.gen-1")
    landed = git("log", "-1", "--format=%B", "main")
    git("commit", "--allow-empty", "--message", landed)
    for place in (story.git_dir / "refs/heads/x.lock", folder / "prompts/.new-1", folder / "git-1/config"):
        place.parent.mkdir(exist_ok=True)
        place.touch()
    story.repo.write("README.txt", "changed\n")
    (folder / "report.json").write_text('{"status": "partial"}')
    (story.held / "t2-r0-1").write_text("0" * 40)
    blob = git("rev-parse", "main:t1.txt")
    (story.git_dir / "objects" / blob[:2] / blob[2:]).unlink()
    said = "\n".join(violations(story))
    left.kill()
    left.wait()
    for sentence in (
        "which the journal calls kept, is lost", "the file that t2-r0-1 had", "refs/orch/r0/candidate is left over",
        "more/t0.gen-1 is left over", "worktrees/t0.gen-1 is left over", "x.lock is left over", ".new-1 is left over",
        "git-1 is left over", f"the process {left.pid} is left over: sleep 100", "has landed 2 times", " M README.txt",
        f"missing blob {blob}", "the report says partial", "orch doctor says",
    ):  # fmt: skip
        assert sentence in said


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


def test_what_an_agent_had_changed_in_gits_configuration_is_put_back_by_a_resume(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    config = repo.path / ".git/config"
    before = config.read_bytes()
    agent = f"test -e {tmp_path}/go || {{ git -C {repo.path} config core.pager evil; touch {tmp_path}/go; sleep 100; }}"
    plan = write_plan(tmp_path / "p", [{"id": "A", "writes": ["A"], "steps": [{"run": agent}]}])
    process = start_orch("run", plan, "--run", "r", cwd=repo.path)
    while not (tmp_path / "go").exists():
        assert process.poll() is None
    process.kill()
    process.communicate(timeout=60)
    assert b"evil" in config.read_bytes()
    said = orch("resume", cwd=repo.path)
    before_it, begins, _ = said.out.partition("A: default (script@1) starts, generation 2")
    assert (said.code, bool(begins)) == (0, True), said.out
    assert "config was changed while an agent worked, and was put back" in before_it
    assert config.read_bytes() == before
    folder = repo.path / ".git/orch/r"
    assert [b"evil" in kept.read_bytes() for kept in (folder / "set-aside").iterdir()] == [True]
    assert not (folder / "repository-before.json").exists()


def test_a_run_that_somebody_works_on_is_not_taken_over(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    plan = write_plan(tmp_path / "p", [{"id": "A", "writes": ["A"], "steps": [{"report": "up"}, {"sleep": "60s"}]}])
    process = start_orch("run", plan, "--run", "r", cwd=repo.path)
    wait_for_line(process.stdout, "A: says up")
    for command in (["resume", "r"], ["resume"]):
        said = orch(*command, cwd=repo.path)
        assert (said.code, f"The run r is being worked on by another process (pid {process.pid})" in said.err) == (
            2,
            True,
        )
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130


@pytest.mark.parametrize("kill", ["plan-pin:1", "journal-append:1"])
def test_a_run_that_was_killed_before_it_began_is_begun_anew_under_its_name(tmp_path: Path, kill: str) -> None:
    repo = make_repo(tmp_path / "repo")
    plan = write_plan(tmp_path / "p", [{"id": "A", "writes": ["A"], "steps": [{"write": {"path": "A", "text": "a"}}]}])
    assert orch("run", plan, "--run", "r", cwd=repo.path, env={"ORCH_KILL_AT": kill}).code == -signal.SIGKILL
    told, said = orch("status", "r", cwd=repo.path), orch("resume", "r", cwd=repo.path)
    assert "It has not begun. Start it again: orch run --run r PLAN" in told.out, told.out
    assert (said.code, "The run r ended before it began." in said.err) == (2, True), said.err
    assert orch("run", plan, "--run", "r", cwd=repo.path).code == 0
    again = orch("run", plan, "--run", "r", cwd=repo.path)
    assert (again.code, "There is a run r already." in again.err) == (2, True), again.err
    assert repo.git("log", "--format=%s", "--first-parent", "main").splitlines()[0] == "Land A: A"


def test_a_record_of_a_worktree_that_was_half_deleted_goes_though_nothing_else_is_left_to_do(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    plan = write_plan(tmp_path / "p", [{"id": "A", "writes": ["A"], "steps": [{"write": {"path": "A", "text": "a"}}]}])
    killed = orch("run", plan, "--run", "r", cwd=repo.path, env={"ORCH_KILL_AT": "worktree-forget:1"})
    assert (killed.code, len(list((repo.path / ".git/orch").glob(".worktree-*")))) == (-signal.SIGKILL, 1)
    said = orch("resume", "r", cwd=repo.path)
    assert (said.code, list((repo.path / ".git/orch").glob(".worktree-*"))) == (0, []), said.out + said.err


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
        why = "was interrupted" if number == signal.SIGINT else "has not ended"
        offered = orch("run", plan, cwd=repo.path)
        assert (offered.code, "orch resume r" in offered.err) == (2, True)
        assert f"The run r of this plan {why}." in offered.err
    (tmp_path / "go").touch()
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
