"""The unsplit plan: all of a plan's work as one task, which one agent does in sequence. Pure.

It is the fallback when parallel work came to nothing, and the baseline against which parallel work is measured.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from orchestrator.model.globs import Scope, overlap
from orchestrator.model.graph import topological_order
from orchestrator.model.plan import Plan, Task, TaskBudget, TaskLimits, TodoSpec
from orchestrator.model.plan_steps import ClaimTodo, FinishTodo, OnlyWhen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orchestrator.model.plan import Step

__all__ = ["WHOLE", "merged", "most_used", "unsplit"]

WHOLE = "whole"
"""The id of the one task."""
_MOST_ATTEMPTS = 100
_N = TypeVar("_N", int, float)


def unsplit(plan: Plan, agent: str | None = None) -> Plan:
    """Return the plan with one task in the place of all, for `agent`, or for the one that has most of the tasks.

    The one task may write what any of them may; its TODOs are all of theirs, as `task.todo`; its limits are the sums. Where
    script steps are to be done by a model, they are part of what it is told. Contracts, gates and landing stay as they are.
    """
    whole = merged(plan, plan.tasks, WHOLE, plan.name, agent or most_used(plan))
    implementations = tuple(each.model_copy(update={"task": WHOLE}) for each in plan.contracts.implementations)
    contracts = plan.contracts.model_copy(update={"implementations": implementations})
    return plan.model_copy(update={"tasks": (whole,), "contracts": contracts})


def merged(plan: Plan, members: Sequence[Task], name: str, title: str, agent: str) -> Task:
    """Return one task with the work of several; it needs what any of them needs from others."""
    ids = {task.id for task in members}
    order = topological_order({task.id: tuple(ids.intersection(task.needs)) for task in members})
    tasks = [plan.task(known) for known in order]
    return Task(
        id=name,
        title=title,
        needs=tuple(dict.fromkeys(need for task in tasks for need in task.needs if need not in ids)),
        writes=_union(plan, tasks),
        prompt="\n\n".join(_told(plan, task) for task in tasks),
        todos=tuple(_named(task, todo) for task in tasks for todo in task.todos),
        agent=agent,
        attempts=min(_MOST_ATTEMPTS, max(task.attempts for task in tasks)),
        limits=_limits([task.limits for task in tasks]),
        budget=_budget([task.budget for task in tasks]),
        steps=tuple(_renamed(task.id, step) for task in tasks for step in task.steps),
    )


def most_used(plan: Plan) -> str:
    """Return the agent of most tasks; one that is no script goes before any that is, since it can do what scripts do."""
    counts = Counter(task.agent for task in plan.tasks)
    return max(
        counts,
        key=lambda name: (plan.agents.get(name) is not None and plan.agents[name].kind != "script", counts[name]),
    )


def _union(plan: Plan, tasks: Sequence[Task]) -> tuple[str, ...]:
    """Return globs of all that the tasks own; what one excludes stays out if no other owns any of it."""
    owned = {task.id: plan.owned(task) for task in tasks}
    kept = [
        glob
        for name, globs in owned.items()
        for glob in globs
        if not glob.startswith("!") or not _owned_by_others(glob.removeprefix("!"), name, owned.items())
    ]
    return tuple(dict.fromkeys(sorted(kept, key=lambda glob: glob.startswith("!"))))


def _owned_by_others(glob: str, name: str, owned: Iterable[tuple[str, Sequence[str]]]) -> bool:
    return any(overlap(Scope([glob]), Scope(globs)) is not None for other, globs in owned if other != name)


def _told(plan: Plan, task: Task) -> str:
    lines = [f"## {task.id}: {task.title}".rstrip(": "), "", *([task.prompt.strip()] if task.prompt.strip() else [])]
    if task.steps:
        steps = [step.model_dump(mode="json", by_alias=True, exclude_unset=True) for step in task.steps]
        lines.append(f"Do exactly these steps: {json.dumps(steps, ensure_ascii=False)}")
    lines.append(f"Its paths: {', '.join(plan.owned(task)) or 'none'}")
    return "\n".join(lines)


def _named(task: Task, todo: TodoSpec) -> TodoSpec:
    return TodoSpec(id=f"{task.id}.{todo.id}", title=todo.title)


def _renamed(task: str, step: Step) -> Step:
    """Return a step that names its TODO as the one task does."""
    if isinstance(step, ClaimTodo):
        return ClaimTodo(claim=f"{task}.{step.claim}")
    if isinstance(step, FinishTodo):
        return FinishTodo(done=f"{task}.{step.done}")
    if isinstance(step, OnlyWhen):
        do = tuple(_renamed(task, inner) for inner in step.when.do)
        return step.model_copy(update={"when": step.when.model_copy(update={"do": do})})
    return step


def _limits(limits: Sequence[TaskLimits]) -> TaskLimits:
    stalls = [each.stall for each in limits if each.stall is not None]
    return TaskLimits().model_copy(
        update={
            "wall": sum(each.wall for each in limits),
            "stall": max(stalls) if len(stalls) == len(limits) else None,
            "cost_usd": _sum([each.cost_usd for each in limits]),
            "tokens": _sum([each.tokens for each in limits]),
            "turns": _sum([each.turns for each in limits]),
        }
    )


def _budget(budgets: Sequence[TaskBudget]) -> TaskBudget:
    names = ("wall", "cost_usd", "tokens", "turns")
    return TaskBudget().model_copy(update={name: _sum([getattr(each, name) for each in budgets]) for name in names})


def _sum(values: Sequence[_N | None]) -> _N | None:
    """Return the sum; None, no limit, if one of them is none."""
    known = [value for value in values if value is not None]
    return sum(known[1:], start=known[0]) if known and len(known) == len(values) else None
