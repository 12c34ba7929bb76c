"""What an agent has written so far is kept while it works: a worktree that is lost costs a heartbeat, no more."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.test_interrupt import wait_for_line
from tests.support.orch import orch, start_orch, write_plan
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.e2e, pytest.mark.unconfined]

REF = "refs/orch/r/A/gen-1/snapshot"
BEAT = ("--heartbeat", "0.1")


def worktree(name: str = "A.gen-1") -> Path:
    (found,) = Path(os.environ["HOME"]).glob(f".local/state/orch/*/*/{name}")
    return found


def started(tmp_path: Path, script: str, *, ignore: str = "", **task: Any) -> tuple[Repo, subprocess.Popen[bytes]]:
    """Start a run whose agent does this and then waits for a file called `go` to appear."""
    repo = make_repo(tmp_path / "repo")
    if ignore:
        repo.write(".gitignore", ignore)
        repo.git("add", ".gitignore")
        repo.git("commit", "-m", "ignore")
    waiting = f"{script}; until test -e {tmp_path}/go; do sleep 0.05; done"
    task = {"id": "A", "writes": ["src/**"], "steps": [{"run": waiting}], "attempts": 1, **task}
    plan = write_plan(tmp_path / "p", [task])
    return repo, start_orch("run", plan, "--run", "r", *BEAT, cwd=repo.path)


def wait_for_snapshot(repo: Repo, process: subprocess.Popen[bytes], count: int = 1) -> list[dict[str, Any]]:
    """Read the journal until it tells of so many snapshots; return those events."""
    while True:
        assert process.poll() is None, process.communicate()
        said = orch("log", "r", "--json", cwd=repo.path)
        events = [json.loads(line) for line in said.out.splitlines()] if said.code == 0 else []
        found = [event for event in events if event["kind"] == "snapshot-taken"]
        if len(found) >= count:
            return found


def finish(tmp_path: Path, process: subprocess.Popen[bytes]) -> str:
    (tmp_path / "go").touch()
    out, err = process.communicate(timeout=60)
    return (out + err).decode()


@contextmanager
def opens_of(*files: Path) -> Iterator[Callable[[], int]]:
    """Lend what tells how often one of these files was opened since it was asked last, as the system says (inotify)."""
    libc = ctypes.CDLL(None)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    for file in files:
        assert libc.inotify_add_watch(watch, os.fsencode(file), 0x20) > 0  # IN_OPEN

    def opened() -> int:
        try:
            return len(os.read(watch, 65536)) // 16  # an event of a file has no name, and so 16 bytes
        except BlockingIOError:
            return 0

    yield opened
    os.close(watch)


def test_changed_and_untracked_files_are_kept_and_the_agents_index_is_not_touched(tmp_path: Path) -> None:
    script = "mkdir src; echo one > src/a; git add src/a; echo two > src/b; echo more >> README.txt; echo x > else"
    repo, process = started(tmp_path, script)
    (taken,) = wait_for_snapshot(repo, process)[:1]
    snapshot = taken["commit"]
    assert repo.git("rev-parse", REF).strip() == snapshot
    assert set(repo.files(snapshot)) == {"README.txt", "src/a", "src/b", "else"}
    assert repo.show("README.txt", snapshot) == "start\nmore\n"
    index = repo.git("-C", str(worktree()), "diff", "--cached", "--name-only")
    assert index == "src/a"  # as the agent left it
    assert "1 file" in finish(tmp_path, process) or process.returncode == 1


def test_every_version_is_kept_and_an_unchanged_worktree_gives_no_snapshot(tmp_path: Path) -> None:
    repo, process = started(tmp_path, "mkdir src; echo one > src/a")
    (first,) = wait_for_snapshot(repo, process)
    (worktree() / "src/a").write_text("two\n")
    _, second = wait_for_snapshot(repo, process, 2)
    (worktree() / "src/b").write_text("three\n")
    assert len(wait_for_snapshot(repo, process, 3)) == 3
    assert (repo.show("src/a", first["commit"]), repo.show("src/a", second["commit"])) == ("one\n", "two\n")
    chain = repo.git("rev-list", "--first-parent", REF, "^main").split()
    assert chain[-1] == first["commit"]
    finish(tmp_path, process)
    assert process.returncode == 0
    assert repo.git("rev-parse", f"{REF}~2").strip() == first["commit"]  # nothing of it goes when the work lands


def test_a_worktree_deleted_by_hand_costs_a_heartbeat_and_not_the_work(tmp_path: Path) -> None:
    once = "test $ORCH_GENERATION = 2 && { mkdir src; echo done > src/a; exit 0; }; mkdir src; echo half > src/a"
    repo, process = started(tmp_path, once, attempts=2)
    wait_for_snapshot(repo, process)
    shutil.rmtree(worktree())
    said = finish(tmp_path, process)
    assert process.returncode == 0, said
    assert "not the folder that was made there" in said
    assert (repo.show("src/a", REF), repo.show("src/a")) == ("half\n", "done\n")


def test_a_killed_run_whose_worktree_is_gone_still_has_the_snapshot(tmp_path: Path) -> None:
    once = "test $ORCH_GENERATION = 2 && { mkdir src; echo done > src/a; exit 0; }; mkdir src; echo half > src/a"
    repo, process = started(tmp_path, once, id="candidate")  # as one of our own refs might be called
    wait_for_snapshot(repo, process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    shutil.rmtree(worktree("candidate.gen-1"))
    (tmp_path / "go").touch()
    said = orch("resume", "r", *BEAT, cwd=repo.path)
    assert said.code == 0, said.out + said.err
    assert "the folder of generation 1 is gone; `orch recover` lists what snapshots have of it" in said.out
    assert (repo.show("src/a", REF.replace("/A/", "/candidate/")), repo.show("src/a")) == ("half\n", "done\n")
    assert orch("doctor", cwd=repo.path).code == 0


def test_ignored_files_are_kept_and_landed_where_the_scope_names_them(tmp_path: Path) -> None:
    script = "mkdir -p src dist/sub; echo a > src/a; echo b > src/b.pyc; echo c > dist/sub/c; echo d > out.bin; echo e > e.bin"
    scope = ["src/**", "dist/**", "out.bin"]
    repo, process = started(tmp_path, script, ignore="dist/\n*.pyc\n*.bin\n", writes=scope)
    (taken,) = wait_for_snapshot(repo, process)
    expected = {"README.txt", ".gitignore", "src/a", "dist/sub/c", "out.bin"}
    assert set(repo.files(taken["commit"])) == expected
    said = finish(tmp_path, process)
    assert process.returncode == 0, said
    assert set(repo.files("main")) == expected


SECRET = "-----BEGIN OPENSSH PRIVATE KEY-----\n" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo=\n" * 4


def test_secrets_and_large_files_are_left_out_of_snapshots_and_spoken_of(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    script = f"mkdir src; echo a > src/a; echo K=1 > src/.env; cp {tmp_path}/secret src/note; truncate -s 17M src/big"
    repo, process = started(tmp_path, script)
    (taken,) = wait_for_snapshot(repo, process)[-1:]
    assert set(repo.files(taken["commit"])) == {"README.txt", "src/a"}
    said = finish(tmp_path, process)
    assert process.returncode == 0, said
    for name, why in (
        (".env", "its name is one that secrets have"),
        ("note", "it holds what looks like a key or a token"),
        ("big", "it has 17 MiB"),
    ):
        assert f"A: src/{name} is left out of snapshots: {why}" in said
        assert f"A: src/{name} is taken in, though {why}" in said


def test_after_a_limit_no_more_snapshots_are_taken_and_that_is_told(tmp_path: Path) -> None:
    repo, process = started(tmp_path, "mkdir src; git init -q src/own; echo a > src/a")
    (taken,) = wait_for_snapshot(repo, process)
    wait_for_line(process.stdout, "A: src/own/ is left out of snapshots: it is a repository of its own")
    (tmp_path / "many").mkdir()
    for number in range(33):  # more than 512 MiB, that take no room
        with (tmp_path / f"many/{number}").open("wb") as file:
            file.truncate(16 << 20)
    (tmp_path / "many").rename(worktree() / "src/many")
    wait_for_line(process.stdout, "A: its snapshots have reached their limit of 512 MiB; no more are taken")
    for name in ("own", "many"):
        shutil.rmtree(worktree() / "src" / name)
    (worktree() / "src/b").write_text("b")
    said = finish(tmp_path, process)
    assert process.returncode == 0, said
    assert repo.git("rev-parse", REF) == taken["commit"]
    assert set(repo.files("main")) == {"README.txt", "src/a", "src/b"}


def test_a_file_that_has_not_changed_is_not_opened_again(tmp_path: Path) -> None:
    script = "mkdir -p src dist; for f in src/a dist/a; do echo one > $f; touch -d yesterday $f; done"
    repo, process = started(tmp_path, script, ignore="dist/\n", writes=["src/**", "dist/**"])
    wait_for_snapshot(repo, process)
    with opens_of(worktree() / "src/a", worktree() / "dist/a") as opened:
        (worktree() / "src/b").write_text("two\n")
        wait_for_snapshot(repo, process, 2)
        assert opened() == 0
        (worktree() / "dist/a").write_text("three\n")
        wait_for_snapshot(repo, process, 3)
        assert opened() > 0
    finish(tmp_path, process)
    assert repo.show("dist/a", REF) == "three\n"


@pytest.mark.parametrize(
    "script",
    [
        "mkdir src; mkfifo src/pipe; echo a > src/a",
        "mkdir src; git init -q src/inner; echo a > src/a",
        "mkdir src; echo a > src/a; ln -s /etc/passwd src/link; ln -s src loop",
        "mkdir src; echo a > src/a; rm README.txt; mkdir README.txt; echo b > README.txt/b",
        "mkdir src; mkfifo .gitignore; echo a > src/a",
    ],
)
def test_whatever_an_agent_puts_there_heartbeats_do_no_harm(tmp_path: Path, script: str) -> None:
    repo, process = started(tmp_path, script)
    wait_for_line(process.stdout, "A: default (script@1) starts")
    while not (list(worktree().glob("src/a")) or process.poll() is not None):
        pass
    said = finish(tmp_path, process)
    assert process.returncode in (0, 1), said
    assert "Traceback" not in said
    assert repo.status() == ""
