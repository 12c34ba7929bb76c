"""Questions to a repository; nothing here changes anything but loose objects that nobody refers to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchestrator.errors import GitError
from orchestrator.git.parse import (
    COMMIT_FORMAT,
    BlameLine,
    Change,
    CommitId,
    CommitRecord,
    MergeResult,
    TreeId,
    WorktreeEntry,
    decode,
    parse_blame,
    parse_commit,
    parse_commits,
    parse_merge,
    parse_raw_diff,
    parse_worktrees,
    tree_in_commit,
)
from orchestrator.git.untouched import untouched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.git.command import Git
    from orchestrator.git.objects import GitObject

__all__ = [
    "blame",
    "changed_paths",
    "commit_record",
    "commits_between",
    "every_change_between",
    "files_at",
    "first_parents",
    "ignored_files",
    "index_is",
    "is_ancestor",
    "merge_in_memory",
    "patch_between",
    "read_blob",
    "read_file",
    "resolve",
    "submodules",
    "tip",
    "tracked_changes",
    "tree_of",
    "worktrees",
]

# Objects are compared, never work trees: ten times cheaper, and index flags cannot fool it.
# --ignore-submodules=none because `ignore = all` in a .gitmodules file hides a moved submodule even from diff-tree.
_RAW = (
    "-r",
    "-z",
    "--raw",
    "--no-renames",
    "--no-abbrev",
    "--ignore-submodules=none",
    "--no-ext-diff",
    "--no-textconv",
)


def resolve(git: Git, revision: str) -> CommitId | None:
    """Return the commit that a revision names, or None."""
    found = git.find(f"{revision}^{{commit}}")
    return CommitId(found.id) if found else None


def tip(git: Git, branch: str) -> CommitId | None:
    """Return the commit a local branch points at, or None if there is no such branch."""
    return resolve(git, f"refs/heads/{branch}")


def tree_of(git: Git, commit: str) -> TreeId:
    """Return the tree of a commit.

    Raises:
        GitError: there is no such commit.
    """
    return tree_in_commit(_commit(git, commit).data)


def changed_paths(git: Git, base: str, head: str) -> tuple[Change, ...]:
    """Return every path whose tree entry differs, renames as a delete and an add."""
    return parse_raw_diff(git.run("diff-tree", *_RAW, base, head).out)


def every_change_between(git: Git, base: str, head: str) -> tuple[Change, ...]:
    """Return what each commit of `base..head` changes against each of its parents, so that a change undone later still shows."""
    out = git.run("log", "-m", "--format=", *_RAW[1:], f"{base}..{head}").out
    return tuple(dict.fromkeys(parse_raw_diff(out)))


def read_file(git: Git, commit: str, path: str) -> bytes | None:
    """Return a file's content in a commit, or None if it is no file there."""
    found = git.find(f"{commit}:{path}")
    return found.data if found and found.kind == "blob" else None


def read_blob(git: Git, blob: str) -> bytes:
    """Return what a blob holds; nothing if it is not there."""
    found = git.find(blob)
    return found.data if found else b""


def files_at(git: Git, commit: str, paths: Sequence[str] = ()) -> dict[str, tuple[str, str]]:
    """Return path → (mode, blob) for the files of a commit, or for those of them that are named."""
    out = git.run("ls-tree", "-r", "-z", "--full-tree", commit, "--", *paths).out
    entries = (record.partition(b"\t") for record in out.split(b"\0") if record)
    return {os.fsdecode(path): (meta.split()[0].decode(), meta.split()[2].decode()) for meta, _, path in entries}


def submodules(git: Git, commit: str) -> frozenset[str]:
    """Return the paths at which a commit names a commit of another repository."""
    return frozenset(path for path, (mode, _) in files_at(git, commit).items() if mode == "160000")


def merge_in_memory(git: Git, ours: str, theirs: str) -> MergeResult:
    """Merge two commits without a work tree (git 2.38 or newer).

    Never `--quiet`: git 2.50 to 2.55 then calls some conflicting merges clean.
    """
    command = ("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs)
    done = git.run(*command, accept=(0, 1))
    if not done.out:  # git 2.39 ends with 1, as for a conflict, when a name is no commit
        raise GitError(["git", *command], git.cwd, done.code, done.err)
    return parse_merge(done.out)


def worktrees(git: Git) -> tuple[WorktreeEntry, ...]:
    """Return every worktree that the repository knows."""
    return parse_worktrees(git.run("worktree", "list", "--porcelain", "-z").out)


def tracked_changes(git: Git) -> list[str]:
    """Return the tracked files of this git's work tree that differ from HEAD, or are staged, or are in a merge.

    A file that is as git wrote it does not count, whatever git makes of its line ends.
    """
    command = ("status", "--porcelain", "-z", "--untracked-files=no", "--no-renames", "--ignore-submodules=dirty")
    records = [decode(record) for record in git.run(*command).out.split(b"\0") if record]
    unstaged = {record[3:] for record in records if record.startswith(" M ")}
    ours = untouched(git, unstaged) if unstaged else {}
    return [record[3:] for record in records if record[3:] not in ours]


def is_ancestor(git: Git, older: str, newer: str) -> bool:
    """Tell whether `newer` holds all of the history of `older`."""
    return git.run("merge-base", "--is-ancestor", older, newer, accept=(0, 1, 128)).code == 0


def index_is(git: Git, commit: str) -> bool:
    """Tell whether exactly a commit's files are staged in this git's work tree."""
    return git.run("diff-index", "--cached", "--quiet", commit, accept=(0, 1)).code == 0


def ignored_files(git: Git) -> list[str]:
    """Return what this git's work tree holds that is ignored, a folder that is ignored whole as one."""
    command = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")
    return [decode(path) for path in git.run(*command).out.split(b"\0") if path]


def blame(git: Git, revision: str, path: str, lines: tuple[int, int] | None = None) -> tuple[BlameLine, ...]:
    """Return each line of a file with the commit it came from; `lines` (inclusive, from 1) limits the range."""
    span = ("-L", f"{lines[0]},{lines[1]}") if lines else ()
    return parse_blame(
        git.run("blame", "--porcelain", "--no-textconv", "--ignore-revs-file=", *span, revision, "--", path).out
    )


def commit_record(git: Git, commit: str) -> CommitRecord:
    """Return a commit's parents and message.

    Raises:
        GitError: there is no such commit.
    """
    found = _commit(git, commit)
    return parse_commit(found.id, found.data)


def _commit(git: Git, name: str) -> GitObject:
    found = git.find(f"{name}^{{commit}}")
    if found is None:
        raise GitError(["git", "cat-file", "commit", name], git.cwd, 128, f"{name} is no commit here")
    return found


def commits_between(git: Git, *revisions: str) -> tuple[CommitRecord, ...]:
    """Return the records of `git log REVISIONS`, newest first."""
    return tuple(parse_commits(git.run("log", f"--format={COMMIT_FORMAT}", *revisions, "--").out))


def first_parents(git: Git, base: str, head: str) -> tuple[CommitRecord, ...]:
    """Return the first-parent commits of `base..head`, oldest first."""
    return commits_between(git, "--first-parent", "--reverse", f"{base}..{head}")


def patch_between(git: Git, base: str, head: str) -> bytes:
    """Return the patch from one commit to another: binary, full object names, renames as delete and add."""
    return git.run(
        "diff-tree", "-r", "-p", "--binary", "--full-index", "--no-renames", "--ignore-submodules=none", "--no-ext-diff",
        "--no-textconv", base, head,
    ).out  # fmt: skip
