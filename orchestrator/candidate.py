"""One candidate: a task's work merged, in memory, on top of a commit, as the very commit that may land; and its checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.checks.reverts import check_no_revert
from orchestrator.checks.submission import check_boundary, check_contracts
from orchestrator.git import change, query
from orchestrator.git.parse import CommitId
from orchestrator.model.boundary import forms_of
from orchestrator.model.feedback import Landing, conflict_feedback
from orchestrator.model.trailers import message_with, provenance_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from orchestrator.context import RunContext
    from orchestrator.git.parse import Change, CommitRecord, TreeId
    from orchestrator.model.finding import CheckResult
    from orchestrator.model.plan import Task
    from orchestrator.model.train_values import Item

__all__ = ["Candidates", "Merged", "forget_candidates"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What came of a merge: the commit that may land and its tree, or the paths in conflict."""

    onto: CommitId
    commit: CommitId | None
    tree: TreeId
    conflicts: tuple[str, ...] = ()


class Candidates:
    """Builds and checks the candidates of one run."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._git = context.repository.objects
        self._held = bool(context.loaded.plan.gates)
        self._paths: dict[str, str] = {}  # what stands on the base branch, by the form that all systems tell apart
        self._records: dict[str, CommitRecord] = {}
        self._changes: dict[str, tuple[Change, ...]] = {}  # what each candidate that was checked would change

    def build(self, item: Item, onto: str) -> Merged:
        """Merge a task's work on top of a commit, and write the result with its final message.

        While there are gates to wait for, a ref holds it until it is let go: else a `git gc --prune=now` could take its
        objects away.
        """
        merged = query.merge_in_memory(self._git, onto, item.commit)
        if merged.conflicts:
            return Merged(onto=CommitId(onto), commit=None, tree=merged.tree, conflicts=merged.conflicts)
        commit = self._commit(self._context.loaded.plan.task(item.task), merged.tree, onto, item.commit)
        if self._held:
            own, ref = self._context.repository.own, _ref(self._context.run, item.task)
            change.move_ref(own, ref, commit, query.resolve(own, ref))
        return Merged(onto=CommitId(onto), commit=commit, tree=merged.tree)

    def _commit(self, task: Task, tree: TreeId, onto: str, work: str) -> CommitId:
        """Write the commit that may land, with the same trailers as the work that it brings in."""
        provenance = provenance_of(self._work(work).message)
        assert provenance is not None, "crew writes the trailers of every submission"
        squash = self._context.loaded.plan.merge.strategy == "squash"
        verb = "" if squash else "Land "
        message = message_with(f"{verb}{task.id}: {task.title or task.id}", "", provenance)
        author = f"{provenance.task} {provenance.agent} {provenance.model}"
        return change.commit_tree(self._git, tree, [onto] if squash else [onto, work], message, author)

    def _work(self, commit: str) -> CommitRecord:
        """Return the commit of submitted work; it is read once."""
        if commit not in self._records:
            self._records[commit] = query.commit_record(self._git, commit)
        return self._records[commit]

    def check(self, item: Item, merged: Merged, landed: Collection[str]) -> tuple[CheckResult, ...]:
        """Check the final difference, and every contract whose implementer has landed or is about to (`landed`)."""
        task, plan = self._context.loaded.plan.task(item.task), self._context.loaded.plan
        assert merged.commit is not None, "only what was merged is checked"
        sides = [(self._work(item.commit).parents[0], item.commit), (merged.onto, merged.commit)]
        own, landing = query.changes_of_each(self._git, sides)
        self._changes[merged.commit] = landing
        if not self._paths:
            self._paths = forms_of(query.files_at(self._git, merged.onto))
        results = [
            check_boundary(self._git, landing, self._context.boundaries[task.id], existing=self._paths),
            check_no_revert(self._git, own, landing),
        ]
        entries = [e for e in plan.contracts.implementations if e.task == task.id or e.task in landed]
        return (*results, *([check_contracts(self._git, merged.tree, entries)] if entries else []))

    def feedback(self, item: Item, merged: Merged) -> str:
        """Return what the next generation should know about a conflict: what it changed there, and what others have."""
        start = self._work(item.commit).parents[0]
        log = ("--first-parent", "--reverse", f"{start}..{merged.onto}")
        others = [
            self._landing(found, merged.conflicts)
            for found in query.commits_between(self._git, *log, paths=merged.conflicts)
        ]
        return conflict_feedback(
            merged.conflicts, merged.onto, self._patch(start, item.commit, merged.conflicts), others
        )

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
        self._paths.update(forms_of(c.path for c in self._changes[merged.commit] if c.added))

    def is_gone(self, item: Item) -> bool:
        """Tell whether objects of a task's work are not here any more: somebody has deleted its branch and collected garbage."""
        tip = self._context.base.find_tip()
        return tip is not None and query.new_objects(self._git, item.commit, tip) is None

    def let_go(self, task: str) -> None:
        """Hold a task's candidate no more: it has landed, or is not wanted."""
        own, ref = self._context.repository.own, _ref(self._context.run, task)
        if self._held and (held := query.resolve(own, ref)):
            change.delete_ref(own, ref, held)


def forget_candidates(context: RunContext) -> None:
    """Let go of all candidates of a run: those that a kill has left, too."""
    own = context.repository.own
    for ref in query.refs(own, f"refs/orch/{context.run}/candidate"):
        change.delete_ref(own, ref.name, ref.id)


def _ref(run: str, task: str) -> str:
    return f"refs/orch/{run}/candidate/{task}"
