"""Questions to a repository; nothing here changes anything but loose objects that nobody refers to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchestrator.errors import GitError
from orchestrator.git.objects import DIFF, RAW_DIFF
from orchestrator.git.parse import (
    ABSENT,
    COMMIT_FORMAT,
    BlameLine,
    Change,
    CommitId,
    CommitRecord,
    MergeResult,
    Ref,
    TreeId,
    WorktreeEntry,
    decode,
    parse_blame,
    parse_commit,
    parse_commits,
    parse_merge,
    parse_raw_diff,
    parse_raw_diffs,
    parse_refs,
    parse_worktrees,
    tree_in_commit,
)
from orchestrator.git.untouched import untouched

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from orchestrator.git.command import Git
    from orchestrator.git.objects import GitObject

__all__ = [
    "SAME_LINES",
    "blame",
    "blobs_beyond",
    "changed_paths",
    "changes_of_each",
    "commit_record",
    "commits_between",
    "commits_beyond",
    "count_files",
    "every_change_between",
    "files_at",
    "first_parents",
    "ignored_files",
    "ignored_in",
    "ignored_of",
    "index_is",
    "is_ancestor",
    "lineage",
    "merge_in_memory",
    "new_objects",
    "objects_of_each",
    "patch_between",
    "read_blob",
    "read_file",
    "refs",
    "resolve",
    "size_of",
    "submodules",
    "tip",
    "tracked_changes",
    "tree_of",
    "unstaged_files",
    "untracked_files",
    "worktrees",
]


_DISK_BLOCK = 4096  # bytes; what most file systems give to files in steps


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
    """Return every path whose tree entry differs, renames as a delete and an add.

    Objects are compared, never work trees: ten times cheaper, and index flags cannot fool it.
    """
    return parse_raw_diff(git.run("diff-tree", *RAW_DIFF, base, head).out)


def changes_of_each(git: Git, pairs: Sequence[tuple[str, str]]) -> list[tuple[Change, ...]]:
    """Return what `changed_paths` does for each pair of commits, older one first, by one process for all of them."""
    return [tuple(c for c in entries if not c.is_folder) for entries in _differences(git, pairs)]


def objects_of_each(git: Git, pairs: Sequence[tuple[str, str]]) -> list[frozenset[str]]:
    """Return, for each pair of commits, older one first, the folders and files of the newer one that the older has not there."""
    elsewhere = {ABSENT, "160000"}
    return [frozenset(c.new_blob for c in found if c.new_mode not in elsewhere) for found in _differences(git, pairs)]


def _differences(git: Git, pairs: Sequence[tuple[str, str]]) -> list[tuple[Change, ...]]:
    if not pairs:
        return []
    told = git.differ.compare(pairs) if git.differ is not None else None
    if told is not None and len(found := parse_raw_diffs(told)) == len(pairs):
        return found
    lines = "".join(f"{new} {old}\n" for old, new in pairs)
    return parse_raw_diffs(git.run(*DIFF, stdin=lines.encode("ascii")).out)


def every_change_between(git: Git, base: str, head: str) -> tuple[Change, ...]:
    """Return what each commit of `base..head` changes against each of its parents, so that a change undone later still shows."""
    out = git.run("log", "-m", "--format=", *RAW_DIFF[1:], f"{base}..{head}").out
    return tuple(dict.fromkeys(parse_raw_diff(out)))


def read_file(git: Git, commit: str, path: str) -> bytes | None:
    """Return a file's content in a commit, or None if it is no file there."""
    found = git.find(f"{commit}:{path}")
    return found.data if found and found.kind == "blob" else None


def read_blob(git: Git, blob: str) -> bytes:
    """Return what a blob holds; nothing if it is not there."""
    found = git.find(blob)
    return found.data if found else b""


def count_files(git: Git, revision: str) -> int:
    """Return how many files and links a revision holds."""
    return git.run("ls-tree", "-r", "-z", "--name-only", "--full-tree", revision).out.count(b"\0")


def size_of(git: Git, revision: str) -> int:
    """Return how many bytes the files of a revision take on a disk, about."""
    sizes = [line.split(None, 4)[3] for line in git.run("ls-tree", "-r", "-l", "-z", revision).out.split(b"\0") if line]
    return sum(-(-int(size) // _DISK_BLOCK) * _DISK_BLOCK for size in sizes if size.isdigit())


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

    Raises:
        GitError: one of them is no commit here, or they have nothing in common.
    """
    if git.merger is not None and (answer := git.merger.merge(ours, theirs)):
        return parse_merge(answer)
    command = ("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs)
    done = git.run(*command, accept=(0, 1))
    if not done.out:  # git 2.39 ends with 1, as for a conflict, when a name is no commit
        raise GitError(["git", *command], git.cwd, done.code, done.err)
    return parse_merge(done.out.split(b"\0"))


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


def new_objects(git: Git, commit: str, known: str) -> list[str] | None:
    """Return the names of all objects of `commit` that `known` does not hold; None if one of them is not here."""
    done = git.run("rev-list", "--objects", "--no-object-names", commit, "--not", known, accept=(0, 128))
    return None if done.code else done.text.split()


def refs(git: Git, *below: str) -> tuple[Ref, ...]:
    """Return the refs whose names begin so, in the order of their names; `below` ends with slashes."""
    return parse_refs(git.run("for-each-ref", "--format=%(objectname) %(refname) %(symref)", *below).out)


def object_format(git: Git) -> str:
    """Return how this repository names its objects: `sha1` or `sha256`."""
    return git.text("rev-parse", "--show-object-format")


def commits_beyond(git: Git, tips: Iterable[str], known: Iterable[str]) -> frozenset[str]:
    """Return the commits that lead to `tips` and not to `known`."""
    return _listed_beyond(git, tips, known)


def blobs_beyond(git: Git, tips: Iterable[str], known: Iterable[str]) -> frozenset[str]:
    """Return the blobs in the commits that lead to `tips` and not to `known`, all of them if nothing is known.

    What is in the commits that are known is left out as far as git sees it at once; the answer may hold some of it.
    """
    only_blobs = ("--objects", "--no-object-names", "--filter=object:type=blob", "--filter-provided-objects")
    return _listed_beyond(git, tips, known, *only_blobs)


def _listed_beyond(git: Git, tips: Iterable[str], known: Iterable[str], *options: str) -> frozenset[str]:
    revisions = [*dict.fromkeys(tips), *(f"^{name}" for name in dict.fromkeys(known))]
    if not revisions or revisions[0].startswith("^"):
        return frozenset()
    lines = "".join(f"{revision}\n" for revision in revisions)
    return frozenset(git.run("rev-list", *options, "--stdin", stdin=lines.encode("ascii")).text.split())


def index_is(git: Git, commit: str) -> bool:
    """Tell whether exactly a commit's files are staged in this git's work tree."""
    return git.run("diff-index", "--cached", "--quiet", commit, accept=(0, 1)).code == 0


def ignored_files(git: Git) -> list[str]:
    """Return what this git's work tree holds that is ignored, a folder that is ignored whole as one."""
    command = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")
    return [decode(path) for path in git.run(*command).out.split(b"\0") if path]


def ignored_in(git: Git, folder: str) -> list[str]:
    """Return every ignored file below a folder of this git's work tree; `folder` ends with a slash."""
    command = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--", folder)
    return [decode(path) for path in git.run(*command).out.split(b"\0") if path]


def ignored_of(git: Git, paths: Sequence[str]) -> set[str]:
    """Return which of these paths are ignored in this git's work tree, whether they are there or not; a tracked one is not."""
    names = b"".join(b"./" + os.fsencode(path) + b"\0" for path in paths)  # so that none is taken for a pattern
    done = git.run("check-ignore", "-z", "--stdin", stdin=names, accept=(0, 1), env={"GIT_LITERAL_PATHSPECS": "0"})
    return {decode(path).removeprefix("./") for path in done.out.split(b"\0") if path}


def untracked_files(git: Git, *, named_in: Path | None = None) -> list[str]:
    """Return every untracked file of this git's work tree, ignored or not, or those that a file with such patterns names."""
    only = ("--ignored", f"--exclude-from={named_in}") if named_in else ()
    return [decode(path) for path in git.run("ls-files", "-z", "--others", *only).out.split(b"\0") if path]


def unstaged_files(git: Git) -> list[str]:
    """Return what differs from this git's index, untracked and deleted files included; a nested repository ends with a slash.

    Files whose size and times are as the index has them are not read.
    """
    command = ("ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-standard", "--deduplicate")
    return [decode(path) for path in git.run(*command).out.split(b"\0") if path]


SAME_LINES = ("--no-textconv", "--diff-algorithm=myers", "--indent-heuristic")
"""What tells one line from another must not depend on a setting, and be the same for blame and for a patch."""


def blame(
    git: Git,
    *revisions: str,
    path: str,
    lines: tuple[int, int] | None = None,
    past: Iterable[str] = (),
    copies: bool = False,
) -> tuple[BlameLine, ...]:
    """Return each line of a file with the commit it came from; `lines` (inclusive, from 1) limits the range.

    What the commits `past` changed is blamed on those before them (`--ignore-rev`). With `copies`, lines that were copied from
    another file come from where they were written (`-C -C`).
    """
    span = ("-L", f"{lines[0]},{lines[1]}") if lines else ()
    more = (*(f"--ignore-rev={commit}" for commit in past), *(("-C", "-C") if copies else ()))
    command = ("blame", "--porcelain", "--ignore-revs-file=", *SAME_LINES)
    return parse_blame(git.run(*command, *more, *span, *revisions, "--", path).out)


def lineage(git: Git, head: str, known: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Return the commits that lead to `head` and not to `known`, each with its parents, parents before children."""
    beyond = (f"^{name}" for name in known)
    out = git.run("rev-list", "--topo-order", "--reverse", "--parents", head, *beyond).text
    return [(names[0], names[1:]) for names in map(str.split, out.splitlines())]


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


def commits_between(git: Git, *revisions: str, paths: Sequence[str] = ()) -> tuple[CommitRecord, ...]:
    """Return the records of `git log REVISIONS`, newest first; with `paths`, of those that change one of them."""
    return tuple(parse_commits(git.run("log", f"--format={COMMIT_FORMAT}", *revisions, "--", *paths).out))


def first_parents(git: Git, base: str, head: str) -> tuple[CommitRecord, ...]:
    """Return the first-parent commits of `base..head`, oldest first."""
    return commits_between(git, "--first-parent", "--reverse", f"{base}..{head}")


def patch_between(git: Git, base: str, head: str, paths: Sequence[str] = ()) -> bytes:
    """Return the patch from one commit to another, of all paths or of these: binary, full names, renames as delete and add."""
    return git.run(
        "diff-tree", "-r", "-p", "--binary", "--full-index", "--no-renames", "--ignore-submodules=none", "--no-ext-diff",
        "--no-textconv", base, head, "--", *paths,
    ).out  # fmt: skip
