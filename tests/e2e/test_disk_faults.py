"""A disk that is full or read-only, before a run and in the middle of it: one sentence, nothing lost, the same end after all."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.machine import Machine, a_machine
from tests.support.orch import ORCH, Said, write_plan
from tests.support.repos import make_repo
from tests.support.stories import report_of, task, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.repos import Repo

pytestmark = [pytest.mark.e2e, pytest.mark.unconfined]

GATES = [{"name": "g", "run": "true"}]


@pytest.fixture
def machine() -> Iterator[Machine]:
    with a_machine() as started:
        yield started


@pytest.fixture
def home() -> Path:
    return Path(os.environ["HOME"])


def assert_said(said: Said, *parts: str) -> None:
    """One sentence and one hint, and nothing that looks like a bug of ours."""
    assert said.code == 1, said.out + said.err
    assert all(part in said.err for part in parts), said.out + said.err
    assert said.err.count("\n") == 2, said.err
    assert "Traceback" not in said.out


def assert_as_if_undisturbed(repo: Repo, machine: Machine, home: Path, *names: str) -> None:
    """Each task landed once, its file is whole, and nothing is left over."""
    assert repo.files("main") == sorted(["README.txt", *(f"{name}.txt" for name in names)])
    subjects = repo.git("log", "--first-parent", "--format=%s", "main").splitlines()
    assert sorted(subjects) == sorted([*(f"Land {name}: {name}" for name in names), "start"])
    assert repo.status() == ""
    assert repo.git("worktree", "list").count("\n") == 0
    assert machine.shell(f"find {home} -type f") == ""
    repo.git("fsck", "--strict")


@pytest.mark.parametrize("small", ["repository", "home", "both"])
def test_a_disk_that_fills_up_stops_the_run_and_it_goes_on_once_there_is_room(
    machine: Machine, home: Path, tmp_path: Path, small: str
) -> None:
    disk = machine.disk(tmp_path / "disk", "8m")
    repo = machine.repository((tmp_path if small == "home" else disk) / "repo", tmp_path / "seed")
    if small != "repository":
        machine.shell(f"mkdir {disk}/home; mount --bind {disk}/home {home}")
    fill = f"cat /dev/zero > {disk}/filler || head -c 200000 /dev/urandom > B.txt"
    once = {"when": {"generation": 1, "do": [write("B.txt"), {"run": fill}]}}
    plan = write_plan(
        tmp_path / "p", [task("A"), task("B", once, write("B.txt"), needs=["A"]), task("C", needs=["B"])], gates=GATES
    )
    assert_said(machine.orch("run", plan, "--run", "r", cwd=repo.path), "No space left on device.", "Free some space")
    assert repo.files("main") == ["A.txt", "README.txt"]
    assert_said(machine.orch("resume", "r", cwd=repo.path), "No space left on device.")
    machine.shell(f"rm {disk}/filler")
    said = machine.orch("resume", "r", cwd=repo.path)
    assert said.code == 0, said.out + said.err
    assert_as_if_undisturbed(repo, machine, home, "A", "B", "C")
    assert repo.files("orch/r/B/gen-1") == ["A.txt", "B.txt", "README.txt"]  # what the attempt had written


def test_an_agent_whose_words_cannot_be_kept_is_not_left_alone(machine: Machine, home: Path, tmp_path: Path) -> None:
    disk = machine.disk(tmp_path / "disk", "8m")
    repo = machine.repository(disk / "repo", tmp_path / "seed")
    loud = f"test -e {tmp_path}/go || {{ touch {tmp_path}/go; cat /dev/zero > {disk}/filler; yes | head -c 1M; sleep 300; }}"
    plan = write_plan(tmp_path / "p", [task("A", write("A.txt", "half\n"), {"run": loud}, write("A.txt"))])
    assert_said(machine.orch("run", plan, "--run", "r", cwd=repo.path), "No space left on device.")
    machine.shell(f"rm {disk}/filler")
    assert machine.orch("resume", "r", cwd=repo.path).code == 0
    assert_as_if_undisturbed(repo, machine, home, "A")
    assert repo.show("A.txt", "orch/r/A/gen-1") == "half\n"


@pytest.mark.parametrize("room", [1150, 1650, 2150, 2650])
def test_whatever_the_last_block_was_for_the_run_goes_on(
    machine: Machine, home: Path, tmp_path: Path, room: int
) -> None:
    disk = machine.disk(tmp_path / "disk", "64m")
    repo = machine.repository(disk / "repo", tmp_path / "seed")
    large = {"run": "head -c 400000 /dev/urandom > $ORCH_TASK.txt"}
    tasks = [task("A", large), task("B", large), task("C", large, needs=["A"]), task("D", large, needs=["B"])]
    plan = write_plan(tmp_path / "p", tasks, gates=GATES)
    used = int(machine.shell(f"df --output=used -k {disk}").split()[1])
    machine.shell(f"mount -o remount,size={used + room}k {disk}")
    assert_said(machine.orch("run", plan, "--run", "r", cwd=repo.path), "Free some space")
    machine.shell(f"mount -o remount,size=64m {disk}")
    said = machine.orch("resume", "r", cwd=repo.path)
    assert said.code == 0, said.out + said.err
    assert_as_if_undisturbed(repo, machine, home, "A", "B", "C", "D")


def test_a_checkout_without_room_for_what_lands_is_as_it_was(machine: Machine, home: Path, tmp_path: Path) -> None:
    disk = machine.disk(tmp_path / "disk", "16m")
    repo = machine.repository(disk / "repo", tmp_path / "seed")
    # Small as objects, and large in the checkout, where git removes a file that is there before it writes it anew.
    grows = "yes | head -c 9M > A.txt; yes | head -c 9M > README.txt"
    plan = write_plan(tmp_path / "p", [{"id": "A", "writes": ["*.txt"], "steps": [{"run": grows}]}])
    said = machine.orch("run", plan, "--run", "r", cwd=repo.path)
    assert_said(said, f"The files of main in {repo.path} could not be written", "Free some space")
    assert (repo.status(), machine.shell(f"cat {repo.path}/README.txt")) == ("", "start\n")
    machine.shell(f"mount -o remount,size=64m {disk}")
    assert machine.orch("resume", "r", cwd=repo.path).code == 0
    assert_as_if_undisturbed(repo, machine, home, "A")


@pytest.mark.parametrize("place", ["repo/.git", "home"])
def test_a_folder_that_becomes_read_only_stops_the_run(
    machine: Machine, home: Path, tmp_path: Path, place: str
) -> None:
    repo = machine.repository(tmp_path / "repo", tmp_path / "seed")
    locked = tmp_path / place
    freeze = {
        "run": f"test -e {tmp_path}/go || {{ mount --bind {locked} {locked}; mount -o remount,ro,bind {locked}; }}"
    }
    plan = write_plan(tmp_path / "p", [task("A"), task("B", freeze, write("B.txt"), needs=["A"])], gates=GATES)
    assert_said(machine.orch("run", plan, "--run", "r", cwd=repo.path), "Read-only file system.", "make it writable")
    assert_said(machine.orch("resume", "r", cwd=repo.path), "Read-only file system.")
    assert repo.files("main") == ["A.txt", "README.txt"]
    machine.shell(f"umount {locked}; touch {tmp_path}/go")
    said = machine.orch("resume", "r", cwd=repo.path)
    assert said.code == 0, said.out + said.err
    assert_as_if_undisturbed(repo, machine, home, "A", "B")


def test_what_cannot_be_written_is_said_before_anything_begins(machine: Machine, home: Path, tmp_path: Path) -> None:
    repo = machine.repository(tmp_path / "repo", tmp_path / "seed")
    plan = write_plan(tmp_path / "p", [task("A")])
    git = repo.path / ".git"
    machine.shell(f"mount --bind {git} {git}; mount -o remount,ro,bind {git}")
    assert_said(machine.orch("run", plan, cwd=repo.path), f"Nothing can be written in {git}: Read-only file system.")
    machine.shell(f"umount {git}; mount --bind {home} {home}; mount -o remount,ro,bind {home}")
    assert not (git / "orch").exists()
    named = machine.run("env", f"ORCH_HOME={home}/agents", *ORCH, "run", plan, cwd=repo.path)
    assert (named.returncode, f"ORCH_HOME={home}/agents cannot hold" in named.stderr.decode()) == (2, True)
    assert machine.orch("run", plan, cwd=repo.path).code == 0  # with the worktrees beside the repository
    machine.shell(f"mount -t tmpfs -o size=512k tmpfs {tmp_path}/.orch-worktrees")
    said = machine.orch("run", plan, cwd=repo.path)
    assert_said(said, f"Nothing can be written in {tmp_path}/.orch-worktrees: No space left on device.")


def test_an_output_that_takes_nothing_does_not_end_the_run(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    plan = write_plan(tmp_path / "p", [task("A")])
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*ORCH, "run", plan], cwd=repo.path, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert report_of(repo)["status"] == "landed"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace, which shows what is forced to the disk, is missing")
def test_the_journal_is_on_the_disk_before_each_move_of_the_base(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    plan = write_plan(tmp_path / "p", [task("A"), task("B", needs=["A"])], contracts={"files": {"c.md": "Agreed.\n"}})
    seen = tmp_path / "seen"
    calls = ["strace", "-f", "-qq", "-y", "-e", "trace=write,fdatasync,fsync,rename,renameat,renameat2", "-s", "80"]
    traced = subprocess.run(
        [*calls, "-o", seen, *ORCH, "run", plan, "--run", "r"], cwd=repo.path, capture_output=True, check=False
    )
    if b"PTRACE" in traced.stderr or b"ptrace" in traced.stderr:
        pytest.skip("nobody may be traced here")
    assert traced.returncode == 0, traced.stderr
    synced, moves = False, 0
    for call in seen.read_text(errors="replace").splitlines():
        if "/journal>" in call and "write(" in call and "base-moving" in call:
            synced = False
        elif "/journal>" in call and "sync(" in call:
            synced = True
        elif "rename" in call and '"' in call and call.count("refs/heads/main") == 2:
            assert synced, call
            moves, synced = moves + 1, False
    assert moves == 3
