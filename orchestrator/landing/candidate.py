"""One candidate: a task's work merged, in memory, on top of a commit, as the very commit that may land; and its checks."""

from __future__ import annotations

import asyncio
import contextlib
from collections import ChainMap
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.checks.reverts import check_no_revert
from orchestrator.checks.submission import check_boundary, check_contracts
from orchestrator.checks.twins import KnownFiles
from orchestrator.errors import GitError
from orchestrator.git import change, query
from orchestrator.git.parse import CommitId, parse_commit
from orchestrator.git.splice import Chain
from orchestrator.model.boundary import forms_of
from orchestrator.model.feedback import Landing, conflict_feedback
from orchestrator.model.finding import CheckResult, Violation
from orchestrator.model.items import candidate_ref
from orchestrator.model.trailers import message_with, provenance_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from orchestrator.context import RunContext
    from orchestrator.git.parse import Change, CommitRecord, TreeId
    from orchestrator.model.plan import Implementation, Task
    from orchestrator.model.train_values import Item

__all__ = ["Candidates", "Merged", "forget_candidates"]

_WORTH = 8  # items one behind the other; for fewer, a merge each costs less than a pack
_AHEAD = 200  # items built at once, so that the first need not wait long
_BELOW = 1000  # first parents among which the commit that a work began on is looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What came of a merge: the commit that may land and its tree, or the paths in conflict.

    `pack` is where all that the commit has, and neither `onto` nor the task's work, was written at once, if it was.
    """

    onto: CommitId
    commit: CommitId | None
    tree: TreeId
    conflicts: tuple[str, ...] = ()
    pack: Path | None = None


class _Step(NamedTuple):
    """One merge of many that are built at once: a task's work, what it is on, what came of it, and what the work changes."""

    work: str
    onto: CommitId
    commit: CommitId
    tree: TreeId
    own: tuple[Change, ...]


class Candidates:
    """Builds and checks the candidates of one run."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._git = context.repository.objects
        self._held = bool(context.loaded.plan.gates)
        self._files: KnownFiles | None = None  # what stood on the base branch at the first check
        self._paths: dict[str, str] = {}  # what has come since, by the form that all systems tell apart
        self._records: dict[str, CommitRecord] = {}
        self._changes: dict[str, tuple[Change, ...]] = {}  # what each candidate that was checked would change
        self._own: dict[str, tuple[Change, ...]] = {}  # what each work changes that was tried to be built ahead
        self._tried: set[str] = set()  # works that cannot be built ahead
        # What landed from one commit to another on some paths, as it was last asked for: many may be in conflict with it.
        self._others: dict[tuple[str, str, tuple[str, ...]], list[Landing]] = {}
        self._ready: dict[tuple[str, str], Merged] = {}  # what was built ahead, by what it is on and whose work it is
        # What was last built ahead: the commit → what the task's work changes, and what the commit changes.
        self._facts: dict[str, tuple[tuple[Change, ...], tuple[Change, ...]]] = {}

    def take(self, item: Item, onto: str) -> Merged | None:
        """Return a task's work merged on top of a commit if it was built ahead."""
        return self._ready.get((onto, item.commit))

    def forget_ready(self) -> None:
        """Build everything anew: the base branch is not where it was, or what was built has gone."""
        self._ready, self._tried, self._files = {}, set(), None

    def build(self, item: Item, onto: str, behind: Sequence[Item] = ()) -> Merged:
        """Merge a task's work on top of a commit, and write the result with its final message.

        Those `behind` it are expected to come next, each on top of the one before. Where there are many, and no gates to wait
        for, as many as possible are built at once, and can be taken.

        While there are gates to wait for, a ref holds it until it is let go: else a `git gc --prune=now` could take its
        objects away.
        """
        if not self._held and item.commit not in self._tried:
            items = [item, *(x for x in behind if x.commit not in self._tried)]
            with contextlib.suppress(GitError):  # each is then merged by itself, which tells whose fault it is
                if len(items) >= _WORTH and (ahead := self._build_ahead(items[:_AHEAD], onto)):
                    self._ready = ahead
                if ready := self.take(item, onto):
                    return ready
        merged = query.merge_in_memory(self._git, onto, item.commit)
        if merged.conflicts:
            return Merged(onto=CommitId(onto), commit=None, tree=merged.tree, conflicts=merged.conflicts)
        commit = self._commit(self._context.loaded.plan.task(item.task), merged.tree, onto, item.commit)
        if self._held:
            own, ref = self._context.repository.own, candidate_ref(self._context.run, item.task)
            change.move_ref(own, ref, commit, query.resolve(own, ref))
        return Merged(onto=CommitId(onto), commit=commit, tree=merged.tree)

    def _build_ahead(self, items: Sequence[Item], onto: str) -> dict[tuple[str, str], Merged]:
        """Merge the works of many one after the other, as far as what each changes is as it found it, and write them at once.

        What seems to be in conflict with one before it is left out; anything else that needs a real merge ends it.
        """
        works = [self._work(item.commit) for item in items]
        starts = self._starts_below(onto, works)
        unknown = [work for work in works if work.id not in self._own]
        found = query.changes_of_each(self._git, [(work.parents[0], work.id) for work in unknown])
        self._own.update(zip((work.id for work in unknown), found, strict=True))
        chain, tip = Chain(self._git, onto), CommitId(onto)
        steps, writers = list[_Step](), dict[str, str]()
        for item, work in zip(items, works, strict=True):
            changes = self._own[work.id]
            self._tried.add(work.id)
            tree = chain.put(changes) if work.parents in starts else None
            if tree is None:
                rival = next((writers[c.path] for c in changes if c.path in writers), onto)
                if query.merge_in_memory(self._git, rival, work.id).conflicts:
                    continue
                break
            commit = chain.commit(tree, *self._form_of(self._context.loaded.plan.task(item.task), tip, work.id))
            steps.append(_Step(work.id, tip, commit, tree, changes))
            writers.update((c.path, work.id) for c in changes)
            tip = commit
        if len(steps) < _WORTH:
            return {}
        self._tried.difference_update(step.work for step in steps)
        pack = chain.write()
        landing = query.changes_of_each(self._git, [(step.onto, step.commit) for step in steps])
        self._facts = {step.commit: (step.own, found) for step, found in zip(steps, landing, strict=True)}
        for step in steps:
            del self._own[step.work]
        return {(s.onto, s.work): Merged(onto=s.onto, commit=s.commit, tree=s.tree, pack=pack) for s in steps}

    def _starts_below(self, onto: str, works: Sequence[CommitRecord]) -> set[tuple[CommitId, ...]]:
        """Return those parents of works that are one commit, and that is `onto` or among its nearest first parents."""
        wanted = {work.parents for work in works if len(work.parents) == 1}
        found: set[tuple[CommitId, ...]] = set()
        commit = CommitId(onto)
        for _ in range(_BELOW):
            found |= wanted & {(commit,)}
            record = self._git.find(commit) if found != wanted else None
            if record is None or not (parents := parse_commit(record.id, record.data).parents):
                break
            commit = parents[0]
        return found

    def _commit(self, task: Task, tree: TreeId, onto: str, work: str) -> CommitId:
        """Write the commit that may land, with the same trailers as the work that it brings in."""
        return change.commit_tree(self._git, tree, *self._form_of(task, onto, work))

    def _form_of(self, task: Task, onto: str, work: str) -> tuple[list[str], str, str]:
        """Return the parents, the message and the author of the commit that may land."""
        provenance = provenance_of(self._work(work).message)
        assert provenance is not None, "crew writes the trailers of every submission"
        squash = self._context.loaded.plan.merge.strategy == "squash"
        verb = "" if squash else "Land "
        message = message_with(f"{verb}{task.id}: {task.title or task.id}", "", provenance)
        author = f"{provenance.task} {provenance.agent} {provenance.model}"
        return [onto] if squash else [onto, work], message, author

    def _work(self, commit: str) -> CommitRecord:
        """Return the commit of submitted work; it is read once."""
        if commit not in self._records:
            self._records[commit] = query.commit_record(self._git, commit)
        return self._records[commit]

    async def checked(self, item: Item, merged: Merged, landed: Collection[str]) -> tuple[CheckResult, ...]:
        """Return what `check` does; it runs beside everything else, unless git was asked before and the rest takes no time."""
        if merged.commit in self._facts and not self._promised(item, landed):
            return self.check(item, merged, landed)
        return await asyncio.to_thread(self.check, item, merged, landed)

    def check(self, item: Item, merged: Merged, landed: Collection[str]) -> tuple[CheckResult, ...]:
        """Check the final difference, and every contract whose implementer has landed or is about to (`landed`)."""
        assert merged.commit is not None, "only what was merged is checked"
        sides = [(self._work(item.commit).parents[0], item.commit), (merged.onto, merged.commit)]
        own, landing = self._facts.get(merged.commit) or query.changes_of_each(self._git, sides)
        self._changes[merged.commit] = landing
        if (files := self._files) is None:
            files = self._files = KnownFiles(self._git, merged.onto)
        existing = ChainMap(dict(files.like([c.path for c in landing if c.added])), self._paths)
        results = [
            check_boundary(self._git, landing, self._context.boundary(item.task), existing=existing),
            check_no_revert(self._git, own, landing),
        ]
        entries = self._promised(item, landed)
        return (*results, *([check_contracts(self._git, merged.tree, entries)] if entries else []))

    def _promised(self, item: Item, landed: Collection[str]) -> list[Implementation]:
        entries = self._context.loaded.plan.contracts.implementations
        return [entry for entry in entries if entry.task == item.task or entry.task in landed]

    def conflict(self, item: Item, merged: Merged) -> tuple[CheckResult, str, str]:
        """Return what a merge that failed comes to: what was found, the reason in short, and what to tell the next generation."""
        message = f"does not merge with what has landed since ({merged.onto[:12]})"
        found = tuple(Violation(kind="conflict", path=path, message=message) for path in merged.conflicts)
        reason = f"conflict in {', '.join(merged.conflicts[:3])}"
        return CheckResult(name="merge", violations=found), reason, self._feedback(item, merged)

    def _feedback(self, item: Item, merged: Merged) -> str:
        """Return what the next generation should know about a conflict: what it changed there, and what others have."""
        start = self._work(item.commit).parents[0]
        between = (start, merged.onto, merged.conflicts)
        if (others := self._others.get(between)) is None:
            log = ("--first-parent", "--reverse", f"{start}..{merged.onto}")
            found = query.commits_between(self._git, *log, paths=merged.conflicts)
            others = [self._landing(commit, merged.conflicts) for commit in found]
            self._others = {between: others}
        own = self._patch(start, item.commit, merged.conflicts)
        return conflict_feedback(merged.conflicts, merged.onto, own, others)

    def _landing(self, commit: CommitRecord, paths: Sequence[str]) -> Landing:
        by = provenance_of(commit.message)
        task = next(
            (t for t in self._context.loaded.plan.tasks if by and by.run == self._context.run and t.id == by.task), None
        )
        patch = self._patch(commit.parents[0], commit.id, paths) if commit.parents else ""
        return Landing(commit.id, commit.message.partition("\n")[0], task.prompt if task else "", patch)

    def _patch(self, before: str, after: str, paths: Sequence[str]) -> str:
        return query.patch_between(self._git, before, after, paths).decode("utf-8", "replace")

    def landed(self, merged: Merged) -> None:
        """Remember which paths are there now."""
        assert merged.commit is not None, "only what was merged lands"
        self._paths.update(forms_of(c.path for c in self._changes.pop(merged.commit) if c.added))

    def is_gone(self, item: Item) -> bool:
        """Tell whether objects of a task's work are not here any more: somebody has deleted its branch and collected garbage."""
        tip = self._context.base.find_tip()
        return tip is not None and query.new_objects(self._git, item.commit, tip) is None

    def let_go(self, task: str) -> None:
        """Hold a task's candidate no more: it has landed, or is not wanted."""
        own, ref = self._context.repository.own, candidate_ref(self._context.run, task)
        if self._held and (held := query.resolve(own, ref)):
            change.delete_ref(own, ref, held)


def forget_candidates(context: RunContext) -> None:
    """Let go of all candidates of a run: those that a kill has left, too."""
    own = context.repository.own
    for ref in query.refs(own, candidate_ref(context.run)):
        change.delete_ref(own, ref.name, ref.id)
