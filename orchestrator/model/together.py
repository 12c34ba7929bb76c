"""The plan of mode crdt: tasks as one, whose parts several agents write into shared files at the same time. Pure.

A part is a TODO of a task; a task without TODOs is one part. What a script does between `claim: x` and `done: x` is the part
of the TODO x; what it does outside of any is a part of its own, and so are the commands that it runs, once all else is written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.model.globs import Scope
from orchestrator.model.graph import find_cycle
from orchestrator.model.plan import AgentSpec, TodoSpec
from orchestrator.model.plan_steps import ClaimTodo, FinishTodo, RunCommand, StreamFile, WriteFile, each_step
from orchestrator.model.unsplit import WHOLE, merged

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from orchestrator.model.plan import Plan, Task
    from orchestrator.model.plan_steps import Step

__all__ = [
    "OUTLINE",
    "REPAIR",
    "TOGETHER",
    "Group",
    "Part",
    "files_for",
    "files_of",
    "groups_of",
    "parts_of",
    "together",
    "unfit_for_it",
]

TOGETHER = "together"
"""The agent of such a task: it lets the others work."""
OUTLINE, REPAIR = "outline", "repair"
"""The parts of who writes the scaffold, and of who mends what does not fit together in the end."""
_KINDS = ("script", "anthropic")
_LAST = "commands"  # what a script runs can need all that its task writes


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Tasks that are worked together, as one task of that id; `plan` has them alone, apart, with the files that they share."""

    id: str
    agent: str
    plan: Plan


def groups_of(plan: Plan, *, all_of_it: bool) -> tuple[Group, ...]:
    """Return what is worked together: all of a plan, or the tasks of each track that says so."""
    if all_of_it:
        return (Group(id=WHOLE, agent=TOGETHER, plan=plan),)
    tracks = {name: track for name, track in plan.tracks.items() if track.mode == "crdt"}
    members = {name: [task for task in plan.tasks if task.track == name] for name in tracks}
    taken = {task.id for task in plan.tasks}
    return tuple(
        Group(
            id=_free_id(name, taken), agent=f"{TOGETHER}-{number}", plan=_alone(plan, members[name], tracks[name].owns)
        )
        for number, name in enumerate(tracks, start=1)
        if members[name]
    )


def together(plan: Plan, groups: Sequence[Group]) -> Plan:
    """Return the plan with one task in the place of each group, for an agent that lets others write; its TODOs are the parts."""
    place = {task.id: group for group in groups for task in group.plan.tasks}
    tasks: dict[str, Task] = {}
    for task in plan.tasks:
        group = place.get(task.id)
        if group is None:
            tasks[task.id] = task.model_copy(update={"needs": _renamed(task.needs, place)})
        elif group.id not in tasks:
            members = [plan.task(member.id) for member in group.plan.tasks]
            todos = tuple(TodoSpec(id=part.id, title=part.title) for part in parts_of(group.plan))
            title = plan.name if group.id == WHOLE else group.id
            whole = merged(plan, members, group.id, title, group.agent)
            new = {"todos": todos, "steps": (), "needs": _renamed(whole.needs, place)}
            tasks[group.id] = whole.model_copy(update=new)
    implementations = tuple(
        each.model_copy(update={"task": place[each.task].id}) if each.task in place else each
        for each in plan.contracts.implementations
    )
    agents = {**plan.agents, **{group.agent: AgentSpec(kind="script") for group in groups}}
    contracts = plan.contracts.model_copy(update={"implementations": implementations})
    return plan.model_copy(update={"tasks": tuple(tasks.values()), "agents": agents, "contracts": contracts})


def _free_id(track: str, taken: Collection[str]) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", track).strip(".-") or TOGETHER
    while name in taken:
        name += f"-{TOGETHER}"
    return name


def _alone(plan: Plan, members: Sequence[Task], owns: Sequence[str]) -> Plan:
    """Return a plan of these tasks alone, with those of the shared files that lie in their track."""
    ids, scope = {task.id for task in members}, Scope(owns)
    tasks = tuple(task.model_copy(update={"needs": tuple(n for n in task.needs if n in ids)}) for task in members)
    files = {path: text for path, text in plan.crdt.files.items() if scope.matches(path)}
    return plan.model_copy(update={"tasks": tasks, "crdt": plan.crdt.model_copy(update={"files": files})})


def _renamed(needs: Sequence[str], place: Mapping[str, Group]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(place[need].id if need in place else need for need in needs))


def parts_of(plan: Plan) -> tuple[Part, ...]:
    """Return the parts of the work, in the plan's order; a part needs all parts of the tasks that its task needs."""
    by_task = {task.id: list(_parts_of(task)) for task in plan.tasks}
    return tuple(
        replace(part, needs=(*part.needs, *(other.id for need in task.needs for other in by_task[need])))
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


def files_for(part: Part, files: Iterable[str]) -> list[str]:
    """Return the shared files at which a part needs a seat: a script those that it writes, a model may look at all."""
    written = {part.path, *_written(part.steps)}
    return [path for path in files if not part.steps or path in written]


def unfit_for_it(plan: Plan, groups: Sequence[Group]) -> str:
    """Return why groups of a plan's tasks cannot be worked together; empty if they can."""
    if why := next((why for group in groups if (why := _unfit(group.plan))), ""):
        return why
    if cycle := find_cycle({task.id: task.needs for task in together(plan, groups).tasks}):
        return f"the tasks of {cycle[0]!r} would need each other by way of others: {' -> '.join(cycle)}"
    return ""


def _unfit(plan: Plan) -> str:
    used = {task.agent for task in plan.tasks} | {name for name in (plan.crdt.outliner, plan.crdt.reconciler) if name}
    for name in sorted(used):
        kind = plan.agents[name].kind if name in plan.agents else "script"
        if kind not in _KINDS:
            return f"the agent {name!r} is of kind {kind!r}, which cannot write into a shared file"
    if not files_of(plan):
        return "no file is named that could be shared: name it in `writes`, without wildcards, or in `crdt.files`"
    scopes = [Scope(plan.owned(task)) for task in plan.tasks]
    for path in files_of(plan):
        if not any(scope.matches(path) for scope in scopes):
            return f"{path} is to be shared, and no task may write it: name it in the `writes` of one"
    return ""


def _parts_of(task: Task) -> Iterator[Part]:
    titles = {todo.id: todo.title or todo.id for todo in task.todos}
    groups = _groups(task.steps)
    for todo, title in titles.items():
        yield Part(
            id=f"{task.id}.{todo}", task=task.id, title=title, agent=task.agent, names=(todo, f"{task.id}.{todo}"),
            prompt=f"{task.prompt.strip()}\n\nOf this, do exactly: {title}".strip(), steps=groups.pop(todo, ()),
        )  # fmt: skip
    rest = tuple(step for name, steps in groups.items() if name != _LAST for step in steps)
    whole = Part(
        id=task.id,
        task=task.id,
        title=task.title or task.id,
        agent=task.agent,
        prompt=task.prompt.strip(),
        names=(task.id,),
    )
    if not titles:
        yield replace(whole, steps=(*rest, *groups.get(_LAST, ())))
        return
    if rest:
        yield replace(whole, steps=rest)
    if _LAST in groups:
        before = (*(f"{task.id}.{todo}" for todo in titles), *((task.id,) if rest else ()))
        yield replace(
            whole, id=f"{task.id}.{_LAST}", title="Run what is to run", needs=before, names=(), steps=groups[_LAST]
        )


def _groups(steps: tuple[Step, ...]) -> dict[str, tuple[Step, ...]]:
    """Return the steps by the TODO that is claimed while they are done, under the empty text where none is; commands are last."""
    groups: dict[str, tuple[Step, ...]] = {}
    claimed = ""
    for step in steps:
        if isinstance(step, ClaimTodo):
            claimed = step.claim
        elif isinstance(step, FinishTodo):
            claimed = ""
        else:
            name = _LAST if isinstance(step, RunCommand) else claimed
            groups[name] = (*groups.get(name, ()), step)
    return groups


def _written(steps: tuple[Step, ...]) -> Iterator[str]:
    for _, step in each_step(steps):
        if isinstance(step, WriteFile):
            yield step.write.path
        elif isinstance(step, StreamFile):
            yield step.stream.path
