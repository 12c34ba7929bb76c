"""The commit of each line of all files at once: the history is read one time and replayed, not asked anew for each file.

The answer is that of `git blame` on each file. It takes a handful of questions to git, each about all commits together: what
they change, which of the new files are deleted ones renamed, and how the blobs differ that one file has after another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.git import blobs, query
from orchestrator.git.parse import ABSENT, Change
from orchestrator.model.replay import Cut, Gone, Made, Owners, Source, Step, Taken, replay

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from orchestrator.git.command import Git
    from orchestrator.git.parse import CommitRecord
    from orchestrator.model.replay import Move

__all__ = ["Lineage", "lineage_of", "owners_of_lines", "steps_of"]

Lineage = dict[str, list[str]]
"""Commit → its parents, parents first."""
_Changes = dict[str, Change]
"""Path → what a commit did to it, against one parent."""
_Renamed = dict[tuple[str, str, str], Change]
"""Commit, parent, and a path that is new there → the deletion of the file that it was before."""

_SUBMODULE = "160000"


def lineage_of(git: Git, head: str, written: Sequence[CommitRecord]) -> Lineage:
    """Return the commits that lead to `head` and may hold lines of the `written` ones: those themselves, and what came after.

    The written ones lead to `head`, too; none of them comes before one that descends from it (`git log --topo-order`).
    """
    ours = {record.id for record in written}
    found: Lineage = {}
    for commit, parents in query.lineage(git, head, written[-1].parents) if written else ():
        if commit in ours or any(parent in found for parent in parents):
            found[commit] = parents
    return found


def owners_of_lines(git: Git, head: str, lineage: Lineage, owning: Collection[str]) -> dict[str, Owners]:
    """Return path → which of the `owning` commits each line at `head` comes from; a path not named has no line of theirs."""
    steps = steps_of(git, lineage, owning)
    differences = {
        s.difference for step in steps for m in step.moves.values() if isinstance(m, Made) for s in m.sources
    }
    cuts = {pair: [Cut(*cut) for cut in found] for pair, found in blobs.cuts_of_each(git, differences).items()}
    return replay(steps, head, cuts)


def steps_of(git: Git, lineage: Lineage, owning: Collection[str]) -> list[Step]:
    """Return what each commit of a lineage does to each path; what the `owning` ones write is theirs."""
    changes = _changes(git, lineage)
    renamed = _renamed(git, lineage, changes)
    return [
        Step(
            commit=commit,
            parents=parents,
            owns=commit in owning,
            moves=_moves(commit, parents, changes[commit], renamed),
        )
        for commit, parents in lineage.items()
    ]


def _changes(git: Git, lineage: Lineage) -> dict[str, list[_Changes]]:
    """Return what each commit changes against each of its parents; a root has added its files."""
    found = {commit: [_all_new(git, commit)] for commit, parents in lineage.items() if not parents}
    firsts = [(parents[0], commit) for commit, parents in lineage.items() if parents]
    for (_, commit), changes in zip(firsts, query.changes_of_each(git, firsts), strict=True):
        found[commit] = [{change.path: change for change in changes}]
    others = []
    for commit, parents in lineage.items():
        if len(parents) == 2 and _is_in(found[commit][0], found.get(parents[1])):
            found[commit].append({})
        else:
            others += [(parent, commit) for parent in parents[1:]]
    for (_, commit), changes in zip(others, query.changes_of_each(git, others), strict=True):
        found[commit].append({change.path: change for change in changes})
    return found


def _all_new(git: Git, commit: str) -> _Changes:
    files = query.files_at(git, commit).items()
    return {
        path: Change(path=path, old_mode=ABSENT, new_mode=mode, old_blob="", new_blob=blob)
        for path, (mode, blob) in files
    }


def _is_in(merged: _Changes, other: list[_Changes] | None) -> bool:
    """Tell whether all that a merge changes in its first parent stands so in the other one, which has just changed it.

    So it is when the work of a task lands that nobody has got in the way of; a second comparison would find no difference.
    """
    if other is None:
        return False
    wanted = {path: (change.new_mode, change.new_blob) for path, change in merged.items() if not change.deleted}
    there = {path: (change.new_mode, change.new_blob) for path, change in other[0].items()}
    return wanted.items() <= there.items()


# Git blames by comparing a file with the one of the same path and kind in each parent, in their order. A parent that has the very
# same file is given all of it. In a parent that has none, git looks for a similar one among those that are gone since.


def _moves(commit: str, parents: Sequence[str], changes: Sequence[_Changes], renamed: _Renamed) -> dict[str, Move]:
    """Return where the lines of each path come from that a commit changes in its first parent."""
    found: dict[str, Move] = {}
    for path, change in changes[0].items():
        if not _is_file(change.new_mode):
            found[path] = Gone()
        elif parent := _unchanged_in(parents, changes, path):
            found[path] = Taken(parent, path)
        else:
            sources = _sources(commit, parents, changes, path, renamed)
            whole = (Taken(parent, old.path) for parent, old in sources if old.old_blob == change.new_blob)
            made = Made([Source(parent, old.path, (old.old_blob, change.new_blob)) for parent, old in sources])
            found[path] = next(whole, made)
    return found


def _unchanged_in(parents: Sequence[str], changes: Sequence[_Changes], path: str) -> str | None:
    """Return the first parent that has the very same file at a path; its mode may be another."""
    for parent, there in zip(parents, changes, strict=False):  # a root has no parent
        if path not in there or _is_same(there[path]):
            return parent
    return None


def _sources(
    commit: str, parents: Sequence[str], changes: Sequence[_Changes], path: str, renamed: _Renamed
) -> list[tuple[str, Change]]:
    """Return the parents that have a file to compare with, and the change of it: an edit of the path, or what is gone."""
    found = []
    for parent, there in zip(parents, changes, strict=False):
        old = there[path] if _is_edit(there[path]) else renamed.get((commit, parent, path))
        if old is not None:
            found.append((parent, old))
    return found


def _renamed(git: Git, lineage: Lineage, changes: dict[str, list[_Changes]]) -> _Renamed:
    """Return which new files of which commits are deleted ones under another name."""
    found: _Renamed = {}
    asked: dict[tuple[str, str, str], tuple[Change, list[Change]]] = {}
    for commit, parents in lineage.items():
        for parent, there in zip(parents, changes[commit], strict=False):
            deleted = [change for change in there.values() if change.deleted]
            same: dict[tuple[str, str], list[Change]] = {}
            for change in deleted:
                same.setdefault((_kind(change.old_mode), change.old_blob), []).append(change)
            for change in _looked_for(parents, changes[commit], there) if deleted else ():
                alike = same.get((_kind(change.new_mode), change.new_blob), [])
                if len(alike) == 1:
                    found[commit, parent, change.path] = alike[0]
                elif alike or not change.is_link:  # a link is another one only if it is exactly the same
                    asked[commit, parent, change.path] = change, deleted
    for key, source in zip(asked, blobs.sources_of_each(git, list(asked.values())), strict=True):
        if source is not None:
            found[key] = source
    return found


def _looked_for(parents: Sequence[str], changes: Sequence[_Changes], there: _Changes) -> Iterator[Change]:
    """Yield the files that are new to one parent, and that no other has as they are."""
    for path, change in there.items():
        if change.added and _is_file(change.new_mode) and path in changes[0]:
            if len(parents) > 1 and _unchanged_in(parents, changes, path):
                continue
            yield change


def _is_edit(change: Change) -> bool:
    """Tell whether there is a file of the same kind on both sides, with another content."""
    return _is_file(change.new_mode) and _kind(change.old_mode) == _kind(change.new_mode) and not _is_same(change)


def _is_same(change: Change) -> bool:
    """Tell whether only the mode is another."""
    return _kind(change.old_mode) == _kind(change.new_mode) and change.old_blob == change.new_blob


def _is_file(mode: str) -> bool:
    return mode not in {ABSENT, _SUBMODULE}


def _kind(mode: str) -> str:
    """Return whether a mode is that of a file (executable or not) or of a link."""
    return mode[:3]
