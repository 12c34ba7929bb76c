"""The door to git, and what goes through it, on real repositories."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import GitError, UsageError
from orchestrator.git import change, query
from orchestrator.git.gc_lock import no_gc
from orchestrator.git.repository import Repository, private_git_folder
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo", a_txt="a\n", d__b_txt="b\n")


@pytest.fixture
def opened(repo: Repo, tmp_path: Path) -> Repository:
    found = Repository.open(repo.path)
    found.runs_folder.mkdir()
    return replace(found, objects=private_git_folder(found, tmp_path))


def test_variables_of_an_outer_git_do_not_reach_ours(repo: Repo, opened: Repository, tmp_path: Path) -> None:
    # A hook of another repository runs orch: git has exported where *it* works.
    script = (
        "import sys; from pathlib import Path; from orchestrator.git.repository import Repository\n"
        "from orchestrator.git import query\n"
        "print(query.tip(Repository.open(Path(sys.argv[1])).own, 'main'))"
    )
    other = make_repo(tmp_path / "other", x_txt="x")
    env = {**os.environ, "GIT_DIR": str(other.path / ".git"), "GIT_INDEX_FILE": "/nonsense", "GIT_WORK_TREE": "/"}
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-c", script, repo.path], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == repo.head()


def test_no_hook_no_filter_and_no_monitor_of_the_repository_runs(
    repo: Repo, opened: Repository, tmp_path: Path
) -> None:
    trace = tmp_path / "ran"
    hooks = repo.path / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("post-checkout", "reference-transaction", "post-index-change", "pre-commit"):
        (hooks / hook).write_text(f"#!/bin/sh\necho {hook} >> {trace}\n")
        (hooks / hook).chmod(0o755)
    spy = f"sh -c 'echo filter >> {trace}; cat'"
    for key in ("filter.spy.clean", "filter.spy.smudge"):
        repo.git("config", key, spy)
    repo.git("config", "core.fsmonitor", f"sh -c 'echo monitor >> {trace}'")
    repo.git("config", "merge.spy.driver", spy)
    trace.unlink(missing_ok=True)
    place = tmp_path / "w"
    change.add_worktree(opened, place, repo.head())
    files = opened.objects.at(work_tree=place, index=tmp_path / "index")
    change.checkout(files, repo.head())
    (place / ".gitattributes").write_text("* filter=spy merge=spy diff=spy\n")
    (place / "a.txt").write_text("changed\n")
    tree = change.stage_everything(files)
    side = change.commit_tree(opened.objects, tree, [repo.head()], "m\n", "a")
    assert change.move_ref(opened.own, "refs/heads/side", side, None)
    query.merge_in_memory(opened.objects, repo.head(), side)
    assert not trace.exists()
    assert query.read_file(opened.objects, side, "a.txt") == b"changed\n"


def test_what_is_written_is_what_is_committed_whatever_attributes_say(
    repo: Repo, opened: Repository, tmp_path: Path
) -> None:
    place = tmp_path / "w"
    change.add_worktree(opened, place, repo.head())
    files = opened.objects.at(work_tree=place, index=tmp_path / "index")
    change.checkout(files, repo.head())
    (place / ".gitattributes").write_text("*.txt text eol=lf\n*.u16 working-tree-encoding=UTF-16\n")
    (place / "a.txt").write_bytes(b"one\r\ntwo\r\n")
    (place / "x.u16").write_bytes("ü".encode("utf-16"))
    tree = change.stage_everything(files)
    assert query.read_file(opened.objects, tree, "a.txt") == b"one\r\ntwo\r\n"
    assert query.read_file(opened.objects, tree, "x.u16") == "ü".encode("utf-16")


def test_a_worktree_of_ours_is_one_to_git(repo: Repo, opened: Repository, tmp_path: Path) -> None:
    repo.git("worktree", "add", "--quiet", "--detach", tmp_path / "theirs")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    records = [change.add_worktree(opened, tmp_path / name / "w", repo.head()) for name in ("one", "two")]
    assert [r.name for r in records] == ["w", "w-1"]
    repo.git("worktree", "prune", "--expire", "now")
    listed = repo.git("worktree", "list", "--porcelain")
    assert all(
        f"worktree {tmp_path}/{name}\nHEAD {repo.head()}\ndetached" in listed for name in ("theirs", "one/w", "two/w")
    )
    ours = Repo(tmp_path / "one/w")
    ours.git("reset", "--quiet", "--hard")
    assert (ours.status(), ours.git("rev-parse", "--show-toplevel")) == ("", str(ours.path))
    ours.git("switch", "--quiet", "-c", "from-here")
    assert ours.commit("work", n_txt="n") == repo.head("from-here")
    repo.git("worktree", "remove", tmp_path / "one/w")
    repo.git("fsck", "--strict")
    assert not (tmp_path / "one/w").exists()


def test_a_hidden_change_is_seen(repo: Repo, opened: Repository, tmp_path: Path) -> None:
    place = tmp_path / "w"
    change.add_worktree(opened, place, repo.head())
    index = tmp_path / "index"
    files = opened.objects.at(work_tree=place, index=index)
    change.checkout(files, repo.head())
    agent = Repo(place)
    (repo.path / ".git/worktrees/w/index").write_bytes(index.read_bytes())
    agent.git("update-index", "--assume-unchanged", "a.txt")
    agent.git("update-index", "--skip-worktree", "d/b.txt")
    agent.write("a.txt", "x\n")
    agent.write("d/b.txt", "y\n")
    assert agent.status() == ""
    tree = change.stage_everything(files)
    assert {c.path for c in query.changed_paths(opened.objects, repo.head(), tree)} == {"a.txt", "d/b.txt"}


def test_a_submodule_hidden_by_gitmodules_shows(repo: Repo, opened: Repository) -> None:
    before = repo.commit(_gitmodules='[submodule "s"]\n path = s\n url = x\n ignore = all\n')
    repo.git("mv", "_gitmodules", ".gitmodules")
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{before},s")
    repo.git("commit", "--quiet", "--message", "s")
    one = repo.head()
    repo.git("update-index", "--cacheinfo", f"160000,{one},s")
    repo.git("commit", "--quiet", "--message", "moved")
    assert [c.path for c in query.changed_paths(opened.objects, one, repo.head())] == ["s"]


def test_a_change_that_was_undone_on_the_way_shows(repo: Repo, opened: Repository) -> None:
    base = repo.head()
    repo.commit("sneak", other__x_py="x")
    repo.git("rm", "--quiet", "other/x.py")
    head = repo.commit("undo", mine_py="1")
    assert {c.path for c in query.changed_paths(opened.objects, base, head)} == {"mine.py"}
    assert {c.path for c in query.every_change_between(opened.objects, base, head)} == {"mine.py", "other/x.py"}


def test_a_rename_is_a_delete_and_an_add(repo: Repo, opened: Repository) -> None:
    base = repo.head()
    repo.git("mv", "d/b.txt", "c.txt")
    head = repo.commit("move")
    assert {(c.path, c.added, c.deleted) for c in query.changed_paths(opened.objects, base, head)} == {
        ("c.txt", True, False), ("d/b.txt", False, True),
    }  # fmt: skip


def test_a_merge_names_the_paths_in_conflict_and_refuses_what_is_no_commit(repo: Repo, opened: Repository) -> None:
    base = repo.head()
    ours = repo.commit("ours", a_txt="ours\n")
    repo.git("checkout", "--quiet", "-b", "side", base)
    theirs = repo.commit("theirs", a_txt="theirs\n", n_txt="n\n")
    assert query.merge_in_memory(opened.objects, ours, theirs).conflicts == ("a.txt",)
    assert query.merge_in_memory(opened.objects, base, theirs).tree == repo.tree(theirs)
    with pytest.raises(GitError, match="not something we can merge"):
        query.merge_in_memory(opened.objects, ours, "f" * 40)


KILLED = """#!/bin/sh
case "$*" in *update-ref*) if mkdir {place}/once 2>/dev/null; then read -r start; : > {lock}; kill -9 $$; fi;; esac
exec {git} "$@"
"""


@pytest.mark.parametrize("name", ["HEAD.lock", "refs/heads/main.lock"])
@pytest.mark.parametrize("other", [False, True])
def test_the_lock_of_a_git_that_was_killed_goes_unless_another_may_hold_it(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, other: bool
) -> None:
    one, two, lock = repo.head(), repo.commit("two", a_txt="2\n"), repo.path / ".git" / name
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin/git"
    wrapper.write_text(KILLED.format(place=tmp_path, lock=lock, git=shutil.which("git")))
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    own = Repository.open(repo.path).own
    if not other:
        assert change.move_ref(own, "refs/heads/main", one, two)
        assert (repo.head("main"), lock.exists()) == (one, False)
        return
    somebody = ["sh", "-c", "echo HEAD; git cat-file --batch-check; :"]  # not started by us
    with subprocess.Popen(somebody, cwd=repo.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as person:
        assert person.stdin is not None
        assert person.stdout is not None
        person.stdin.write(b"HEAD\n")
        person.stdin.flush()
        assert [person.stdout.readline()[:4], person.stdout.readline()[:4]] == [b"HEAD", two.encode()[:4]], (
            "it is at work"
        )
        with pytest.raises(GitError, match="File exists"):
            change.move_ref(own, "refs/heads/main", one, two)
    assert (repo.head("main"), lock.exists()) == (two, True)


def test_a_ref_moves_only_from_where_it_is_said_to_be(repo: Repo, opened: Repository) -> None:
    one = repo.head()
    two = repo.commit("two", a_txt="2\n")
    assert not change.move_ref(opened.own, "refs/heads/main", one, one)
    assert change.move_ref(opened.own, "refs/heads/main", one, two)
    assert not change.move_ref(opened.own, "refs/heads/main", two, None)
    assert change.move_ref(opened.own, "refs/orch/x", two, None)


def test_moving_a_checkout_keeps_what_is_not_in_the_way_and_refuses_what_is(repo: Repo, opened: Repository) -> None:
    one = repo.head()
    two = repo.commit("two", a_txt="2\n", n_txt="n\n")
    repo.git("reset", "--quiet", "--hard", one)
    repo.write("d/b.txt", "mine\n")
    assert change.move_checkout(opened.own, one, two) == ""
    assert (repo.path / "a.txt").read_text() == "2\n"
    assert (repo.path / "d/b.txt").read_text() == "mine\n"
    assert change.move_checkout(opened.own, two, one) == ""
    repo.write("n.txt", "untracked\n")
    assert "n.txt" in change.move_checkout(opened.own, one, two)
    assert (repo.path / "n.txt").read_text() == "untracked\n"
    assert (repo.path / "a.txt").read_text() == "a\n"


def test_a_folder_without_a_repository_and_a_partial_clone_are_refused(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(UsageError, match="not in a git repository"):
        Repository.open(tmp_path / "plain")
    repo.git("config", "extensions.partialClone", "origin")
    with pytest.raises(UsageError, match="partial clone"):
        Repository.open(repo.path)


def test_a_linked_worktree_and_a_bare_repository_are_found(repo: Repo, tmp_path: Path) -> None:
    repo.git("worktree", "add", "--quiet", "-b", "side", tmp_path / "linked")
    repo.git("clone", "--quiet", "--bare", repo.path, tmp_path / "bare.git")
    linked, bare = Repository.open(tmp_path / "linked"), Repository.open(tmp_path / "bare.git")
    assert (linked.common_dir, linked.work_tree) == (repo.path / ".git", tmp_path / "linked")
    assert (bare.common_dir, bare.work_tree) == (tmp_path / "bare.git", None)
    assert query.tip(bare.own, "main") == repo.head()


def test_an_object_store_with_sha256_works(tmp_path: Path) -> None:
    path = tmp_path / "sha256"
    path.mkdir()
    repo = Repo(path)
    repo.git("init", "--quiet", "--initial-branch", "main", "--object-format=sha256")
    head = repo.commit("start", a_txt="a\n")
    opened = Repository.open(path)
    objects = private_git_folder(opened, tmp_path)
    tree = change.tree_with(objects.at(index=tmp_path / "index"), head, {"b.txt": b"b\n"})
    commit = change.commit_tree(objects, tree, [query.tip(opened.own, "main") or ""], "m\n", "a")
    assert change.move_ref(opened.own, "refs/heads/main", commit, head)
    assert change.move_ref(opened.own, "refs/heads/new", commit, None)
    assert repo.files("main") == ["a.txt", "b.txt"]


def test_nobody_collects_while_objects_are_written_and_a_lock_of_the_dead_is_no_lock(repo: Repo) -> None:
    lock = repo.path / ".git/gc.pid"
    gone = subprocess.Popen(["true"])
    gone.wait()
    lock.write_text(f"{gone.pid} {socket.gethostname()}")

    def collect() -> int:
        return subprocess.run(["git", "gc", "--quiet"], cwd=repo.path, capture_output=True, check=False).returncode

    async def hold() -> int:
        async with no_gc(repo.path / ".git"):
            return await asyncio.to_thread(collect)

    assert asyncio.run(hold()) != 0
    assert not lock.exists()
    assert collect() == 0
