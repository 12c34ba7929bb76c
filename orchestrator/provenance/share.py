"""How much each task, agent and model has written of some lines, and how much nobody but people."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.model.replay import Changed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.model.formats import ByHandJson, ShareJson, SharesJson
    from orchestrator.provenance.lines import AllLines, Range

__all__ = ["BY_HAND", "Share", "Shares", "shares_of"]

BY_HAND = "by hand"
"""What is said of lines that no run wrote."""
_KINDS = ("task", "agent", "model")


@dataclass(frozen=True, slots=True)
class Share:
    """So many lines, in so many files."""

    lines: int = 0
    files: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """What is in some lines: by `task`, `agent` or `model` → name → share, the greatest first.

    `changed` is how many of those by hand stand where a task's line stood.
    """

    revision: str
    total: Share
    by: Mapping[str, Mapping[str, Share]]
    by_hand: Share
    changed: int

    def as_json(self) -> SharesJson:
        """Return the published form (`contracts/blame.schema.json`)."""
        by_hand: ByHandJson = {**self._json(self.by_hand), "changed": self.changed}
        tasks, agents, models = ({n: self._json(share) for n, share in self.by[kind].items()} for kind in _KINDS)
        return {
            "revision": self.revision, "lines": self.total.lines, "files": self.total.files,
            "tasks": tasks, "agents": agents, "models": models, "by_hand": by_hand,
        }  # fmt: skip

    def _json(self, share: Share) -> ShareJson:
        return {"lines": share.lines, "share": round(self._part(share), 4), "files": share.files}

    def _part(self, share: Share) -> float:
        return share.lines / self.total.lines if self.total.lines else 0.0

    def as_text(self) -> Iterator[str]:
        """Yield a table for each of task, agent and model."""
        yield f"{self.revision[:12]}: {self.total.lines} lines in {self.total.files} files"
        for kind in _KINDS:
            yield ""
            yield f"{kind:44} {'lines':>8}  {'share':>7}  {'files':>6}"
            for name, share in (*self.by[kind].items(), (BY_HAND, self.by_hand)):
                if share.lines:
                    yield f"{name:44} {share.lines:8}  {self._part(share):7.1%}  {share.files:6}"
        if self.changed:
            yield ""
            yield f"Of the lines by hand, {self.changed} stand where a task's line stood."


def shares_of(found: AllLines) -> Shares:
    """Return how much each has written of these lines."""
    tables = {kind: _shares(found, kind) for kind in _KINDS}
    ranges = [part for some in found.files.values() for part in some]
    return Shares(
        revision=found.revision,
        total=Share(sum(map(_lines, ranges)), len(found.files)),
        by={kind: {name: share for name, share in table.items() if name} for kind, table in tables.items()},
        by_hand=tables["task"].get(None, Share()),
        changed=sum(_lines(part) for part in ranges if isinstance(part.owner, Changed)),
    )


def _shares(found: AllLines, kind: str) -> dict[str | None, Share]:
    """Return name → share, the greatest first; None is nobody of a run."""
    names: dict[str | None, str | None] = {None: None}
    names |= {commit: getattr(by, kind) for commit, by in found.written.items()}
    lines: Counter[str | None] = Counter()
    files: defaultdict[str | None, set[str]] = defaultdict(set)
    for path, ranges in found.files.items():
        for part in ranges:
            lines[names[part.commit]] += _lines(part)
            files[names[part.commit]].add(path)
    return {name: Share(count, len(files[name])) for name, count in lines.most_common()}


def _lines(part: Range) -> int:
    return part.last - part.first + 1
