"""Notes of one ref, all at once, as plain git reads them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from orchestrator.git.notes import write_notes
from orchestrator.git.repository import Repository
from tests.support.repos import make_repo

if TYPE_CHECKING:
    from pathlib import Path

REF = "refs/notes/ours"


def test_hundreds_of_notes_are_one_commit_that_git_reads(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    start = repo.head()
    commit = b"commit refs/heads/many\ncommitter a <a@b> %d +0000\ndata 1\nx\n"
    stream = b"reset refs/heads/many\nfrom %s\n" % start.encode() + b"".join(commit % n for n in range(1, 301))
    repo.git("fast-import", "--quiet", stdin=stream)
    commits = repo.git("rev-list", "many").split()
    git = Repository.open(repo.path).own
    notes = {commit: f"note {n} of {commit}\n".encode() for n, commit in enumerate(commits)}
    assert write_notes(git, REF, notes, "all of them")
    assert len(repo.git("notes", "--ref", REF, "list").splitlines()) == 301
    assert repo.git("notes", "--ref", REF, "show", commits[7]) == f"note 7 of {commits[7]}"
    assert repo.git("rev-list", "--count", REF) == "1"
    assert not write_notes(git, REF, notes, "again")
    assert write_notes(git, REF, {}, "none of them")
    assert repo.git("notes", "--ref", REF, "list") == ""
    assert repo.git("rev-list", "--count", REF) == "2"
    repo.git("fsck", "--strict", "--no-dangling")


def test_writers_at_the_same_time_lose_no_state(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    said: list[bool] = []

    def write(number: int) -> None:
        git = Repository.open(repo.path).own
        said.append(write_notes(git, REF, {repo.head(): f"{number}\n".encode()}, str(number)))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == [True] * 3
    assert sorted(repo.git("log", "--format=%s", REF).split()) == ["0", "1", "2"]
