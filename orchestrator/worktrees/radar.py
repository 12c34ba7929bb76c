"""The conflict radar: which tasks' work, as far as it is written, would not merge; seen while agents are still writing.

All pairs are looked at: first by the paths that they change, then by merging in memory. The objects of those merges go to a
folder that is thrown away, so that nothing is left behind in the repository.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.git import query
from orchestrator.model.meeting import may_meet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.git.command import Git

__all__ = ["Meeting", "Radar", "meetings"]


class Meeting(NamedTuple):
    """Two tasks whose work does not merge, and the paths in conflict."""

    one: str
    other: str
    paths: tuple[str, ...]


class Radar:
    """Knows the newest state of each task's unlanded work, and tells of each pair once when it is seen to meet."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._work: dict[str, tuple[str, str]] = {}
        self._told: set[frozenset[str]] = set()
        self._looking = threading.Lock()

    def look(self, task: str, start: str, commit: str) -> list[Meeting]:
        """Take in a task's work, from the commit that it began on; return what it meets now for the first time."""
        with self._looking:
            self._work[task] = (start, commit)
            found = [m for m in meetings(self._git, self._work, only=task) if {m.one, m.other} not in self._told]
            self._told.update(frozenset((m.one, m.other)) for m in found)
        return found

    def forget(self, task: str) -> None:
        """Look at a task's work no more: it has landed, or was refused; its next generation may meet others anew."""
        with self._looking:
            self._work.pop(task, None)
            self._told = {pair for pair in self._told if task not in pair}


def meetings(git: Git, work: Mapping[str, tuple[str, str]], only: str | None = None) -> list[Meeting]:
    """Return every pair of works that do not merge; `only` limits it to the pairs of one.

    `work` maps a name to the commit that it started from and the commit that it has come to.
    """
    changes = query.changes_of_each(git, list(work.values()))
    changed = {name: [c.path for c in found] for name, found in zip(work, changes, strict=True)}
    pairs = [pair for pair in may_meet(changed) if only is None or only in pair]
    found = []
    if pairs:
        with _throw_away(git) as aside:
            for one, other in pairs:
                merged = query.merge_in_memory(aside, work[one][1], work[other][1])
                if merged.conflicts:
                    found.append(Meeting(one, other, merged.conflicts))
    return found


@contextmanager
def _throw_away(git: Git) -> Iterator[Git]:
    """Lend a git whose new objects are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="radar-", dir=git.git_dir))  # a run's own, which goes even after a kill
    try:
        yield replace(git, objects=folder, alternates=git.object_folder, reader=None, mover=None, merger=None).staying()
    finally:
        shutil.rmtree(folder)
