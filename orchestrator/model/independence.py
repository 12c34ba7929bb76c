"""Which tasks cannot get in each other's way, as far as the plan tells: the lanes of the merge train. Pure.

Two tasks are independent if no path lies in both scopes, neither needs the other, directly or through others, and they have
no contract in common. Whether they really are, the gates decide: what lands is tested on top of all that landed before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.model.globs import Scope, overlap
from orchestrator.model.graph import Reach
from orchestrator.model.widening import widened

if TYPE_CHECKING:
    from orchestrator.model.plan import Plan

__all__ = ["Independence"]


class Independence:
    """Answers for the tasks of one plan; what is learned while agents write (`meet`) counts as well."""

    def __init__(self, plan: Plan) -> None:
        self._scopes = {task.id: Scope(plan.owned(task)) for task in plan.tasks}
        self._reach = Reach({task.id: task.needs for task in plan.tasks})
        self._contracts = {
            task.id: frozenset(c.interface for c in plan.contracts.implementations if c.task == task.id)
            for task in plan.tasks
        }
        self._known: dict[frozenset[str], bool] = {}

    def meet(self, one: str, other: str) -> None:
        """Remember that the work of two tasks was seen to meet."""
        self._known[frozenset((one, other))] = False

    def widen(self, task: str, globs: tuple[str, ...]) -> None:
        """Count what a task was granted besides its scope."""
        self._scopes[task] = widened(self._scopes[task], globs)
        self._known = {pair: known for pair, known in self._known.items() if task not in pair or not known}

    def holds(self, one: str, other: str) -> bool:
        """Tell whether two tasks are independent; symmetric."""
        pair = frozenset((one, other))
        if pair not in self._known:
            self._known[pair] = self._decide(one, other)
        return self._known[pair]

    def _decide(self, one: str, other: str) -> bool:
        if self._reach.ordered(one, other) or self._contracts[one] & self._contracts[other]:
            return False
        return overlap(self._scopes[one], self._scopes[other]) is None
