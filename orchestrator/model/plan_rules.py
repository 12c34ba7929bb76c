"""How the parts of a plan must fit: names that exist, an order that exists, scopes that do not meet.

Every rule looks at the whole plan and reports all it finds. What a rule cannot know because a part of the file
was unreadable (`Gaps`) it leaves open, so that one mistake is one problem.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.model import graph, scope_rules
from orchestrator.model.plan_problem import Gaps, Problem, Where, folded, hint
from orchestrator.model.plan_steps import ClaimTodo, FinishTodo, OnlyWhen, each_step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchestrator.model.plan import Plan, Task

__all__ = ["Gaps", "Problem", "Where", "problems_of", "warnings_of"]

_NO_GAPS = Gaps()


def problems_of(plan: Plan, *, gaps: Gaps = _NO_GAPS) -> tuple[Problem, ...]:
    """Return everything that keeps the plan from being run, grouped by rule.

    Args:
        plan: what could be read.
        gaps: what else the file holds, unreadable; nothing is concluded from it.
    """
    needs, cyclic = _orderly_needs(plan)
    reach = graph.Reach(needs)
    order = scope_rules.KnownOrder(reach=reach, unsure=reach.bits(_unsure(plan, gaps) | cyclic))
    return (
        *_task_ids(plan),
        *_needs(plan, gaps),
        *_cycles(plan),
        *_references(plan, gaps),
        *_todos(plan, gaps),
        *_agents(plan, gaps),
        *_generations(plan, gaps),
        *_contract_paths(plan),
        *_gates(plan),
        *scope_rules.problems_of(plan, order=order, gaps=gaps),
    )


def warnings_of(plan: Plan) -> tuple[Problem, ...]:
    """Return what runs, but not alike on every system: scopes that spell one path in two ways."""
    return tuple(scope_rules.twins_of(plan))


def _task_ids(plan: Plan) -> Iterator[Problem]:
    seen: dict[str, tuple[str, Where]] = {}
    for index, task in enumerate(plan.tasks):
        where: Where = ("tasks", index, "id")
        first, other = seen.setdefault(folded(task.id), (task.id, where))
        if other == where:
            continue
        if first == task.id:
            message = f"the id {task.id!r} is taken by another task; choose a new one"
        else:
            message = (
                f"the ids {task.id!r} and {first!r} differ only in letter case, and some systems keep one branch"
                " for both; choose a new one"
            )
        yield Problem(where=where, message=message, other=other)


def _needs(plan: Plan, gaps: Gaps) -> Iterator[Problem]:
    known = dict.fromkeys((*(task.id for task in plan.tasks), *sorted(gaps.tasks)))
    for index, task in enumerate(plan.tasks):
        for position, need in enumerate(task.needs):
            where: Where = ("tasks", index, "needs", position)
            if need == task.id:
                yield Problem(where=where, message=f"{need!r} needs itself; take it out of its own needs")
            elif need not in known:
                end = hint(need, (name for name in known if name != task.id), "other task")
                yield Problem(where=where, message=f"no task has the id {need!r}; {end}")


def _needs_by_id(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return each task's needs but itself; of two tasks with one id the first counts."""
    needs: dict[str, tuple[str, ...]] = {}
    for task in plan.tasks:
        needs.setdefault(task.id, tuple(need for need in task.needs if need != task.id))
    return needs


def _orderly_needs(plan: Plan) -> tuple[dict[str, tuple[str, ...]], frozenset[str]]:
    """Return the needs without those inside a tangle, and the tasks that stand in one."""
    needs = _needs_by_id(plan)
    knot = {name: number for number, group in enumerate(graph.tangles(needs)) for name in group}
    orderly = {
        name: tuple(need for need in of if name not in knot or knot.get(need) != knot[name])
        for name, of in needs.items()
    }
    return orderly, frozenset(knot)


def _unsure(plan: Plan, gaps: Gaps) -> frozenset[str]:
    """Return the tasks of which some need is not known, for whatever reason."""
    ids = {task.id for task in plan.tasks}
    lost = (task.id for task in plan.tasks if gaps.any_of(task.id, "needs") or not ids.issuperset(task.needs))
    return frozenset(lost)


def _cycles(plan: Plan) -> Iterator[Problem]:
    needs = _needs_by_id(plan)
    first = {task.id: index for index, task in reversed(tuple(enumerate(plan.tasks)))}
    for group in graph.tangles(needs):
        inside = {name: tuple(need for need in needs[name] if need in group) for name in group}
        cycle = graph.find_cycle(inside) or ()
        index = first[cycle[0]]
        yield Problem(
            where=("tasks", index, "needs", plan.tasks[index].needs.index(cycle[1])),
            message=f"these tasks wait for each other: {' → '.join(cycle)}; take out one of these needs",
        )


def _references(plan: Plan, gaps: Gaps) -> Iterator[Problem]:
    tracks = dict.fromkeys((*plan.tracks, *sorted(gaps.tracks)))
    agents = dict.fromkeys((*plan.agents, "default", *sorted(gaps.agents)))
    for index, task in enumerate(plan.tasks):
        if task.track is not None and task.track not in tracks:
            message = f"no track is called {task.track!r}; {hint(task.track, tracks, 'track')}"
            yield Problem(where=("tasks", index, "track"), message=message)
        if task.agent not in agents:
            message = f"no agent is called {task.agent!r}; {hint(task.agent, agents, 'agent')}"
            yield Problem(where=("tasks", index, "agent"), message=message)
    ids = dict.fromkeys((*(task.id for task in plan.tasks), *sorted(gaps.tasks)))
    for index, promise in enumerate(plan.contracts.implementations):
        if promise.task not in ids:
            message = f"no task has the id {promise.task!r}; {hint(promise.task, ids, 'task')}"
            yield Problem(where=("contracts", "implementations", index, "task"), message=message)


def _todos(plan: Plan, gaps: Gaps) -> Iterator[Problem]:
    for index, task in enumerate(plan.tasks):
        places: dict[str, Where] = {}
        for position, todo in enumerate(task.todos):
            where: Where = ("tasks", index, "todos", position, "id")
            if (other := places.setdefault(todo.id, where)) != where:
                message = f"the id {todo.id!r} is taken by another todo of this task; choose a new one"
                yield Problem(where=where, message=message, other=other)
        if not gaps.any_of(task.id, "todos"):
            yield from _unknown_todos(task, index, places)


def _unknown_todos(task: Task, index: int, known: Iterable[str]) -> Iterator[Problem]:
    for where, step in each_step(task.steps, ("tasks", index, "steps")):
        if isinstance(step, ClaimTodo):
            key, name = "claim", step.claim
        elif isinstance(step, FinishTodo):
            key, name = "done", step.done
        else:
            continue
        if name not in known:
            message = f"this task has no todo {name!r}; {hint(name, known, 'todo in this task')}"
            yield Problem(where=(*where, key), message=message)


def _agents(plan: Plan, gaps: Gaps) -> Iterator[Problem]:
    known = {*plan.agents, "default"} - gaps.agents
    for index, task in enumerate(plan.tasks):
        if task.agent not in known or gaps.any_of(task.id, "agent", "steps"):
            continue
        kind = plan.agent_of(task).kind
        if kind != "script" and task.steps:
            yield Problem(
                where=("tasks", index, "steps"),
                message=f"the agent {task.agent!r} is of kind {kind!r} and carries out no steps;"
                " take 'steps' out, or name an agent of kind 'script'",
            )
        elif kind == "script" and "steps" not in task.model_fields_set:
            yield Problem(
                where=("tasks", index),
                message=f"the agent {task.agent!r} is of kind 'script', and the task has no 'steps' for it;"
                " add them (`steps: []` does nothing), or name another agent",
            )


def _generations(plan: Plan, gaps: Gaps) -> Iterator[Problem]:
    for index, task in enumerate(plan.tasks):
        if gaps.any_of(task.id, "attempts"):
            continue
        for where, step in each_step(task.steps, ("tasks", index, "steps")):
            if isinstance(step, OnlyWhen) and step.when.generation > task.attempts:
                many = f"{task.attempts} attempt{'s' if task.attempts != 1 else ''}"
                yield Problem(
                    where=(*where, "when", "generation"),
                    message=f"generation {step.when.generation} never runs, as the task has {many};"
                    " write a lower number, or raise 'attempts'",
                )


def _contract_paths(plan: Plan) -> Iterator[Problem]:
    spelled: dict[str, str] = {}
    for path in plan.contracts.files:
        where: Where = ("contracts", "files", path)
        twin = spelled.setdefault(folded(path), path)
        if twin != path:
            yield Problem(
                where=where,
                message=f"{path!r} and {twin!r} differ only in letter case or Unicode form, and some file systems"
                " keep only one of them; rename one",
                other=("contracts", "files", twin),
            )
    for path in plan.contracts.files:
        parts = folded(path).split("/")
        above = ("/".join(parts[:end]) for end in range(1, len(parts)))
        if folder := next((spelled[name] for name in above if name in spelled), None):
            yield Problem(
                where=("contracts", "files", path),
                message=f"{folder!r} cannot be both a file and the folder of {path!r}; rename one",
                other=("contracts", "files", folder),
            )


def _gates(plan: Plan) -> Iterator[Problem]:
    places: dict[str, Where] = {}
    for index, gate in enumerate(plan.gates):
        where: Where = ("gates", index, "name")
        if (other := places.setdefault(gate.name, where)) != where:
            message = f"the name {gate.name!r} is taken by another gate; choose a new one"
            yield Problem(where=where, message=message, other=other)
