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
    "has_tracked_changes",
    "ignored_files",
    "merge_in_memory",
    "patch_between",
    "read_blob",
    "read_file",
    "resolve",
    "tip",
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


def has_tracked_changes(git: Git) -> bool:
    """Tell whether a tracked file of this git's work tree differs from HEAD or is staged, or a merge is unfinished.

    A file that is as git wrote it does not count, whatever git makes of its line ends.
    """
    out = git.run("status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=dirty").out
    records = [decode(record) for record in out.split(b"\0") if record]
    changed = {record.removeprefix(" M ") for record in records}
    return bool(records) and not (
        all(record.startswith(" M ") for record in records) and untouched(git, changed).keys() == changed
    )


def ignored_files(git: Git) -> list[str]:
    """Return what this git's work tree holds that is ignored, a folder that is ignored whole as one."""
    command = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")
    return [decode(path) for path in git.run(*command).out.split(b"\0") if path]


def blame(git: Git, revision: str, path: str, lines: tuple[int, int] | None = None) -> tuple[BlameLine, ...]:
    """Return each line of a file with the commit it came from; `lines` (inclusive, from 1) limits the range."""
    span = ("-L", f"{lines[0]},{lines[1]}") if lines else ()
    return parse_blame(git.run("blame", "--porcelain", "--no-textconv", *span, revision, "--", path).out)


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
