"""Questions about blobs, wherever they stand: how they differ, which of them is another one renamed, how many lines they have.

Git compares trees, so trees are made that hold just what is to be compared, many blobs at a time. They go to a folder that is
thrown away, after a kill by the next one who needs such a folder; nothing is left behind in the repository.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from orchestrator.files import folder_id
from orchestrator.git.parse import parse_blobs, parse_cuts, parse_sources
from orchestrator.git.query import SAME_LINES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchestrator.git.command import Git
    from orchestrator.git.parse import BlobLines, Change

__all__ = ["cuts_of_each", "lines_of_each", "sources_of_each"]

_AT_ONCE = 1000  # what one process is asked for, since its whole answer is kept
T = TypeVar("T")
_KINDS = {"040000": "tree", "160000": "commit"}


class _Entry(NamedTuple):
    """What stands at a name in a tree."""

    mode: str
    object: str
    name: str


def cuts_of_each(git: Git, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], list[tuple[int, int, int]]]:
    """Return (old blob, new blob) → the cuts that blame sees: how many lines come before each, how many go, how many come."""
    command = ("diff-tree", "-p", "--unified=0", "--text", "--full-index", "--no-renames", "--no-ext-diff", *SAME_LINES)
    found: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    with _aside(git) as aside:
        for some in _parts(dict.fromkeys(pairs)):
            old = [_Entry("100644", pair[0], f"{place:08}") for place, pair in enumerate(some)]
            new = [_Entry("100644", pair[1], f"{place:08}") for place, pair in enumerate(some)]
            found |= parse_cuts(aside.run(*command, *_trees(aside, [old, new])).out)
    return found


def sources_of_each(git: Git, questions: Sequence[tuple[Change, Sequence[Change]]]) -> list[Change | None]:
    """Return for each new file which of some deleted files, in the order of git, blame takes for it under its old name.

    Each is asked for alone, as blame does: where git looks at all new files of a commit together, it gives each away once.
    """
    command = ("diff-tree", "--stdin", "-r", "-z", "--raw", "--find-renames=50%", "-l1000", "--diff-filter=R")
    found: list[Change | None] = []
    with _aside(git) as aside:
        for some in _parts(questions):
            # All that git looks at in a path is its last part: each file is put into a folder with a number for a name.
            new = [[_Entry(c.new_mode, c.new_blob, _last_part(c))] for c, _ in some]
            old = [[_Entry(c.old_mode, c.old_blob, _last_part(c)) for c in deleted] for _, deleted in some]
            files = list(dict.fromkeys(entry for entries in new + old for entry in entries))
            folder = dict(zip(files, _trees(aside, [[entry] for entry in files]), strict=True))
            sides = [[_Entry("040000", folder[e], f"{place:08}") for place, e in enumerate(es)] for es in old + new]
            trees = _trees(aside, sides)
            asked = list(zip(trees[: len(some)], trees[len(some) :], strict=True))
            told = "".join(f"{before} {after}\n" for before, after in asked).encode("ascii")
            sources = parse_sources(aside.run(*command, stdin=told).out)
            for pair, (_, deleted) in zip(asked, some, strict=True):
                source = sources[pair]
                found.append(None if source is None else deleted[int(source.partition("/")[0])])
    return found


def lines_of_each(git: Git, blobs: Iterable[str]) -> dict[str, BlobLines]:
    """Return how many lines each of these blobs has."""
    found: dict[str, BlobLines] = {}
    for some in _parts(dict.fromkeys(blobs)):
        told = "".join(f"{name}\n" for name in some).encode("ascii")
        found |= parse_blobs(git.run("cat-file", "--batch", "--buffer", stdin=told).out)
    return found


def _last_part(change: Change) -> str:
    return change.path.rpartition("/")[2]


def _parts(wanted: Iterable[T]) -> Iterator[list[T]]:
    items = list(wanted)
    for place in range(0, len(items), _AT_ONCE):
        yield items[place : place + _AT_ONCE]


def _trees(git: Git, wanted: Iterable[Sequence[_Entry]]) -> list[str]:
    """Make a tree of each of these lists of entries."""
    told = b"".join(
        b"".join(
            f"{entry.mode} {_KINDS.get(entry.mode, 'blob')} {entry.object}\t".encode("ascii")
            + os.fsencode(entry.name)
            + b"\0"
            for entry in entries
        )
        + b"\0"
        for entries in wanted
    )
    return git.text("mktree", "-z", "--batch", "--missing", stdin=told).split()


@contextlib.contextmanager
def _aside(git: Git) -> Iterator[Git]:
    """Lend a git whose new objects are gone afterwards."""
    # Not `object_folder`: in a linked worktree, objects lie with those of the main one.
    objects = git.objects or git.cwd / git.text("rev-parse", "--git-path", "objects")
    # In the git folder, where everybody who may blame looks first; elsewhere only for those who cannot write there.
    parent = objects.parent if os.access(objects.parent, os.W_OK) else Path(tempfile.gettempdir())
    with _scratch(parent) as folder:
        quoted = str(objects).replace("\\", "\\\\").replace('"', '\\"')  # else a colon would end the path
        yield replace(git, objects=folder, alternates=Path(f'"{quoted}"'))


_SCRATCH = "orch-blobs-"


@contextlib.contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    """Lend a new folder; what others have left whose process is gone is deleted first.

    Whoever uses such a folder holds a lock on it, which ends with the process, however that ends.
    """
    for left in parent.glob(f"{_SCRATCH}*"):
        with _held(left) as free:
            if free:
                shutil.rmtree(left, ignore_errors=True)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=parent))
        with _held(folder) as ours:
            if not ours:  # somebody has found it before it was locked, and deletes it
                continue
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            return


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Lock a folder; yield False if it is gone, or somebody else's, or has been locked by another process."""
    import fcntl  # Linux and macOS; there is no such module elsewhere

    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        locked = False
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = folder_id(folder) is not None
        yield locked
    finally:
        os.close(descriptor)
