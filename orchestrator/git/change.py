"""Deeds on a repository: objects, refs, work trees. Each one either happens whole or leaves only unreferenced objects."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.git.parse import CommitId, TreeId

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from orchestrator.git.command import Git

__all__ = [
    "add_worktree",
    "apply_patch",
    "checkout",
    "commit_tree",
    "file_lock",
    "hash_file",
    "move_checkout",
    "move_ref",
    "remove_untracked",
    "stage_everything",
    "tree_with",
]

AUTHOR_MAIL = "orch@orch.invalid"


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file; it ends with the process, however that ends.

    `git worktree add` and the update of a checked-out branch each need one for the whole repository, across processes.
    """
    import fcntl  # Linux and macOS; there is no such module elsewhere

    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def hash_file(git: Git, content: bytes) -> str:
    """Write a blob and return its name."""
    return git.run("hash-object", "-w", "--stdin", stdin=content).text


def tree_with(git: Git, base: str, files: Mapping[str, bytes]) -> TreeId:
    """Return the tree of `base` with these files written into it, by way of this git's own index file."""
    git.run("read-tree", base)
    entries = [f"100644 {hash_file(git, content)}\t{path}\0" for path, content in files.items()]
    git.run("update-index", "-z", "--index-info", stdin=os.fsencode("".join(entries)))
    return TreeId(git.text("write-tree"))


def commit_tree(git: Git, tree: str, parents: Sequence[str], message: str, author: str) -> CommitId:
    """Write a commit and return its name; nothing refers to it yet. The committer is the orchestrator."""
    return CommitId(
        git.text(
            "commit-tree", tree, *(part for p in parents for part in ("-p", p)), "-F", "-",
            stdin=message.encode("utf-8", "replace"),
            env={
                "GIT_AUTHOR_NAME": author,
                "GIT_AUTHOR_EMAIL": AUTHOR_MAIL,
                "GIT_COMMITTER_NAME": "orch",
                "GIT_COMMITTER_EMAIL": AUTHOR_MAIL,
            },
        )
    )  # fmt: skip


def move_ref(git: Git, ref: str, new: str, old: str | None) -> bool:
    """Move a ref from `old` (None: it must not exist) to `new`; return False if it is not where it was said to be."""
    return git.run("update-ref", "--create-reflog", ref, new, old or "", accept=(0, 1, 128)).code == 0


def add_worktree(git: Git, folder: Path, branch: str | None, commit: str) -> None:
    """Register a new worktree on a new branch (None: on no branch), with no file in it yet.

    `--no-track`, because a tracked start point writes `.git/config`, and parallel adds then lose the race for its lock.
    No checkout, because that would run under the repository's own configuration.
    """
    on = ("--no-track", "-b", branch) if branch else ("--detach",)
    git.run("worktree", "add", "--quiet", "--no-checkout", *on, folder, commit)


def checkout(git: Git, tree: str) -> None:
    """Write a tree's files into this git's empty work tree, and its index."""
    git.run("read-tree", "-m", "-u", tree)


def move_checkout(git: Git, previous: str, tree: str, *, pretend: bool = False) -> str:
    """Move index and work tree from one tree to another, as a checkout does; `pretend` only tells whether it could.

    Returns what is in the way (a local change, an untracked file), else an empty text. Either all of it moves or nothing.
    """
    dry = ("-n",) if pretend else ()
    done = git.run("read-tree", *dry, "-m", "-u", previous, tree, accept=(0, 1, 128))
    return done.err.strip() if done.code else ""


def remove_untracked(git: Git) -> None:
    """Delete every file of this git's work tree that is not in its index, ignored ones too. Only for folders of our own."""
    git.run("clean", "-ffdxq")


def stage_everything(git: Git) -> TreeId:
    """Put the work tree's files, as they are, into this git's index and return their tree."""
    git.run("add", "--all")
    return TreeId(git.text("write-tree"))


def apply_patch(git: Git, patch: bytes) -> str:
    """Apply a patch to this git's work tree and index; return what git says against it, empty if it applied whole."""
    done = git.run("apply", "--index", "--binary", "--whitespace=nowarn", "-", stdin=patch, accept=(0, 1, 128))
    return done.err.strip() if done.code else ""
