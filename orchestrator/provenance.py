"""Who wrote each line: git's blame, or what is the same for all files at once, read through the trailers that landing wrote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.errors import UsageError
from orchestrator.git import query
from orchestrator.git.blobs import lines_of_each
from orchestrator.line_owners import lineage_of, owners_of_lines
from orchestrator.model.replay import NOBODY
from orchestrator.model.trailers import Provenance, provenance_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchestrator.git.command import Git
    from orchestrator.git.parse import CommitId, CommitRecord
    from orchestrator.model.formats import AllLinesJson, BlameLineJson

__all__ = ["AllLines", "Origin", "Range", "all_lines", "lines_of_task", "origins", "ranges"]

_SUBMODULE = "160000"
_COMMITS_A_BLAME = 4  # that are replayed in the time in which git blames one file (measured: 2 to 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One line of a file, the commit it came from, and what that commit's trailers say; None if no run wrote it."""

    line: int
    commit: CommitId
    text: str
    provenance: Provenance | None

    def as_json(self) -> BlameLineJson:
        """Return the published form of one line (`contracts/blame.schema.json`)."""
        by = self.provenance
        return {
            "line": self.line,
            "commit": self.commit,
            "task": by.task if by else None,
            "generation": by.generation if by else None,
            "agent": by.agent if by else None,
            "model": by.model if by else None,
            "run": by.run if by else None,
            "text": self.text,
        }


def origins(git: Git, revision: str, path: str, line: int | None = None) -> tuple[Origin, ...]:
    """Return the origin of each line of a file at a revision, or of one line.

    Raises:
        UsageError: there is no such revision, file or line.
    """
    commit = _resolved(git, revision)
    mode = query.files_at(git, commit, [path]).get(path, ("", ""))[0]
    if mode in {"", _SUBMODULE}:
        raise UsageError(
            f"There is no file {path} at {revision}.", hint="Paths count from the repository's root or from here."
        )
    if line is not None:
        length = len(query.blame(git, commit, path=path))
        if not 1 <= line <= length:
            raise UsageError(f"{path} has {length} lines at {revision}; there is no line {line}.")
    lines = query.blame(git, commit, path=path, lines=(line, line) if line else None)
    known = {name: provenance_of(query.commit_record(git, name).message) for name in {line.commit for line in lines}}
    return tuple(
        Origin(line=found.number, commit=found.commit, text=found.text, provenance=known[found.commit])
        for found in lines
    )


class Range(NamedTuple):
    """Lines `first` to `last` of a file, and the commit of a run that they come from; None if no run wrote them."""

    first: int
    last: int
    commit: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AllLines:
    """Every line of every file at a revision: path → ranges from top to bottom. A file that is no text has none."""

    revision: CommitId
    files: Mapping[str, Sequence[Range]]
    written: Mapping[str, Provenance]

    def as_json(self) -> AllLinesJson:
        """Return the published form (`contracts/blame.schema.json`)."""
        who = {c: (c, by.task, by.generation, by.agent, by.model) for c, by in self.written.items()}
        nobody = (None, None, None, None, None)
        return {
            "revision": self.revision,
            "files": {
                path: [(first, last, *(who[commit] if commit else nobody)) for first, last, commit in ranges]
                for path, ranges in self.files.items()
            },
        }


def all_lines(git: Git, revision: str) -> AllLines:
    """Return the origin of every line at a revision: what `origins` says of each file, by one reading of the history.

    Raises:
        UsageError: there is no such revision.
    """
    head = _resolved(git, revision)
    written = _written(git, head)
    owners = owners_of_lines(git, head, lineage_of(git, head, written), written)
    blobs = {path: blob for path, (mode, blob) in query.files_at(git, head).items() if mode != _SUBMODULE}
    lines = lines_of_each(git, blobs.values())
    files = {
        path: [
            Range(*found) for found in owners.get(path, NOBODY).ranges(lines[blob].number if lines[blob].text else 0)
        ]
        for path, blob in sorted(blobs.items())
    }
    return AllLines(revision=head, files=files, written={r.id: by for r in written if (by := provenance_of(r.message))})


def lines_of_task(git: Git, revision: str, task: str) -> dict[str, list[tuple[int, int]]]:
    """Return path → inclusive line ranges, at a revision, of what a task wrote (in all runs that had a task of that name).

    Raises:
        UsageError: there is no such revision, or no commit on it comes from such a task.
    """
    head = _resolved(git, revision)
    written = _written(git, head, task)
    if not written:
        raise UsageError(
            f"No commit on {revision} comes from a task {task}.", hint="`git log --grep=Provenance-Task` lists them."
        )
    # A line that the task wrote stands in a file that is not what it was before the task: only those are looked at.
    before = [(parent, head) for record in written for parent in record.parents[:1]]
    touched = {c.path for changes in query.changes_of_each(git, before) for c in changes if not c.deleted}
    blobs = {
        path: blob for path, (mode, blob) in query.files_at(git, head).items() if path in touched and mode != _SUBMODULE
    }
    numbers = _numbers(git, head, written, blobs)
    return {path: list(ranges(found)) for path, found in sorted(numbers.items()) if found}


def _numbers(git: Git, head: str, written: Sequence[CommitRecord], blobs: Mapping[str, str]) -> dict[str, list[int]]:
    """Return path → the numbers of the lines that come from these commits, in the files of these paths and blobs."""
    lineage = lineage_of(git, head, written)
    if len(lineage) > _COMMITS_A_BLAME * len(blobs):
        ours, older = {record.id for record in written}, [f"^{parent}" for parent in written[-1].parents]
        return {
            path: [line.number for line in query.blame(git, head, *older, path=path) if line.commit in ours]
            for path in blobs
        }
    owners = owners_of_lines(git, head, lineage, written)
    lines = lines_of_each(git, (blob for path, blob in blobs.items() if path in owners))
    return {
        path: [n for n, owner in enumerate(owners[path].span(0, lines[blob].number), 1) if owner]
        for path, blob in blobs.items()
        if path in owners
    }


def ranges(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield rising numbers as inclusive ranges: 1, 2, 3, 7 → (1, 3), (7, 7)."""
    first = last = None
    for number in numbers:
        if first is None or last is None:
            first = last = number
        elif number == last + 1:
            last = number
        else:
            yield first, last
            first = last = number
    if first is not None and last is not None:
        yield first, last


def _resolved(git: Git, revision: str) -> CommitId:
    commit = query.resolve(git, revision)
    if commit is None:
        raise UsageError(f"There is no revision {revision}.")
    return commit


def _written(git: Git, head: str, task: str | None = None) -> list[CommitRecord]:
    """Return the commits that lead to `head` and come from a run, or from this task; each after those that descend from it."""
    some = ("--fixed-strings", "--regexp-ignore-case", "--grep=Provenance-Task")
    records = query.commits_between(git, "--topo-order", "--encoding=UTF-8", *some, head)
    return [r for r in records if (by := provenance_of(r.message)) and task in {None, by.task}]
