"""What an edited plan changes in a run that has begun: only what differs is planned again. Pure.

A task is compared with all that its own entry says and with the files that its steps name; tasks that are worked as one, with
all that each of them says. Everything else (gates, limits, agents, tracks) is no property of a task and simply takes effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from orchestrator.model.events import PlanEdited
from orchestrator.model.plan import Plan, spec_hash
from orchestrator.model.plan_steps import each_step, source_of
from orchestrator.model.state import TaskStatus
from orchestrator.model.unsplit import WHOLE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from orchestrator.model.plan import ContractFile, Task
    from orchestrator.model.state import RunState
    from orchestrator.model.together import Group

__all__ = ["PlanText", "Replan", "compare"]

_SETTINGS = tuple(key for key in Plan.model_fields if key not in {"version", "name", "contracts", "tasks"})


class PlanText(Protocol):
    """A valid plan in the mode of the run, what the files that it names hold, and the hash of both; `LoadedPlan` is one."""

    @property
    def plan(self) -> Plan:
        """The plan."""

    @property
    def sources(self) -> Mapping[str, bytes]:
        """The content of each file that the plan names, by the path as the plan writes it."""

    @property
    def sha256(self) -> str:
        """The hash of the plan's text and all sources, 64 hex digits."""

    @property
    def groups(self) -> tuple[Group, ...]:
        """Tasks of the author's plan that are worked together, as one task of the plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replan:
    """What comparing came to.

    `refused` says why the run cannot go on with the edited plan. `edit` is the event that makes it count; None if both plans
    mean the same.
    """

    refused: tuple[str, ...]
    edit: PlanEdited | None


def compare(old: PlanText, new: PlanText, state: RunState) -> Replan:
    """Compare the plan that counts in a run with an edited one.

    Guarantees: a task that has landed never starts anew; each id is in at most one list of the edit.
    """
    tasks = _tasks(old, new, state)
    refused = (*_refused(old.plan, new.plan, state), *_done_as_one(old, new, state, tasks["landed"]))
    contracts, others = _contracts(old, new), _others(old.plan, new.plan)
    if not (contracts or others or any(ids for kind, ids in tasks.items() if kind != "failed")):
        return Replan(refused=refused, edit=None)
    jobs = new.plan.limits.jobs
    edit = PlanEdited(
        plan_sha256=new.sha256, folder=f"plan-{new.sha256[:12]}", jobs=jobs if jobs != old.plan.limits.jobs else None,
        tasks=tuple(task.id for task in new.plan.tasks), contracts=contracts, others=others,
        **{kind: tuple(ids) for kind, ids in tasks.items()},
    )  # fmt: skip
    return Replan(refused=refused, edit=edit)


def _tasks(old: PlanText, new: PlanText, state: RunState) -> dict[str, list[str]]:
    """Return the ids of all tasks to which the edit does something, by what it does."""
    known, planned = state.all_tasks, {task.id: task for task in old.plan.tasks}
    found: dict[str, list[str]] = {"added": [], "changed": [], "dropped": [], "landed": [], "failed": []}
    for task in new.plan.tasks:
        before = planned.pop(task.id, None)
        status = known[task.id].status if task.id in known else None
        if before is not None and _all_of(before, old) == _all_of(task, new):
            if status is TaskStatus.FAILED:
                found["failed"].append(task.id)
        elif status is TaskStatus.LANDED:
            found["landed"].append(task.id)
        else:
            found["added" if before is None else "changed"].append(task.id)
    found["dropped"] = list(planned)
    return found


def _refused(old: Plan, new: Plan, state: RunState) -> tuple[str, ...]:
    reasons = []
    if new.name != old.name:
        reasons.append(f"it is called {new.name}, and the run is one of {old.name}")
    base = state.started.base if state.started else old.base
    if new.base not in {old.base, base}:
        reasons.append(f"it lands on {new.base or 'the branch that is checked out'}, and the run lands on {base}")
    return tuple(reasons)


def _done_as_one(old: PlanText, new: PlanText, state: RunState, changed: Collection[str]) -> Iterator[str]:
    """Yield why what has landed as one task, or would be a part of one now, stands against the edited plan.

    `changed` are tasks that have landed and are others now. One that stands for several cannot be left as it was: what is new
    in it would never be done.
    """
    landed = {task_id for task_id, task in state.all_tasks.items() if task.status is TaskStatus.LANDED}
    before, after = {group.id for group in old.groups}, {group.id for group in new.groups}
    merged = {WHOLE} if state.started is not None and state.started.mode == "sequential" else after
    for task_id in merged.intersection(changed):
        yield f"{task_id} has landed as one, and takes in nothing more; put what is new into a plan of its own"
    for group in new.groups:
        for task in group.plan.tasks:
            if task.id in landed - before:
                yield f"{task.id} has landed, and would be done again as a part of {group.id}"
    apart = {task.id for task in new.plan.tasks} - after
    for group in old.groups:
        for task in group.plan.tasks if group.id in landed else ():
            if task.id in apart:
                yield f"{task.id} has landed as a part of {group.id}, and would be done again"


def _all_of(task: Task, text: PlanText) -> list[object]:
    """Return what two versions of a task are compared by: all that it says, and the content of the files that it names.

    Of one that stands for several, also what each of them says, and what the files that they share begin with.
    """
    groups = [group.plan for group in text.groups if group.id == task.id]
    tasks = [task, *(each for plan in groups for each in plan.tasks)]
    said = [(spec_hash(each), [text.sources[name] for name in _named(each)]) for each in tasks]
    return [said, [{path: _text_of(file, text) for path, file in plan.crdt.files.items()} for plan in groups]]


def _named(task: Task) -> Iterator[str]:
    for _, step in each_step(task.steps):
        if (named := source_of(step)) is not None:
            yield named[1]


def _contracts(old: PlanText, new: PlanText) -> tuple[str, ...]:
    """Return the paths of the contracts whose text is new."""
    before = _contract_texts(old)
    return tuple(path for path, text in _contract_texts(new).items() if before.get(path) != text)


def _contract_texts(text: PlanText) -> dict[str, bytes]:
    return {path: _text_of(file, text) for path, file in text.plan.contracts.files.items()}


def _text_of(file: ContractFile, text: PlanText) -> bytes:
    return file.text.encode() if file.text is not None else text.sources[file.source or ""]


def _others(old: Plan, new: Plan) -> tuple[str, ...]:
    """Return what else differs, in words of the plan; `contracts` if that is not the text of a contract file."""
    before, after = old.model_dump(mode="json", exclude={"tasks"}), new.model_dump(mode="json", exclude={"tasks"})
    others = [key for key in _SETTINGS if before[key] != after[key]]
    gone = old.contracts.files.keys() - new.contracts.files.keys()
    if gone or old.contracts.implementations != new.contracts.implementations:
        others.append("contracts")
    both = {task.id for task in old.tasks} & {task.id for task in new.tasks}
    if [t.id for t in old.tasks if t.id in both] != [t.id for t in new.tasks if t.id in both]:
        others.append("order of tasks")
    return tuple(others)
