"""Who wrote each line: git's blame, read through the trailers that landing wrote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.git import query
from orchestrator.model.trailers import Provenance, provenance_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchestrator.git.command import Git
    from orchestrator.git.parse import CommitId
    from orchestrator.model.formats import BlameLineJson

__all__ = ["Origin", "lines_of_task", "origins", "ranges"]

_SUBMODULE = "160000"


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
    commit = query.resolve(git, revision)
    if commit is None:
        raise UsageError(f"There is no revision {revision}.")
    mode = query.files_at(git, commit, [path]).get(path, ("", ""))[0]
    if mode in {"", _SUBMODULE}:
        raise UsageError(
            f"There is no file {path} at {revision}.", hint="Paths count from the repository's root or from here."
        )
    if line is not None:
        length = len(query.blame(git, commit, path))
        if not 1 <= line <= length:
            raise UsageError(f"{path} has {length} lines at {revision}; there is no line {line}.")
    lines = query.blame(git, commit, path, (line, line) if line else None)
    known = {name: provenance_of(query.commit_record(git, name).message) for name in {line.commit for line in lines}}
    return tuple(
        Origin(line=found.number, commit=found.commit, text=found.text, provenance=known[found.commit])
        for found in lines
    )


def lines_of_task(git: Git, revision: str, task: str) -> dict[str, list[tuple[int, int]]]:
    """Return path → inclusive line ranges, at a revision, of what a task wrote (in all runs that had a task of that name).

    Raises:
        UsageError: there is no such revision, or no commit on it comes from such a task.
    """
    head = query.resolve(git, revision)
    if head is None:
        raise UsageError(f"There is no revision {revision}.")
    records = query.commits_between(git, "--fixed-strings", f"--grep=Provenance-Task: {task}", head)
    written = [r for r in records if (p := provenance_of(r.message)) and p.task == task]
    if not written:
        raise UsageError(
            f"No commit on {revision} comes from a task {task}.", hint="`git log --grep=Provenance-Task` lists them."
        )
    # A line that the task wrote stands in a file that is not what it was before the task: only those are looked at.
    now = query.files_at(git, head)
    touched = {
        c.path
        for r in written
        for parent in r.parents[:1]
        for c in query.changed_paths(git, parent, head)
        if not c.deleted
    }
    ours = {record.id for record in written}
    found = {}
    for path in sorted(touched):
        if now[path][0] == _SUBMODULE:
            continue
        numbers = [line.number for line in query.blame(git, head, path) if line.commit in ours]
        if numbers:
            found[path] = list(ranges(numbers))
    return found


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
