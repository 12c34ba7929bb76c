"""What an edited plan changes in a run that has begun: only what differs is planned again. Pure.

A task is compared with all that its own entry says and with the files that its steps name. Everything else (gates, limits,
agents, tracks) is no property of a task and simply takes effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from orchestrator.model.events import PlanEdited
from orchestrator.model.plan import Plan, spec_hash
from orchestrator.model.plan_steps import each_step, source_of
from orchestrator.model.state import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.model.plan import Task
    from orchestrator.model.state import RunState

__all__ = ["PlanText", "Replan", "compare"]

_SETTINGS = tuple(key for key in Plan.model_fields if key not in {"version", "name", "contracts", "tasks"})


class PlanText(Protocol):
    """A valid plan, the content of the files that it names, and the hash of both; `planfile.LoadedPlan` is one."""

    @property
    def plan(self) -> Plan:
        """The plan."""

    @property
    def sources(self) -> Mapping[str, bytes]:
        """The content of each file that the plan names, by the path as the plan writes it."""

    @property
    def sha256(self) -> str:
        """The hash of the plan's text and all sources, 64 hex digits."""


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
    refused = _refused(old.plan, new.plan, state)
    tasks = _tasks(old, new, state)
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


def _all_of(task: Task, text: PlanText) -> tuple[str, list[bytes]]:
    """Return what two versions of a task are compared by: all that it says, and the content of the files that it names."""
    return spec_hash(task), [text.sources[name] for name in _named(task)]


def _named(task: Task) -> Iterator[str]:
    for _, step in each_step(task.steps):
        if (named := source_of(step)) is not None:
            yield named[1]


def _contracts(old: PlanText, new: PlanText) -> tuple[str, ...]:
    """Return the paths of the contracts whose text is new."""
    before = _contract_texts(old)
    return tuple(path for path, text in _contract_texts(new).items() if before.get(path) != text)


def _contract_texts(text: PlanText) -> dict[str, bytes]:
    return {
        path: file.text.encode() if file.text is not None else text.sources[file.source or ""]
        for path, file in text.plan.contracts.files.items()
    }


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
