"""Processes that outlive whoever started them are ended; a person who looks at what an agent has left is not."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.journal.journal import Journal
from orchestrator.model.events import ProcessStarted
from orchestrator.processes.table import boot_id, start_time
from tests.e2e.test_interrupt import wait_for_line
from tests.support.orch import orch, start_orch, write_plan
from tests.support.processes import alive
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.e2e, pytest.mark.unconfined]

HIDDEN = "setsid env -i sleep 1000 < /dev/null > /dev/null 2>&1 & echo $!"
AT_TERMINAL = (
    "import fcntl, os, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); print(flush=True); os.execvp('sh', ['sh'])"
)


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo")


@contextmanager
def person(folder: Path) -> Iterator[int]:
    """Have a shell on a terminal of its own in a folder, and a program in it that has no terminal."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", AT_TERMINAL], cwd=folder, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    try:
        assert os.read(master, 10)  # the terminal is its own now
        yield process.pid
    finally:
        process.kill()
        process.wait()
        os.close(master)


def test_what_an_agent_hides_is_gone_when_its_attempt_ends(repo: Repo, tmp_path: Path) -> None:
    agent = f"{HIDDEN} > {tmp_path}/pid; cd /; {HIDDEN} > {tmp_path}/elsewhere"
    seen = f"! grep -qs '^State:.[RSD]' /proc/$(cat {tmp_path}/pid)/status && echo gone > A.txt"  # nobody may have collected it
    tasks = [{"id": "A", "writes": ["A.txt"], "attempts": 1, "steps": [{"run": agent}, {"run": seen}]}]
    said = orch("run", write_plan(tmp_path / "p", tasks), cwd=repo.path)
    assert said.code == 0, said.out + said.err
    assert repo.show("A.txt") == "gone\n"
    assert not alive(int((tmp_path / "elsewhere").read_text()))  # nothing told whose it was, but the run is over


def test_what_an_agent_hid_is_ended_when_its_dead_run_is_resumed_and_a_person_there_is_not(
    repo: Repo, tmp_path: Path
) -> None:
    carrying = (
        "cd /; setsid sleep 1000 < /dev/null > /dev/null 2>&1 & echo $!"  # only its environment tells whose it is
    )
    hiding = f"{HIDDEN} > {tmp_path}/pid; pwd > {tmp_path}/place; ({carrying}) > {tmp_path}/marked"
    agent = f"test -e {tmp_path}/go || {{ {hiding}; sleep 100; }}"
    writing = {"write": {"path": "A.txt", "text": "a\n"}}
    plan = write_plan(tmp_path / "p", [{"id": "A", "writes": ["A.txt"], "steps": [{"run": agent}, writing]}])
    process = start_orch("run", plan, "--run", "r", cwd=repo.path)
    wait_for_line(process.stdout, "A: default (script@1) starts")
    while not (tmp_path / "marked").exists() or not (tmp_path / "marked").read_text().endswith("\n"):
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    hidden, marked = (int((tmp_path / name).read_text()) for name in ("pid", "marked"))
    assert alive(hidden)
    assert alive(marked)
    (tmp_path / "go").touch()
    with person(Path((tmp_path / "place").read_text().strip())) as shell:
        said = orch("resume", "r", cwd=repo.path)
        assert alive(shell)
    assert said.code == 0, said.out + said.err
    assert f"The process {hidden} of this run ran on and was ended" in said.out
    assert not alive(hidden)
    assert not alive(marked)
    assert repo.show("A.txt") == "a\n"


@pytest.mark.parametrize(("boot", "ended"), [(boot_id(), True), ("another", False)], ids=["same", "another"])
def test_a_process_that_was_written_down_is_ended_but_not_a_stranger_after_a_reboot(
    repo: Repo,
    tmp_path: Path,
    boot: str,
    ended: bool,  # noqa: FBT001
) -> None:
    steps = [{"run": "true"}, {"write": {"path": "A.txt", "text": "a\n"}}]
    plan = write_plan(tmp_path / "p", [{"id": "A", "writes": ["A.txt"], "steps": steps}])
    killed = orch("run", plan, "--run", "r", cwd=repo.path, env={"ORCH_KILL_AT": "process-started:1"})
    assert killed.code == -signal.SIGKILL
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as other:  # nothing but the journal tells of it
        journal, started = Journal(repo.path / ".git/orch/r/journal"), start_time(other.pid)
        journal.append(ProcessStarted(task="A", generation=1, pid=other.pid, started=started, boot=boot))
        journal.close()
        doctor = orch("doctor", "--dry-run", cwd=repo.path)
        assert (f"process {other.pid}: `sleep`" in doctor.out) == ended, doctor.out
        said = orch("resume", "r", cwd=repo.path)
        assert (said.code, alive(other.pid)) == (0, not ended), said.out + said.err
        other.kill()


def test_a_person_in_the_worktree_of_a_live_attempt_is_left_alone(repo: Repo, tmp_path: Path) -> None:
    agent = f"pwd > {tmp_path}/place; until test -e {tmp_path}/go; do sleep 0.05; done; echo a > A.txt"
    plan = write_plan(tmp_path / "p", [{"id": "A", "writes": ["A.txt"], "steps": [{"run": agent}]}])
    process = start_orch("run", plan, cwd=repo.path)
    wait_for_line(process.stdout, "A: default (script@1) starts")
    while not (tmp_path / "place").exists() or not (tmp_path / "place").read_text().endswith("\n"):
        assert process.poll() is None
    place = Path((tmp_path / "place").read_text().strip())
    with person(place) as shell, subprocess.Popen(["sleep", "1000"], cwd=place, start_new_session=True) as other:
        (tmp_path / "go").touch()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert alive(shell)
        assert alive(other.pid)
        other.kill()
