"""What is asked about: a revision, what on it comes from runs, and which commits are looked past."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.files import read_bounded
from orchestrator.git import query
from orchestrator.model.trailers import provenance_of
from orchestrator.provenance.line_owners import lineage_of

if TYPE_CHECKING:
    from orchestrator.git.command import Git
    from orchestrator.git.parse import CommitId, CommitRecord
    from orchestrator.model.trailers import Provenance
    from orchestrator.provenance.line_owners import Lineage

__all__ = ["IGNORE_FILE", "View", "Who"]

IGNORE_FILE = ".git-blame-ignore-revs"
"""The file at a repository's root that names commits to look past: the same that people give to `git blame`."""
_LONGEST = 1 << 22  # bytes of that file
_SUBMODULE = "160000"
_SHOWN = 10
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Whose lines are meant: those of a task, of an agent, of a model; None is any. Of several, a line must fit all."""

    task: str | None = None
    agent: str | None = None
    model: str | None = None

    @property
    def named(self) -> dict[str, str]:
        """What is asked for: `task`, `agent` or `model` → its name."""
        asked = {"task": self.task, "agent": self.agent, "model": self.model}
        return {kind: name for kind, name in asked.items() if name is not None}

    def wrote(self, by: Provenance) -> bool:
        """Tell whether a commit with these trailers is meant."""
        return all(getattr(by, kind) == name for kind, name in self.named.items())


class View:
    """A revision of a repository, and how its lines are looked at: past which commits, and whether copies are followed."""

    def __init__(self, git: Git, revision: str, *, ignore_revs: bool = True, copies: bool = False) -> None:
        """Look at a revision.

        Raises:
            UsageError: there is no such revision, or the file of commits to look past cannot be understood.
        """
        head = query.resolve(git, revision)
        if head is None:
            raise UsageError(f"There is no revision {revision}.", hint="`git log --all` shows what there is.")
        self.git = git
        self.revision = revision
        self.head: CommitId = head
        self.past = _commits_to_look_past(git, head) if ignore_revs else ()
        self.copies = copies

    @cached_property
    def written(self) -> list[CommitRecord]:
        """The commits that lead to the revision and come from a run; each after those that descend from it."""
        some = ("--fixed-strings", "--regexp-ignore-case", "--grep=Provenance-Task")
        records = query.commits_between(self.git, "--topo-order", "--encoding=UTF-8", *some, self.head)
        return [record for record in records if provenance_of(record.message)]

    @cached_property
    def provenance(self) -> dict[str, Provenance]:
        """Commit → what its trailers say, of those that come from a run."""
        return {record.id: by for record in self.written if (by := provenance_of(record.message))}

    @cached_property
    def lineage(self) -> Lineage:
        """The commits of runs, and what came after."""
        return lineage_of(self.git, self.head, self.written)

    def written_by(self, who: Who) -> list[CommitRecord]:
        """Return those commits of runs that somebody wrote, in the order of `written`.

        Raises:
            UsageError: there are none.
        """
        found = [record for record in self.written if who.wrote(self.provenance[record.id])]
        if found:
            return found
        asked = ", ".join(f"{'an' if kind == 'agent' else 'a'} {kind} {name}" for kind, name in who.named.items())
        known = "; ".join(f"{kind}s: {self._known(kind)}" for kind in who.named)
        hint = f"There are {known}." if self.written else "No commit there comes from a run."
        raise UsageError(f"No commit on {self.revision} comes from {asked}.", hint=hint)

    def _known(self, kind: str) -> str:
        names = list(dict.fromkeys(getattr(self.provenance[record.id], kind) for record in self.written))
        return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")

    def files(self, place: str = "") -> dict[str, str]:
        """Return path → blob of the files at a place: a file, or all below a folder; an empty text is the root.

        Raises:
            UsageError: there is nothing at that place.
        """
        entries = query.files_at(self.git, self.head, [place] if place else [])
        found = {path: blob for path, (mode, blob) in entries.items() if mode != _SUBMODULE}
        if place and not found:
            what = "a submodule, which has files of its own," if entries else "no file or folder"
            raise UsageError(
                f"There is {what} {'at ' if entries else ''}{place} at {self.revision}.",
                hint="Paths count from the repository's root or from here; lines are named as PATH:10 or PATH:10-20.",
            )
        return found


def _commits_to_look_past(git: Git, head: CommitId) -> tuple[str, ...]:
    """Return the commits that the file names, in the checkout if there is one, else in the revision.

    A name of no commit here is passed over, as git does.
    """
    text = _ignore_file(git, head)
    found: dict[str, None] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name = line.partition("#")[0].strip()
        if not name:
            continue
        if not _COMMIT.fullmatch(name.lower()):
            raise UsageError(
                f"{IGNORE_FILE}:{number} holds {name[:80]!r}, which is no full name of a commit.",
                hint="Write 40 hexadecimal digits a line, or look past no commit with --no-ignore-revs.",
            )
        if commit := query.resolve(git, name):
            found[commit] = None
    return tuple(found)


def _ignore_file(git: Git, head: CommitId) -> str:
    place = git.work_tree / IGNORE_FILE if git.work_tree else None
    if place is None or not (place.is_symlink() or place.exists()):
        return (query.read_file(git, head, IGNORE_FILE) or b"").decode("utf-8", "replace")
    try:
        return read_bounded(place, _LONGEST).decode("utf-8", "replace")
    except OSError as error:
        raise UsageError(
            f"{place} cannot be read: {error.strerror or error}.", hint="Look past no commit with --no-ignore-revs."
        ) from error
