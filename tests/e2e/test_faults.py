"""Faults in the middle of a run: others tidy up or delete things, agents flood or hang, the clock jumps, a terminal closes."""

from __future__ import annotations

import json
import os
import pty
import shlex
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tests.e2e.test_interrupt import wait_for_line
from tests.support.orch import ORCH, orch, start_orch, write_plan
from tests.support.processes import alive
from tests.support.repos import Repo, make_repo
from tests.support.stories import assert_tidy, report_of, task, write

pytestmark = [pytest.mark.e2e, pytest.mark.unconfined]


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo")


def worktrees() -> list[Path]:
    return sorted(Path(os.environ["HOME"]).glob(".local/state/orch/*/r/*"))


def statuses(repo: Repo) -> list[str]:
    return [f"{t['id']} {t['status']} {t['generation']}" for t in report_of(repo)["tasks"]]


# Others are at work in the repository.


@pytest.mark.parametrize("tidy", ["gc --prune=now --quiet", "pack-refs --all --prune"])
def test_somebody_who_tidies_up_all_the_time_takes_nothing_away(repo: Repo, tmp_path: Path, tidy: str) -> None:
    own = "git add -A && git -c user.name=agent -c user.email=a@b commit -qm own || true"
    steps = [{"run": f"echo $ORCH_TASK > $ORCH_TASK.txt; {own}; date > $ORCH_TASK.log; {own}"}]
    tasks = [task(name, *steps, writes=[f"{name}.*"]) for name in "ABC"]
    tasks += [task("D", *steps, writes=["D.*"], needs=["A"]), task("E", *steps, writes=["E.*"], needs=["D"])]
    plan = write_plan(tmp_path / "p", tasks, gates=[{"name": "g", "run": "git fsck --connectivity-only --no-dangling"}])
    over, tidied = threading.Event(), 0

    def loop() -> None:
        nonlocal tidied
        while not over.is_set():
            done = subprocess.run(["git", *tidy.split()], cwd=repo.path, capture_output=True, check=False)
            tidied += done.returncode == 0

    tidier = threading.Thread(target=loop)
    tidier.start()
    try:
        said = orch("run", plan, "--run", "r", "--heartbeat", "0.1", "--jobs", "3", cwd=repo.path)
    finally:
        over.set()
        tidier.join()
    assert said.code == 0, said.out + said.err
    assert tidied > 2
    assert statuses(repo) == [f"{name} landed 1" for name in "ABCDE"]
    assert_tidy(repo)


ONCE = """#!/bin/sh
case "$*:$GIT_WORK_TREE" in "read-tree -m -u "*:{repo}) if mkdir {place}/once 2>/dev/null; then {deed}; fi;; esac
exec {git} "$@"
"""
LOCK, KILL = "cd $GIT_WORK_TREE; : > $GIT_DIR/index.lock", "kill -9 $$"


def with_a_git_that_once(deed: str, repo: Repo, place: Path) -> dict[str, str]:
    """Return the environment in which the first git that moves the checkout does this before; GIT stands for git itself."""
    (place / "bin").mkdir()
    wrapper, git = place / "bin/git", str(shutil.which("git"))
    wrapper.write_text(ONCE.format(repo=repo.path, place=place, deed=deed.replace("GIT ", f"{git} "), git=git))
    wrapper.chmod(0o755)
    return {"PATH": f"{wrapper.parent}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    "deed",
    [f"{LOCK}; printf te > A.txt; rm README.txt; {KILL}", f"{LOCK}; {KILL}", f'GIT "$@"; {KILL}'],
    ids=["half", "not", "whole"],
)
def test_a_git_that_is_killed_while_it_moves_the_checkout_costs_nothing(repo: Repo, tmp_path: Path, deed: str) -> None:
    plan = write_plan(tmp_path / "p", [task("A", write("A.txt"), write("README.txt"), writes=["*.txt"], attempts=1)])
    said = orch("run", plan, "--run", "r", cwd=repo.path, env=with_a_git_that_once(deed, repo, tmp_path))
    assert said.code == 0, said.out + said.err
    assert ((tmp_path / "once").is_dir(), statuses(repo)) == (True, ["A landed 1"])
    assert [(repo.path / name).read_text() for name in ("A.txt", "README.txt")] == ["text\n", "text\n"]
    assert_tidy(repo)


def test_the_lock_of_a_git_that_was_killed_with_orch_does_not_keep_a_resume_from_landing(
    repo: Repo, tmp_path: Path
) -> None:
    half = f"{LOCK}; printf te > A.txt; rm README.txt; kill -9 $PPID; {KILL}"
    plan = write_plan(tmp_path / "p", [task("A", write("A.txt"), write("README.txt"), writes=["*.txt"], attempts=1)])
    said = orch("run", plan, "--run", "r", cwd=repo.path, env=with_a_git_that_once(half, repo, tmp_path))
    assert (said.code, repo.status()) == (-signal.SIGKILL, " D README.txt\n?? A.txt"), said.out + said.err
    said = orch("resume", cwd=repo.path)
    assert said.code == 0, said.out + said.err
    assert (statuses(repo), (repo.path / "README.txt").read_text()) == (["A landed 1"], "text\n")
    assert_tidy(repo)


def test_a_base_that_somebody_moves_in_the_moment_of_landing_costs_no_attempt(repo: Repo, tmp_path: Path) -> None:
    person = "GIT -c user.name=p -c user.email=p commit -q --allow-empty -m person"
    plan = write_plan(tmp_path / "p", [task("A", attempts=1)])
    said = orch("run", plan, "--run", "r", cwd=repo.path, env=with_a_git_that_once(person, repo, tmp_path))
    assert said.code == 0, said.out + said.err
    assert statuses(repo) == ["A landed 1"]
    assert repo.git("log", "--first-parent", "--format=%s").splitlines() == ["Land A: A", "person", "start"]
    assert_tidy(repo)


def test_a_branch_that_is_deleted_while_its_work_waits_to_land_is_not_missed(repo: Repo, tmp_path: Path) -> None:
    delete = f"for task in A B; do git -C {repo.path} update-ref -d refs/heads/orch/r/$task/gen-1; done"
    plan = write_plan(
        tmp_path / "p", [task("A"), task("B"), task("C", needs=["A", "B"])], gates=[{"name": "g", "run": delete}]
    )
    said = orch("run", plan, "--run", "r", cwd=repo.path)
    assert (said.code, statuses(repo)) == (0, ["A landed 1", "B landed 1", "C landed 1"]), said.out
    assert_tidy(repo)


def test_work_whose_objects_are_gone_is_done_again(repo: Repo, tmp_path: Path) -> None:
    other = f"""test -e A.txt || exit 0; test -e {tmp_path}/once && exit 0; touch {tmp_path}/once; cd {repo.path}
    until test $(git for-each-ref refs/heads/orch | wc -l) = 2; do sleep 0.02; done
    for task in A B; do git update-ref -d refs/heads/orch/r/$task/gen-1; done
    git worktree prune; git reflog expire --expire=now --all; until git gc --prune=now --quiet; do sleep 0.02; done"""
    plan = write_plan(tmp_path / "p", [task("A"), task("B")], gates=[{"name": "g", "run": other}], merge={"window": 1})
    said = orch("run", plan, "--run", "r", "--jobs", "1", cwd=repo.path)
    assert said.code == 0, said.out + said.err
    assert statuses(repo) == ["A landed 1", "B landed 2"], said.out
    assert_tidy(repo)


def test_a_run_whose_base_branch_is_deleted_goes_on_once_it_is_back(repo: Repo, tmp_path: Path) -> None:
    repo.git("branch", "base")
    delete = (
        f"test -e {tmp_path}/go || test ! -e B.txt -a ! -e C.txt || git -C {repo.path} update-ref -d refs/heads/base"
    )
    gates = [{"name": "g", "run": delete}]
    plan = write_plan(
        tmp_path / "p", [task("A"), task("B", needs=["A"]), task("C", needs=["A"])], gates=gates, base="base"
    )
    said = orch("run", plan, "--run", "r", cwd=repo.path)
    assert (said.code, "The run was stopped: the branch base is gone." in said.out) == (1, True), said.out + said.err
    assert statuses(repo)[0] == "A landed 1"
    assert {t["status"] for t in report_of(repo)["tasks"][1:]} == {"cancelled"}
    (tmp_path / "go").touch()
    gone = orch("resume", "r", cwd=repo.path)
    assert (gone.code, "There is no branch base" in gone.err) == (2, True)
    repo.git(*gone.err.partition("Create it: git ")[2].split())
    assert orch("resume", "r", cwd=repo.path).code == 0
    assert repo.files("base") == ["A.txt", "B.txt", "C.txt", "README.txt"]
    assert statuses(repo)[1] == "B landed 1"  # its work was done, and is not done again
    assert_tidy(repo)


@pytest.mark.parametrize("where", ["agent", "gate"])
def test_a_run_whose_folder_is_deleted_lands_nothing_more(repo: Repo, tmp_path: Path, where: str) -> None:
    folder = repo.path / ".git/orch/r"
    gate = f"test ! -e B.txt || rm -rf {folder}" if where == "gate" else "true"
    steps = [write("B.txt"), {"run": f"rm -rf {folder}" if where == "agent" else "true"}]
    tasks = [task("A"), task("B", *steps, needs=["A"]), task("C", needs=["B"])]
    plan = write_plan(tmp_path / "p", tasks, gates=[{"name": "g", "run": gate}])
    said = orch("run", plan, "--run", "r", cwd=repo.path)
    assert (said.code, said.err.count("\n")) == (1, 2), said.err
    assert f"The folder {folder} of this run was deleted; nothing more was landed." in said.err
    assert "Traceback" not in said.out
    assert (repo.files("main"), repo.status()) == (["A.txt", "README.txt"], "")
    repo.git("fsck", "--strict")
    again = orch("run", plan, "--run", "r", cwd=repo.path)
    assert (again.code, "An earlier run r has left" in again.err) == (2, True)  # its branches are not moved
    assert orch("run", write_plan(tmp_path / "q", tasks), "--run", "s", cwd=repo.path).code == 0


def test_no_agent_begins_whose_beginning_is_not_on_the_disk(repo: Repo, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    steps = [{"run": f"echo once >> {begun}; rm {repo.path / '.git/orch/r/journal'}; false"}]
    plan = write_plan(tmp_path / "p", [{"id": "A", "writes": ["a"], "attempts": 3, "steps": steps}])
    said = orch("run", plan, "--run", "r", cwd=repo.path)
    assert (said.code, begun.read_text()) == (1, "once\n"), said.out + said.err
    assert "journal was deleted." in said.err
    assert "Traceback" not in said.out + said.err


# Agents and gates that know no measure.


def test_floods_of_output_are_cut_off_and_cost_no_memory(repo: Repo, tmp_path: Path) -> None:
    flood = "yes a line that nobody will ever read | head -c 300M"
    plan = write_plan(tmp_path / "p", [task("A", {"run": flood}, write("A.txt"))], gates=[{"name": "g", "run": flood}])
    process = start_orch("run", plan, "--run", "r", cwd=repo.path)
    wait_for_line(process.stdout, "A: landed as")
    status = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert int(status["VmHWM"].split()[0]) < 150 * 1024  # KiB; a run that is silent takes about 50
    sizes = [place.stat().st_size for place in (repo.path / ".git/orch/r").rglob("*") if place.is_file()]
    assert max(sizes) < 40 * 1024 * 1024


def test_agents_and_gates_that_hang_and_ignore_signals_are_ended(repo: Repo, tmp_path: Path) -> None:
    hang = f"trap '' HUP INT TERM; echo $$ >> {tmp_path}/pids; while :; do sleep 1; done"
    tasks = [
        task("A", {"run": hang}, attempts=1, limits={"wall": "300ms"}),
        task("B", {"run": hang}, attempts=1, limits={"stall": "300ms"}),
        task("C", attempts=1),
    ]
    gates = [{"name": "g", "run": hang, "timeout": "300ms"}]
    said = orch("run", write_plan(tmp_path / "p", tasks, gates=gates), "--run", "r", "--jobs", "3", cwd=repo.path)
    assert said.code == 1
    why = {t["id"]: t["reason"] for t in report_of(repo)["tasks"]}
    assert "the time limit of 0.3 s is used up" in why["A"]
    assert "it printed nothing for 0.3 s" in why["B"]
    assert "did not end within 0.3 s" in why["C"]
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) >= 3
    assert not any(alive(pid) for pid in pids)


# The clock.

JUMPING = """
import os, time
real = time.time
def jumping():
    try:
        with open(os.environ["JUMP"]) as file:
            return real() + float(file.read() or 0)
    except OSError:
        return real()
time.time = jumping
"""


def test_a_wall_clock_that_jumps_by_hours_changes_nothing_but_the_times_in_the_log(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(JUMPING)
    site = os.pathsep.join(filter(None, (f"{tmp_path}/site", os.environ.get("PYTHONPATH"))))
    env = {"PYTHONPATH": site, "JUMP": f"{tmp_path}/jump"}
    jump = {hours: {"run": f"echo {hours * 3600} > {tmp_path}/jump"} for hours in (5, -5)}
    jumps = [
        jump[5],
        {"report": "it is late"},
        {"sleep": "150ms"},
        jump[-5],
        {"report": "it is early"},
        {"sleep": "150ms"},
    ]
    limits = {"wall": "60s", "stall": "60s"}
    tasks = [
        task("A", *jumps, write("A.txt"), attempts=1, limits=limits, todos=[{"id": "t"}]),
        task("B", {"claim": "t"}, *jumps, {"done": "t"}, write("B.txt"), attempts=1, todos=[{"id": "t"}], needs=["A"]),
    ]
    plan = write_plan(
        tmp_path / "p", tasks, gates=[{"name": "g", "run": "true", "timeout": "60s"}], limits={"wall": "60s"}
    )
    said = orch("run", plan, "--run", "r", "--heartbeat", "0.1", cwd=repo.path, env=env)
    assert said.code == 0, said.out + said.err
    assert statuses(repo) == ["A landed 1", "B landed 1"]
    report = report_of(repo)
    seconds = [*report["timings"].values(), *(t["seconds"] for t in report["tasks"])]
    assert all(0 <= number < 60 for number in seconds), seconds
    told = orch("log", "r", "--follow", "--json", cwd=repo.path)
    times = [json.loads(line)["at"] for line in told.out.splitlines()]
    assert max(times) - min(times) > 9 * 3600
    assert times != sorted(times)
    assert len(orch("log", "r", cwd=repo.path).out.splitlines()) > 10
    assert "landed" in orch("board", "r", cwd=repo.path).out or orch("board", "r", cwd=repo.path).code == 0
    assert_tidy(repo)


# Signals and terminals.


def test_a_terminal_that_closes_stops_the_run_politely(repo: Repo, tmp_path: Path) -> None:
    tidy = f"trap 'sleep 0.3; echo tidy > A.txt; exit 0' INT; touch {tmp_path}/up; while :; do sleep 0.05; done"
    agent = {"run": f"test -e {tmp_path}/go || {{ {tidy}; }}"}
    tasks = [task("A", write("A.txt", "half\n"), agent), task("B", needs=["A"])]
    plan = write_plan(tmp_path / "p", tasks)
    master, slave = pty.openpty()
    with (tmp_path / "stderr").open("wb") as err:
        process = subprocess.Popen(
            ["setsid", "--ctty", *map(str, (*ORCH, "run", plan, "--run", "r"))],
            cwd=repo.path, env={**os.environ, "TERM": "xterm"}, stdin=slave, stdout=slave, stderr=err,
        )  # fmt: skip
    os.close(slave)
    while not (tmp_path / "up").exists():
        os.read(master, 65536)  # what is shown there changes all the time
    os.close(master)
    process.send_signal(signal.SIGHUP)  # the shell in a closing terminal sends one of its own
    assert process.wait(60) == 130
    assert (tmp_path / "stderr").read_bytes() == b""
    assert [t["status"] for t in report_of(repo)["tasks"]] == ["cancelled", "cancelled"]
    assert repo.show("A.txt", "orch/r/A/gen-1") == "tidy\n"
    assert worktrees() == []
    (tmp_path / "go").touch()
    assert orch("resume", cwd=repo.path).code == 0
    assert_tidy(repo)


def test_a_run_under_nohup_outlives_its_terminal(repo: Repo, tmp_path: Path) -> None:
    tasks = [task("A", {"report": "up"}, {"run": f"until test -e {tmp_path}/go; do sleep 0.02; done"}, write("A.txt"))]
    plan = write_plan(tmp_path / "p", tasks)
    command = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *ORCH, "run", str(plan)]
    process = subprocess.Popen(command, cwd=repo.path, stdout=subprocess.PIPE)
    wait_for_line(process.stdout, "A: says up")
    process.send_signal(signal.SIGHUP)
    (tmp_path / "go").touch()
    process.communicate(timeout=60)
    assert (process.returncode, statuses(repo)) == (0, ["A landed 1"])


def test_a_run_that_is_stopped_in_a_gate_does_not_do_the_work_again(repo: Repo, tmp_path: Path) -> None:
    # On the base it ends at once.
    gate = f"test ! -e A.txt -o -e {tmp_path}/go || {{ touch {tmp_path}/up; sleep 60; }}"
    plan = write_plan(tmp_path / "p", [task("A")], gates=[{"name": "g", "run": gate}])
    process = start_orch("run", plan, "--run", "r", cwd=repo.path)
    while not (tmp_path / "up").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert (process.returncode, repo.files("main")) == (130, ["README.txt"])
    (tmp_path / "go").touch()
    assert orch("resume", cwd=repo.path).code == 0
    assert statuses(repo) == ["A landed 1"]


def test_what_a_second_signal_cuts_off_is_put_on_its_branch_by_the_next_run(repo: Repo, tmp_path: Path) -> None:
    stubborn = f"test -e {tmp_path}/go || {{ trap '' INT; echo work > A.txt; touch {tmp_path}/up; sleep 60; }}"
    plan = write_plan(tmp_path / "p", [task("A", {"run": stubborn}, write("A.txt"))])
    process = start_orch("run", plan, "--run", "r", cwd=repo.path)
    while not (tmp_path / "up").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    wait_for_line(process.stdout, "Stopping: interrupted")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, b"Traceback" in err) == (130, False)
    (tmp_path / "go").touch()
    assert orch("resume", cwd=repo.path).code == 0
    assert (repo.show("A.txt", "orch/r/A/gen-1"), repo.show("A.txt")) == ("work\n", "text\n")
    assert worktrees() == []
    assert_tidy(repo)


def test_progress_that_nobody_reads_does_not_end_a_run(repo: Repo, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "p", [task("A", {"sleep": "300ms"}, write("A.txt"))])
    command = f"{shlex.join(ORCH)} run --json {plan} 2>&1 >{tmp_path}/report | head -1"
    done = subprocess.run(["/bin/sh", "-c", command], cwd=repo.path, check=True, capture_output=True)
    assert b"Run " in done.stdout
    assert json.loads((tmp_path / "report").read_text())["status"] == "landed"
