"""What git wrongly takes for modified is not in the way of a landing; what a person has really changed is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from orchestrator.git import change, query
from orchestrator.git.repository import Repository
from orchestrator.git.untouched import untouched
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.git.command import Git

CRLF, MORE = "one\r\ntwo\r\n", "ONE\r\ntwo\r\n"


@dataclass(frozen=True)
class Stored:
    """A checkout of `before`; `after` changes a file that is stored with CRLF although its attributes forbid that."""

    repo: Repo
    before: str
    after: str

    @property
    def git(self) -> Git:
        return Repository.open(self.repo.path).own

    @property
    def place(self) -> Path:
        return self.repo.path / "a.txt"


def commit_blobs(repo: Repo, parent: str, **files: str) -> str:
    """Write a commit with these files added as they are, and leave the checkout alone."""
    entries = []
    for name, text in files.items():
        blob = repo.git("hash-object", "-w", "--no-filters", "--stdin", stdin=text.encode())
        entries.append(f"100644 {blob} 0\t{name}.txt\n")
    repo.git("update-index", "--index-info", stdin="".join(entries).encode())
    tree = repo.git("write-tree")
    repo.git("read-tree", parent)
    return repo.git("commit-tree", tree, "-p", parent, "-m", "change")


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    repo = make_repo(tmp_path / "repo", a_txt=CRLF)
    repo.write(".gitattributes", "*.txt text\n")
    repo.git("add", ".gitattributes")
    repo.git("commit", "--quiet", "--message", "attributes")
    before = repo.head()
    after = commit_blobs(repo, before, a=MORE)
    done = Stored(repo, before, after)
    write_anew(done)
    return done


def write_anew(stored: Stored) -> None:
    """Let git write the file, and its index in the same second: then git looks at the content, too."""
    stored.place.unlink()
    stored.repo.git("checkout", "--quiet", "--", "a.txt")
    written = stored.place.stat().st_mtime_ns
    os.utime(stored.repo.path / ".git" / "index", ns=(written, written))


def test_a_file_that_is_as_git_wrote_it_is_not_in_the_way(stored: Stored) -> None:
    assert [*untouched(stored.git, {"a.txt", "no.txt"})] == ["a.txt"]
    assert stored.repo.status() == " M a.txt"
    assert "a.txt" in change.move_checkout(stored.git, stored.before, stored.after)
    assert query.tracked_changes(stored.git) == []
    assert change.move_checkout_past_untouched(stored.git, stored.before, stored.after) == ""
    assert stored.place.read_bytes() == MORE.encode()
    assert not list((stored.repo.path / ".git").glob("orch-aside-*"))


@pytest.mark.parametrize("deed", ["overwrite", "replace", "link"])
def test_a_file_that_somebody_has_changed_is_in_the_way(stored: Stored, deed: str) -> None:
    if deed == "overwrite":  # in place and of the same length, perhaps within the second in which git wrote it
        stored.place.write_bytes(b"own\r\nown\r\n")
    elif deed == "replace":
        stored.repo.write("new", "own\r\nown\r\n")
        (stored.repo.path / "new").rename(stored.place)
    else:
        stored.place.unlink()
        stored.place.symlink_to("own")
    kept = stored.place.lstat()
    assert untouched(stored.git, {"a.txt"}) == {}
    assert query.tracked_changes(stored.git) == ["a.txt"]
    assert "a.txt" in change.move_checkout_past_untouched(stored.git, stored.before, stored.after)
    now = stored.place.lstat()
    assert (now.st_ino, now.st_mtime_ns, now.st_ctime_ns) == (kept.st_ino, kept.st_mtime_ns, kept.st_ctime_ns)


def test_a_file_whose_times_were_changed_does_not_count_as_untouched(stored: Stored) -> None:
    os.utime(stored.place, ns=(1, 1))
    assert untouched(stored.git, {"a.txt"}) == {}


def test_what_was_moved_out_of_the_way_comes_back_if_something_else_is(stored: Stored) -> None:
    both = commit_blobs(stored.repo, stored.before, a=MORE, mine=MORE)
    write_anew(stored)
    stored.repo.write("mine.txt", "in no commit\n")
    assert "mine.txt" in change.move_checkout_past_untouched(stored.git, stored.before, both)
    assert stored.place.read_bytes() == CRLF.encode()
    assert (stored.repo.path / "mine.txt").read_text() == "in no commit\n"
