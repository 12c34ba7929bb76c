"""What the page shows out of a run's folder and its repository."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import UsageError
from orchestrator.git.repository import Repository
from orchestrator.inbox import Message
from orchestrator.page.run_files import RunFiles
from tests.e2e.test_interrupt import wait_for_line
from tests.support.orch import orch, start_orch, write_plan
from tests.support.repos import Repo, make_repo
from tests.support.stories import task, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo")


def files_of(repo: Repo) -> RunFiles:
    (folder,) = (repo.path / ".git/orch").glob("*-test-*")
    return RunFiles(folder, Repository.open(repo.path))


def test_what_a_run_left_can_be_read(repo: Repo, tmp_path: Path) -> None:
    refused = task("b", {"fail": "no"}, attempts=1)
    huge = task(
        "c", write("c.txt", "line\n" * 120_000), write("c/d.txt", "line of c\n" * 20_000), writes=["c.txt", "c/**"]
    )
    assert orch("run", write_plan(tmp_path / "p", [task("a"), refused, huge]), cwd=repo.path).code == 1
    files = files_of(repo)
    diff = files.diff("a")
    assert diff is not None
    assert diff.splitlines()[0] == "diff --git a/a.txt b/a.txt"
    assert diff.endswith("+text\n")
    long = files.diff("c")
    assert long is not None
    assert "Binary files /dev/null and b/c.txt differ" in long
    assert long.count("+line of c") == 20_000
    assert files.diff("zz") is None
    assert files.diff("../a") is None
    newest = files.transcript("a", None)
    assert newest is not None
    assert newest == files.transcript("a", 1)
    assert newest.splitlines()[0].startswith(b'{"at": ')
    assert [files.transcript(*asked) for asked in (("a", 2), ("zz", None), ("../transcripts/a", 1), ("a/../a", 1))] == [
        None
    ] * 4
    for message in (Message(kind="pause"), Message(kind="cancel", about="a")):
        with pytest.raises(UsageError, match="is over"):
            files.act(message)
    assert not (files.folder / "inbox").exists()


def test_a_long_transcript_is_cut_to_its_last_lines(repo: Repo, tmp_path: Path) -> None:
    assert orch("run", write_plan(tmp_path / "p", [task("a")]), cwd=repo.path).code == 0
    files = files_of(repo)
    place = files.folder / "transcripts" / "a.gen-1.jsonl"
    place.write_bytes(b"".join(b"%09d\n" % n for n in range(200_000)))
    shown = files.transcript("a", 1)
    assert shown is not None
    lines = shown.splitlines()
    assert {len(line) for line in lines} == {9}
    assert (lines[-1], len(shown) > 1_000_000, len(shown) <= 1024 * 1024) == (b"000199999", True, True)
    place.unlink()
    place.symlink_to("/etc/passwd")
    assert files.transcript("a", 1) is None
    place.unlink()
    os.mkfifo(place)
    assert files.transcript("a", 1) is None


def test_what_is_being_written_can_be_read_and_the_run_spoken_to(repo: Repo, tmp_path: Path) -> None:
    slow = task("a", write("a.txt", "half\n"), {"sleep": "60s"}, attempts=1)
    process = start_orch("run", "--heartbeat", "0.2", write_plan(tmp_path / "p", [slow]), cwd=repo.path)
    try:
        wait_for_line(process.stdout, "a: default")
        files = files_of(repo)
        while (diff := files.diff("a")) is None:
            time.sleep(0.05)
        assert diff.endswith("+half\n")
        with pytest.raises(UsageError, match="has no task zz"):
            files.act(Message(kind="cancel", about="zz"))
        files.act(Message(kind="cancel", about="a"))
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 1
