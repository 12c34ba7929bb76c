"""Whose each line is: of one file with its text, or of many files as ranges."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from orchestrator.errors import UsageError
from orchestrator.git import query
from orchestrator.git.blobs import lines_of_each
from orchestrator.model.replay import NOBODY, Changed
from orchestrator.model.trailers import provenance_of
from orchestrator.provenance.line_owners import lineage_of, owners_of_lines
from orchestrator.provenance.past import Past

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from orchestrator.git.parse import BlameLine, BlobLines, CommitId, CommitRecord
    from orchestrator.model.formats import AllLinesJson, BlameLineJson
    from orchestrator.model.replay import Owner, Owners
    from orchestrator.model.trailers import Provenance
    from orchestrator.provenance.view import View, Who

__all__ = ["AllLines", "Origin", "Range", "Span", "all_lines", "check_span", "joined", "lines_by", "origins"]

_COMMITS_A_BLAME = 4  # that are replayed in the time in which git blames one file (measured: 2 to 10)
_COMMITS_A_HAND = (
    20  # in the time in which git tells what one commit has replaced: a blame, and half a dozen short questions
)
T = TypeVar("T")
Span = tuple[int, int]
"""The first and the last line, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One line of a file, the commit it came from, and what that commit's trailers say; None if no run wrote it.

    `was` is what those of the commit say whose line stood there before somebody changed it by hand, if that is known.
    """

    line: int
    commit: CommitId
    text: str
    provenance: Provenance | None
    was: Provenance | None

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


def origins(view: View, path: str, span: Span | None = None) -> tuple[Origin, ...]:
    """Return the origin of each line of a file, or of some of its lines.

    Raises:
        GitError: there is no such file, or it has no such lines (see `check_span`).
    """
    lines = query.blame(view.git, view.head, path=path, lines=span, past=view.past, copies=view.copies)
    names = {line.commit for line in lines}
    known = {name: provenance_of(query.commit_record(view.git, name).message) for name in names}
    was = {} if all(known.values()) else _was(view, path, lines)
    return tuple(
        Origin(
            line=line.number, commit=line.commit, text=line.text, provenance=known[line.commit],
            was=view.provenance[was[line.number]] if line.number in was else None,
        )
        for line in lines
    )  # fmt: skip


def _was(view: View, path: str, lines: Sequence[BlameLine]) -> dict[int, str]:
    """Return line → the commit of a run whose line stood there, of these lines of a file, where that is known."""
    hands = {line.commit for line in lines if line.commit in view.lineage} - view.provenance.keys()
    found: dict[int, str | None] = {}
    if view.past or view.copies or len(view.lineage) > _COMMITS_A_HAND * len(hands):
        past = Past(view)
        found = {line.number: past.was(line) for line in lines if line.commit in hands}
    elif hands:
        for part in all_lines(view, view.files(path)).files[path]:
            if isinstance(part.owner, Changed):
                found |= dict.fromkeys(range(part.first, part.last + 1), part.owner.was)
    return {number: commit for number, commit in found.items() if commit}


def check_span(view: View, path: str, span: Span) -> None:
    """Make sure that a file has these lines.

    Raises:
        UsageError: it has not, or the last one stands before the first.
    """
    first, last = span
    if last < first:
        raise UsageError(f"{path}:{first}-{last} ends before it begins.", hint=f"Write it as {path}:{last}-{first}.")
    blob = view.files(path)[path]
    length = lines_of_each(view.git, [blob])[blob].number
    if not 1 <= first <= last <= length:
        missing = f"there is no line {last}" if first == last else f"there are no lines {first} to {last}"
        raise UsageError(
            f"{path} has {length} line{'s' * (length != 1)} at {view.revision}; {missing}.",
            hint=f"Lines count from 1: name {path}:N, or {path}:N-M." if length else "",
        )


class Range(NamedTuple):
    """Lines `first` to `last` of a file, and whose they are: a commit's of a run; changed by hand; or nobody's (None)."""

    first: int
    last: int
    owner: Owner

    @property
    def commit(self) -> str | None:
        """The commit of a run that wrote them, if one did."""
        return self.owner if isinstance(self.owner, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AllLines:
    """The lines of files at a revision: path → ranges from top to bottom. A file that is no text has none."""

    revision: CommitId
    files: Mapping[str, Sequence[Range]]
    written: Mapping[str, Provenance]

    def clipped(self, span: Span) -> AllLines:
        """Return only these lines of each file."""
        files = {
            path: [
                Range(max(r.first, span[0]), min(r.last, span[1]), r.owner)
                for r in found
                if r.first <= span[1] and r.last >= span[0]
            ]
            for path, found in self.files.items()
        }
        return replace(self, files=files)

    def only(self, who: Who) -> AllLines:
        """Return only the lines that somebody wrote, and the files that have some."""
        files = {
            path: [r for r in found if r.commit and who.wrote(self.written[r.commit])]
            for path, found in self.files.items()
        }
        return replace(self, files={path: found for path, found in files.items() if found})

    def as_json(self) -> AllLinesJson:
        """Return the published form (`contracts/blame.schema.json`), in which what is not a run's is not told apart."""
        who = {c: (c, by.task, by.generation, by.agent, by.model) for c, by in self.written.items()}
        nobody = (None, None, None, None, None)
        return {
            "revision": self.revision,
            "files": {
                path: [
                    (first, last, *(who[commit] if commit else nobody))
                    for first, last, commit in joined((r.first, r.last, r.commit) for r in found)
                ]
                for path, found in self.files.items()
            },
        }


def joined(ranges: Iterable[tuple[int, int, T]]) -> Iterator[tuple[int, int, T]]:
    """Yield rising ranges, each with something, so that neighbours with the same become one."""
    now: tuple[int, int, T] | None = None
    for first, last, value in ranges:
        if now is not None and (now[1] + 1, now[2]) == (first, value):
            now = now[0], last, value
            continue
        if now is not None:
            yield now
        now = first, last, value
    if now is not None:
        yield now


def all_lines(view: View, files: Mapping[str, str]) -> AllLines:
    """Return whose each line of these files (path → blob) is: what `origins` says of each, by one reading of the history."""
    lines = lines_of_each(view.git, files.values())
    texts = {path: blob for path, blob in sorted(files.items()) if lines[blob].text}
    found = _owned(view, view.written, texts, lines, hands=True)
    return AllLines(
        revision=view.head, files={path: found.get(path, []) for path in sorted(files)}, written=view.provenance
    )


def lines_by(view: View, who: Who, files: Mapping[str, str]) -> dict[str, list[Span]]:
    """Return path → inclusive line ranges of what somebody wrote in these files (path → blob).

    Raises:
        UsageError: no commit comes from there.
    """
    written = view.written_by(who)
    if not view.copies:
        # A line of theirs stands in a file that is not what it was before them: only those are looked at.
        before = [(parent, view.head) for record in written for parent in record.parents[:1]]
        touched = {c.path for changes in query.changes_of_each(view.git, before) for c in changes if not c.deleted}
        files = {path: blob for path, blob in files.items() if path in touched}
    lines = lines_of_each(view.git, files.values())
    found = _owned(view, written, files, lines, hands=False)
    spans = {
        path: [
            (first, last) for first, last, owned in joined((r.first, r.last, bool(r.commit)) for r in ranges) if owned
        ]
        for path, ranges in sorted(found.items())
    }
    return {path: there for path, there in spans.items() if there}


def _owned(
    view: View,
    written: Sequence[CommitRecord],
    files: Mapping[str, str],
    lines: Mapping[str, BlobLines],
    *,
    hands: bool,
) -> dict[str, list[Range]]:
    """Return path → ranges of all lines, and which of the `written` commits owns them.

    With `hands`, it is also told what was changed by hand, and the history is always replayed where that can be done; else
    only if it is less work than to ask git's blame about each file.
    """
    lineage = lineage_of(view.git, view.head, written)
    ours = {record.id for record in written}
    owners: dict[str, Owners] = {}
    asked: Collection[str] = files
    if not view.copies and (hands or len(lineage) <= _COMMITS_A_BLAME * len(files)):
        # Commits that are looked past own what they wrote, for as long as it takes to see where git must be asked.
        past = set(view.past)
        owners = owners_of_lines(view.git, view.head, lineage, ours | past)
        asked = [path for path in files if past and path in owners and _holds(owners[path], past)]
    found = {
        path: [Range(*r) for r in owners.get(path, NOBODY).ranges(lines[blob].number)] for path, blob in files.items()
    }
    if asked and written:
        older = [f"^{parent}" for parent in written[-1].parents]
        past_of = Past(view) if hands else None
        found |= {path: _blamed(view, path, ours, older, past_of) for path in asked}
    return found


def _holds(owners: Owners, commits: Collection[str]) -> bool:
    """Tell whether one of these commits wrote a line of a file, or one that was changed by hand."""
    names = (owner if isinstance(owner, Changed) else (owner,) for owner in {*owners.known, owners.rest})
    return any(name in commits for some in names for name in some)


def _blamed(view: View, path: str, ours: Collection[str], older: Sequence[str], past: Past | None) -> list[Range]:
    """Return the ranges of a file as git's own blame has them."""
    lines = query.blame(view.git, view.head, *older, path=path, past=view.past, copies=view.copies)
    owners: list[Owner] = []
    for line in lines:
        was = past.was(line) if past and line.commit not in ours else None
        owners.append(line.commit if line.commit in ours else Changed(line.commit, was) if was else None)
    found, last = [], 0
    for owner, same in groupby(owners):
        first, last = last + 1, last + sum(1 for _ in same)
        found.append(Range(first, last, owner))
    return found
