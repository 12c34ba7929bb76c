"""Differences, renames and numbers of lines of many blobs at once, and what a kill leaves of them."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from orchestrator.git.blobs import cuts_of_each, lines_of_each, sources_of_each
from orchestrator.git.parse import ABSENT, BlobLines, Change
from orchestrator.git.repository import Repository
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.git.command import Git

TEN = "".join(f"line {n}\n" for n in range(10))


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / 'a "quoted": place', f=TEN)


@pytest.fixture
def git(repo: Repo) -> Git:
    return Repository.open(repo.path).own


def blob(repo: Repo, text: str) -> str:
    return repo.git("hash-object", "-w", "--stdin", stdin=text.encode())


def gone(repo: Repo, path: str, text: str) -> Change:
    return Change(path=path, old_mode="100644", new_mode=ABSENT, old_blob=blob(repo, text), new_blob="0" * 40)


def come(repo: Repo, path: str, text: str) -> Change:
    return Change(path=path, old_mode=ABSENT, new_mode="100644", old_blob="0" * 40, new_blob=blob(repo, text))


def objects(repo: Repo) -> set[Path]:
    return {path for path in (repo.path / ".git").rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("new", "cuts"),
    [
        (TEN.replace("line 3", "other"), [(3, 1, 1)]),
        ("first\n" + TEN, [(0, 0, 1)]),
        (TEN.replace("line 9\n", "") + "x\ny", [(9, 1, 2)]),
        (TEN.replace("line 2\nline 3\n", "").replace("line 7\n", "line 7\nline 7b\n"), [(2, 2, 0), (8, 0, 1)]),
        ("", [(0, 10, 0)]),
    ],
)  # fmt: skip
def test_cuts_say_where_how_many_go_and_come(repo: Repo, git: Git, new: str, cuts: list[tuple[int, int, int]]) -> None:
    pair = (blob(repo, TEN), blob(repo, new))
    assert cuts_of_each(git, [pair, pair]) == {pair: cuts}


def test_a_new_file_is_a_deleted_one_if_git_finds_it_similar(repo: Repo, git: Git) -> None:
    deleted = [gone(repo, "p/other", "nothing like it\n"), gone(repo, "p/old", TEN)]
    questions = [
        (come(repo, "q/new", TEN.replace("line 4", "4")), deleted),
        (come(repo, "q/far", "quite another thing\n"), deleted),
        (come(repo, "q/same", TEN), deleted),
    ]
    found = sources_of_each(git, questions)
    assert [source.path if source else None for source in found] == ["p/old", None, "p/old"]


def test_lines_are_counted_and_what_is_no_text_is_told(repo: Repo, git: Git) -> None:
    texts = {"": (0, True), "a\n": (1, True), "a\nb": (2, True), "a\0\n": (1, False), "\n\n": (2, True)}
    names = {blob(repo, text): BlobLines(*wanted) for text, wanted in texts.items()}
    assert lines_of_each(git, [*names, *names]) == names


def test_nothing_is_left_behind_and_what_a_kill_has_left_goes_next_time(repo: Repo, git: Git) -> None:
    pair = (blob(repo, TEN), blob(repo, "x\n"))
    before = objects(repo)
    left, used = repo.path / ".git" / "orch-blobs-left", repo.path / ".git" / "orch-blobs-used"
    for folder in (left, used):
        (folder / "12").mkdir(parents=True)
    descriptor = os.open(used, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # as another process does that is at work
        assert cuts_of_each(git, [pair])
        assert (left.exists(), used.exists()) == (False, True)
    finally:
        os.close(descriptor)
    assert cuts_of_each(git, [pair])
    assert not used.exists()
    assert objects(repo) == before


def test_a_linked_worktree_has_the_objects_of_its_repository(repo: Repo, tmp_path: Path) -> None:
    repo.git("worktree", "add", "--quiet", "--detach", tmp_path / "linked")
    pair = (blob(repo, TEN), blob(repo, TEN + "more\n"))
    assert cuts_of_each(Repository.open(tmp_path / "linked").own, [pair]) == {pair: [(10, 0, 1)]}
