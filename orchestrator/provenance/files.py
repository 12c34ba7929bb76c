"""Which generations wrote a file: those that landed, and those that did not."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.git import query
from orchestrator.model.replay import Changed, names_before
from orchestrator.model.text import clean_text, printable
from orchestrator.model.trailers import provenance_of
from orchestrator.provenance.line_owners import steps_of
from orchestrator.provenance.lines import all_lines
from orchestrator.provenance.records import GenerationId

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchestrator.git.parse import CommitRecord
    from orchestrator.model.formats import FileProvenanceJson, GenerationJson, OwnedLinesJson, WasJson
    from orchestrator.model.trailers import Provenance
    from orchestrator.provenance.lines import Range
    from orchestrator.provenance.records import Records
    from orchestrator.provenance.view import View

__all__ = ["FileProvenance", "Touch", "provenance_of_files"]

_BRANCHES = "refs/heads/orch/"
_CONTRACTS = "contracts"
"""What the trailers of the commit that writes the contracts name as its task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """A generation that wrote a file; `landed` says whether that is in the history of the revision, `reason` why it is not."""

    by: Provenance
    landed: bool
    reason: str
    branch: str

    def as_json(self) -> GenerationJson:
        """Return the published form."""
        return {
            "run": self.by.run, "task": self.by.task, "generation": self.by.generation, "agent": self.by.agent,
            "model": self.by.model, "landed": self.landed, "reason": self.reason or None, "branch": self.branch or None,
        }  # fmt: skip

    def as_text(self) -> str:
        """Return one line."""
        became = "landed" if self.landed else f"did not land: {self.reason}"
        who = f"{self.by.task} gen {self.by.generation} {self.by.agent} {self.by.model}"
        return f"  {who:44} {self.by.run:24} {became}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileProvenance:
    """Where the lines of a file come from, and who wrote it, under this name and those it had before.

    `conflict_risk` is the number of tasks of which some generation wrote it: the more there are, the likelier do two meet there.
    """

    path: str
    revision: str
    ranges: Sequence[Range]
    written: Mapping[str, Provenance]
    names: Sequence[str]
    history: Sequence[Touch]

    @property
    def conflict_risk(self) -> int:
        """How many tasks wrote the file; the contracts are no task."""
        return len({(touch.by.run, touch.by.task) for touch in self.history if touch.by.task != _CONTRACTS})

    def as_json(self) -> FileProvenanceJson:
        """Return the published form (`contracts/provenance.schema.json`)."""
        return {
            "version": 1, "path": self.path, "revision": self.revision, "earlier_names": list(self.names),
            "lines": [self._lines(found) for found in self.ranges],
            "conflict_risk": self.conflict_risk, "history": [touch.as_json() for touch in self.history],
        }  # fmt: skip

    def _lines(self, found: Range) -> OwnedLinesJson:
        by = self.written[found.commit] if found.commit else None
        hand = found.owner if isinstance(found.owner, Changed) else None
        return {
            "first": found.first, "last": found.last, "commit": hand.by if hand else found.commit,
            "run": by.run if by else None, "task": by.task if by else None, "generation": by.generation if by else None,
            "agent": by.agent if by else None, "model": by.model if by else None,
            "was": self._was(hand.was) if hand else None,
        }  # fmt: skip

    def _was(self, commit: str) -> WasJson:
        by = self.written[commit]
        return {"commit": commit, "run": by.run, "task": by.task, "generation": by.generation}

    def as_text(self) -> Iterator[str]:
        """Yield what is known of the file as a whole."""
        risk = self.conflict_risk
        count = len(self.history)
        yield f"{printable(self.path)}: {risk} task{'s' * (risk != 1)} wrote it, in {count} generation{'s' * (count != 1)}"
        if self.names:
            yield f"  before, it was {', '.join(map(printable, self.names))}"
        yield from (touch.as_text() for touch in self.history)


def provenance_of_files(view: View, files: Mapping[str, str], records: Records) -> Iterator[FileProvenance]:
    """Yield what is known of each of these files (path → blob), in the order of their paths."""
    found = all_lines(view, files)
    owning = set(view.provenance)
    names = names_before(steps_of(view.git, view.lineage, owning), files)
    touches = _touches(view, records)
    for path, ranges in found.files.items():
        history = {key: touch for name in names[path] for key, touch in touches.get(name, {}).items()}
        yield FileProvenance(
            path=path, revision=view.head, ranges=ranges, written=found.written, names=sorted(names[path] - {path}),
            history=[history[key] for key in sorted(history)],
        )  # fmt: skip


_Touches = dict[str, dict[GenerationId, Touch]]


def _touches(view: View, records: Records) -> _Touches:
    """Return path → the generations of which a commit changed it, be it in the history of the revision or on a branch."""
    landed = {GenerationId.of(by) for by in view.provenance.values()}
    commits = {record.id: record for record in (*view.written, *_elsewhere(view, records))}
    pairs = [(record.parents[0], record.id) for record in commits.values() if record.parents]
    found: _Touches = defaultdict(dict)
    for (_, commit), changes in zip(pairs, query.changes_of_each(view.git, pairs), strict=True):
        by = provenance_of(commits[commit].message)
        if by is not None:
            touch = _touch(by, records, landed)
            for change in changes:
                found[change.path].setdefault(GenerationId.of(by), touch)
    return found


def _touch(by: Provenance, records: Records, landed: set[GenerationId]) -> Touch:
    key = GenerationId.of(by)
    record = records.of.get(key)
    if key in landed:
        reason = ""
    elif record is None:
        reason = f"why is not known, since {records.why_unknown(by.run)}"
    elif record.refused is not None:
        reason = clean_text(record.refused)
    else:
        reason = "it landed, but not in this revision" if record.landed else "it was cut short, or is still under way"
    return Touch(by=by, landed=key in landed, reason=reason, branch=by.work_product.removeprefix("refs/heads/"))


def _elsewhere(view: View, records: Records) -> Iterable[CommitRecord]:
    """Yield the commits of attempts that are on branches, or that a journal names and that are still there."""
    tips = {ref.id for ref in query.refs(view.git, _BRANCHES)}
    kept = {record.kept for record in records.of.values() if record.kept}
    for commit in sorted((tips | kept) - view.provenance.keys()):
        if query.resolve(view.git, commit):
            yield query.commit_record(view.git, commit)
