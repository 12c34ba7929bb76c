"""The plan of mode crdt: all work as one task, whose parts several agents write into shared files at the same time. Pure.

A part is a TODO of a task; a task without TODOs is one part. What a script does between `claim: x` and `done: x` is the part
of the TODO x; what it does outside of any is a part of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.model.plan import AgentSpec, TodoSpec
from orchestrator.model.plan_steps import ClaimTodo, FinishTodo, StreamFile, WriteFile
from orchestrator.model.unsplit import unsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.model.plan import Plan, Task
    from orchestrator.model.plan_steps import Step

__all__ = ["OUTLINE", "REPAIR", "TOGETHER", "Part", "files_of", "parts_of", "together", "unfit_for_it"]

TOGETHER = "together"
"""The agent of the one task: it lets the others work."""
OUTLINE, REPAIR = "outline", "repair"
"""The parts of who writes the scaffold, and of who mends what does not fit together in the end."""
_KINDS = ("script", "anthropic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One piece of the work that one writer does: a task of the plan, a TODO of one, or a TODO that stands in a file.

    `id` is the TODO's on the board, `task` the plan's task of which it is, for provenance; `needs` are ids of parts. `marker` is
    the comment with `TODO:` that asks for it, as it stands in the file `path`, if one does; `steps` are what a script does.
    """

    id: str
    task: str
    title: str
    prompt: str
    agent: str
    names: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    marker: str | None = None
    path: str | None = None


def together(plan: Plan) -> Plan:
    """Return the plan with one task in the place of all, for the agent that lets the others write; its TODOs are the parts."""
    whole = unsplit(plan)
    todos = tuple(TodoSpec(id=part.id, title=part.title) for part in parts_of(plan))
    task = whole.tasks[0].model_copy(update={"agent": TOGETHER, "todos": todos, "steps": ()})
    return whole.model_copy(update={"tasks": (task,), "agents": {**plan.agents, TOGETHER: AgentSpec(kind="script")}})


def parts_of(plan: Plan) -> tuple[Part, ...]:
    """Return the parts of the work, in the plan's order; a part needs all parts of the tasks that its task needs."""
    by_task = {task.id: list(_parts_of(task)) for task in plan.tasks}
    return tuple(
        replace(part, needs=tuple(other.id for need in task.needs for other in by_task[need]))
        for task in plan.tasks
        for part in by_task[task.id]
    )


def files_of(plan: Plan) -> tuple[str, ...]:
    """Return the files that are shared: those of `crdt.files`, those that scopes name letter by letter, and those of scripts."""
    named = [
        glob for task in plan.tasks for glob in plan.owned(task) if not set(glob) & set("*?[]{}!\\") and glob[-1] != "/"
    ]
    written = [path for task in plan.tasks for path in _written(task.steps)]
    return tuple(dict.fromkeys([*plan.crdt.files, *named, *written]))


def unfit_for_it(plan: Plan) -> str:
    """Return why a plan cannot be run in mode crdt; empty if it can."""
    used = {task.agent for task in plan.tasks} | {name for name in (plan.crdt.outliner, plan.crdt.reconciler) if name}
    for name in sorted(used):
        kind = plan.agents[name].kind if name in plan.agents else "script"
        if kind not in _KINDS:
            return f"the agent {name!r} is of kind {kind!r}, which cannot write into a shared file"
    if not files_of(plan):
        return "no file is named that could be shared: name it in `writes`, without wildcards, or in `crdt.files`"
    return ""


def _parts_of(task: Task) -> Iterator[Part]:
    titles = {todo.id: todo.title or todo.id for todo in task.todos}
    groups = _groups(task.steps)
    for todo, title in titles.items():
        yield Part(
            id=f"{task.id}.{todo}", task=task.id, title=title, agent=task.agent, names=(todo, f"{task.id}.{todo}"),
            prompt=f"{task.prompt.strip()}\n\nOf this, do exactly: {title}".strip(), steps=groups.pop(todo, ()),
        )  # fmt: skip
    rest = tuple(step for steps in groups.values() for step in steps)
    if rest or not titles:
        yield Part(
            id=task.id, task=task.id, title=task.title or task.id, agent=task.agent, prompt=task.prompt.strip(),
            names=(task.id,), steps=rest,
        )  # fmt: skip


def _groups(steps: tuple[Step, ...]) -> dict[str, tuple[Step, ...]]:
    """Return the steps by the TODO that is claimed while they are done, under the empty text where none is."""
    groups: dict[str, tuple[Step, ...]] = {}
    claimed = ""
    for step in steps:
        if isinstance(step, ClaimTodo):
            claimed = step.claim
        elif isinstance(step, FinishTodo):
            claimed = ""
        else:
            groups[claimed] = (*groups.get(claimed, ()), step)
    return groups


def _written(steps: tuple[Step, ...]) -> Iterator[str]:
    for step in steps:
        if isinstance(step, WriteFile):
            yield step.write.path
        elif isinstance(step, StreamFile):
            yield step.stream.path
