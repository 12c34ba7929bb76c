"""Landing: submitted work becomes landed work. What is tested is, object for object, what lands.

One item at a time: merge in memory on top of the base branch, write the commit with its final message, check the final
difference again, run the gates in a folder that holds exactly that commit, and move the branch by compare-and-swap. If
somebody else has moved it meanwhile, all of it starts again from there.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from orchestrator.checks.gate import is_missing, run_gate
from orchestrator.checks.submission import check_boundary, check_contracts
from orchestrator.errors import BaseBranchError, ClaimRefused, TreeChangedAfterGate
from orchestrator.git import change, query
from orchestrator.model import events as happened
from orchestrator.model.boundary import forms_of
from orchestrator.model.claims import GrantState
from orchestrator.model.feedback import feedback_on, first_error
from orchestrator.model.finding import CheckResult, Violation
from orchestrator.model.trailers import message_with, provenance_of

if TYPE_CHECKING:
    from orchestrator.context import RunContext
    from orchestrator.git.parse import CommitId, TreeId
    from orchestrator.model.plan import Task
    from orchestrator.model.state import RunState
    from orchestrator.worktrees import GateFolder

__all__ = ["Landing"]

_TRIES = 20  # a branch that others move this often during one task's gates is not ours to land on


class Landing:
    """Lands the tasks of one run, one after the other."""

    def __init__(self, context: RunContext, gate_folder: GateFolder | None) -> None:
        self._context = context
        self._gate_folder = gate_folder
        self._told_of = ""
        self._paths: dict[str, str] = {}  # what stands on the base branch, by the form that all systems tell apart

    async def land(self, task: Task, state: RunState) -> None:
        """Land a task's submitted work; it ends in a `Landed` or a `Refused` event."""
        generation, commit = state.tasks[task.id].generation, state.tasks[task.id].submitted
        assert commit is not None, "decide() lands only what was submitted"
        started = time.monotonic()
        for _ in range(_TRIES):
            tip = self._context.base.tip()
            self._tell_if_moved(tip, state)
            candidate = await self._candidate(task, generation, tip, commit, state)
            if candidate is None:
                return
            try:
                self._context.hub.fence(task.id, generation)
                self._context.emit(happened.BaseMoving(task=task.id, old=tip, new=candidate))
                await self._context.settle()
                if await asyncio.to_thread(self._context.base.advance, tip, candidate):
                    tree = query.tree_of(self._context.repository.objects, candidate)
                    self._landed(task, generation, candidate, tree, time.monotonic() - started)
                    return
            except (BaseBranchError, ClaimRefused) as error:
                self._context.refuse(task.id, generation, error.message, f"{error.message} {error.hint}", final=True)
                return
        reason = f"{self._context.base.name} was moved by somebody else {_TRIES} times"
        self._context.refuse(task.id, generation, reason, final=True)

    def _tell_if_moved(self, tip: CommitId, state: RunState) -> None:
        """Say it once when the branch is not where this run last moved it: a person, or an agent that should not have."""
        if tip not in (state.base_commit, self._told_of):
            self._told_of = tip
            name = self._context.base.name
            text = f"Somebody else moved {name} to {tip[:12]}; what lands is tested on top of that"
            self._context.emit(happened.Noticed(text=f"{text} (git log {state.base_commit[:12]}..{tip[:12]})."))

    async def _candidate(
        self, task: Task, generation: int, tip: CommitId, commit: str, state: RunState
    ) -> CommitId | None:
        """Return the commit that may land on `tip`, every check passed; None if the work was refused."""
        git = self._context.repository.objects
        merged = await asyncio.to_thread(query.merge_in_memory, git, tip, commit)
        if merged.conflicts:
            found = tuple(
                Violation(kind="conflict", path=path, message=f"does not merge with what has landed since ({tip[:12]})")
                for path in merged.conflicts
            )
            result = CheckResult(name="merge", violations=found)
            self._tell(task, generation, result)
            self._context.refuse(
                task.id, generation, f"conflict in {', '.join(merged.conflicts[:3])}", feedback_on([result])
            )
            return None
        candidate = await asyncio.to_thread(self._commit, task, merged.tree, tip, commit)
        results = await asyncio.to_thread(self._check, task, tip, merged.tree, state)
        for result in results:
            self._tell(task, generation, result)
        if all(result.passed for result in results):  # what may not land is not worth a gate
            results = await self._gates(task, generation, candidate, merged.tree)
        if failed := [r for r in results if not r.passed]:
            stopped = self._context.stop_gates.is_set()
            how = "was stopped" if stopped else f"failed on the merged tree: {first_error(failed[0])}"
            reason, final = f"check {failed[0].name} {how}", any(is_missing(r) for r in failed)
            self._context.refuse(task.id, generation, reason, feedback_on(failed), stopped=stopped, final=final)
            return None
        return candidate

    def _commit(self, task: Task, tree: TreeId, tip: CommitId, commit: str) -> CommitId:
        """Write the merge commit, with the same trailers as the work that it brings in."""
        git = self._context.repository.objects
        provenance = provenance_of(query.commit_record(git, commit).message)
        assert provenance is not None, "crew writes the trailers of every submission"
        message = message_with(f"Land {task.id}: {task.title or task.id}", "", provenance)
        author = f"{provenance.task} {provenance.agent} {provenance.model}"
        return change.commit_tree(git, tree, [tip, commit], message, author)

    def _check(self, task: Task, tip: CommitId, tree: TreeId, state: RunState) -> list[CheckResult]:
        """Check the final difference, and every contract whose implementer has landed or is about to."""
        git = self._context.repository.objects
        changes = query.changed_paths(git, tip, tree)
        if not self._paths:
            self._paths = forms_of(query.files_at(git, tip))
        here = {task.id, *(t for t, s in state.tasks.items() if s.landed)}
        entries = [e for e in self._context.loaded.plan.contracts.implementations if e.task in here]
        results = [check_boundary(git, changes, self._context.boundaries[task.id], existing=self._paths)]
        self._paths.update(forms_of(c.path for c in changes if c.added))
        return [*results, check_contracts(git, tree, entries)] if entries else results

    async def _gates(self, task: Task, generation: int, candidate: CommitId, tree: TreeId) -> list[CheckResult]:
        """Run the gates on the candidate, up to the first that fails, and tell each verdict as it comes.

        Raises:
            TreeChangedAfterGate: the gate folder does not hold the candidate's tree.
        """
        results: list[CheckResult] = []
        for gate in self._context.loaded.plan.gates if self._gate_folder else ():
            assert self._gate_folder is not None
            held = await self._gate_folder.hold(candidate)
            if held != tree:
                raise TreeChangedAfterGate(f"The gates would run on tree {held}, but {task.id} would land {tree}.")
            shown = f"gates/{task.id}.gen-{generation}.{gate.name}.log"
            output = self._context.folder / shown
            result = await run_gate(
                gate,
                run=self._context.run,
                folder=self._gate_folder.folder,
                output=output,
                shown=shown,
                stop=self._context.stop_gates,
            )
            results.append(result)
            if not self._context.stop_gates.is_set():  # a gate that we stopped gave no verdict
                self._tell(task, generation, result)
            if not result.passed:
                break
        return results

    def _landed(self, task: Task, generation: int, commit: CommitId, tree: TreeId, seconds: float) -> None:
        self._context.emit(
            happened.Landed(task=task.id, generation=generation, commit=commit, tree=tree, seconds=seconds)
        )
        self._context.hub.release(task.id, GrantState.DONE, commit=commit)

    def _tell(self, task: Task, generation: int, result: CheckResult) -> None:
        self._context.emit(happened.Checked(task=task.id, generation=generation, stage="landing", result=result))
