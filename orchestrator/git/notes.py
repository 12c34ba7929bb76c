"""Git notes, all of one ref at once: written as objects and by one compare-and-swap, so that no reader sees half of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import GitError
from orchestrator.git import change, query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.git.command import Git

__all__ = ["write_notes"]

_TRIES = 5


def write_notes(git: Git, ref: str, notes: Mapping[str, bytes], message: str) -> bool:
    """Let a notes ref hold exactly these notes (object → text); return False if it did already.

    What it held before stays in its history. Other refs are not touched.

    Raises:
        GitError: others move the ref again and again.
    """
    blobs = _blobs(git, list(notes.values()))
    lines = b"".join(
        f"100644 blob {blob}\t{name}\0".encode("ascii") for name, blob in sorted(zip(notes, blobs, strict=True))
    )
    tree = git.text("mktree", "-z", stdin=lines)
    for _ in range(_TRIES):
        before = query.resolve(git, ref)
        if before and query.tree_of(git, before) == tree:
            return False
        parents = ("-p", before) if before else ()
        commit = git.text("commit-tree", tree, *parents, "-m", message, env=_COMMITTER)
        if change.move_ref(git, ref, commit, before):
            return True
    raise GitError(["git", "update-ref", ref], git.cwd, -1, "others move it at the same time")


_COMMITTER = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "orch"), ("EMAIL", change.AUTHOR_MAIL))
}


def _blobs(git: Git, texts: list[bytes]) -> list[str]:
    """Write all texts by one process, as one pack, and return their names."""
    if not texts:
        return []
    told = b"".join(b"blob\nmark :%d\ndata %d\n%s\n" % (n, len(text), text) for n, text in enumerate(texts, 1))
    asked = b"".join(b"get-mark :%d\n" % n for n in range(1, len(texts) + 1))
    return git.text("fast-import", "--quiet", "--done", stdin=told + asked + b"done\n").split()
