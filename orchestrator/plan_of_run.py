"""The plan as a run keeps it: pinned in the run's folder when it begins, and perhaps edited when it is taken up again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.agents.registry import agents_of
from orchestrator.effects import reached
from orchestrator.errors import UsageError
from orchestrator.model.boundary import boundary_of
from orchestrator.model.claims import GrantState
from orchestrator.model.independence import Independence
from orchestrator.model.replan import compare
from orchestrator.model.state import TaskStatus
from orchestrator.model.todo import TaskCard
from orchestrator.model.together import groups_of, together, unfit_for_it
from orchestrator.model.unsplit import unsplit
from orchestrator.planfile import load_plan, patches_of
from orchestrator.probe import probed

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.agents.base import Agent
    from orchestrator.context import RunContext
    from orchestrator.driver import Recorder
    from orchestrator.model import events as happened
    from orchestrator.model.boundary import Boundary
    from orchestrator.model.formats import Mode
    from orchestrator.model.state import RunState
    from orchestrator.planfile import LoadedPlan

__all__ = [
    "agents_for",
    "boundaries_of",
    "edit_of",
    "in_mode",
    "pin_plan",
    "pinned_plan",
    "tell_board",
    "with_edited_plan",
]


def pin_plan(loaded: LoadedPlan, folder: Path) -> None:
    """Write the plan, and every file that it names, into the run's folder: what is resumed is what was begun."""
    reached("plan-pin")
    for name, content in {"plan.yaml": loaded.text, **loaded.sources}.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    reached("plan-pinned")


def in_mode(loaded: LoadedPlan, mode: Mode, agent: str | None = None) -> LoadedPlan:
    """Return the plan as a run of that mode works on it; the text that is pinned, and its hash, stay those of the author.

    Raises:
        UsageError: the plan has no such agent, or cannot be run in that mode.
    """
    if mode != "sequential":
        groups = groups_of(loaded.plan, all_of_it=mode == "crdt")
        if why := unfit_for_it(loaded.plan, groups):
            raise UsageError(
                f"It cannot be worked in mode crdt: {why}.", hint="Choose another mode, or change the plan."
            )
        return replace(loaded, plan=together(loaded.plan, groups), groups=groups) if groups else loaded
    if agent is not None and agent not in loaded.plan.agents:
        known = ", ".join(loaded.plan.agents) or "none"
        raise UsageError(f"The plan has no agent {agent!r}.", hint=f"Its agents: {known}.")
    return replace(loaded, plan=unsplit(loaded.plan, agent))


def agents_for(loaded: LoadedPlan, jobs: int) -> dict[str, Agent]:
    """Return the agents that do the tasks of a run; in mode crdt one that lets the others write, `jobs` of them at once.

    Raises:
        PlanError: one of them cannot be started.
    """
    agents = probed(agents_of(loaded), loaded)
    if loaded.groups:
        from orchestrator.writers.agent import TogetherAgent  # parsers are only for those who need them
    for group in loaded.groups:
        agents[group.agent] = TogetherAgent(plan=group.plan, sources=loaded.sources, jobs=jobs)
    return agents


def pinned_plan(folder: Path, state: RunState) -> LoadedPlan:
    """Return the plan that counts in a run, in its mode: the one it began with, or the newest edited one that it went on with.

    Raises:
        UsageError: it is gone, or was changed where it is kept.
    """
    place = folder / state.plan_folder
    loaded = load_plan(place / "plan.yaml")
    if loaded.sha256 != state.plan_sha256:
        raise UsageError(
            f"The plan in {place} is not the one with which the run {folder.name} was left.",
            hint="Restore it, or start a new run with `orch run --new PLAN`.",
        )
    return in_mode(loaded, state.started.mode, state.started.agent) if state.started else loaded


def edit_of(folder: Path, loaded: LoadedPlan, edited: LoadedPlan, state: RunState) -> happened.PlanEdited | None:
    """Return what an edited plan changes in a run; None if nothing.

    Raises:
        UsageError: the run cannot go on with it.
        PlanError: it asks for an agent that cannot be started.
    """
    replan = compare(loaded, edited, state)
    if replan.refused:
        raise UsageError(
            f"The run {folder.name} cannot go on with {edited.path}: {replan.refused[0]}.",
            hint=f"Start a new run with it: orch run --new {edited.path}",
        )
    agents_of(edited)
    return replan.edit


def boundaries_of(loaded: LoadedPlan) -> dict[str, Boundary]:
    """Return what the plan lets each of its tasks write."""
    return {task.id: boundary_of(loaded.plan, task, patches_of(loaded, task)) for task in loaded.plan.tasks}


def with_edited_plan(context: RunContext, edited: LoadedPlan, recorder: Recorder) -> RunContext:
    """Let an edited plan count from now on: it is kept in the run's folder first, then one event says so.

    A kill before that event leaves the old plan, whole, and a kill after it the new one.
    """
    agents, boundaries = agents_for(edited, recorder.state.jobs), boundaries_of(edited)
    edit = compare(context.loaded, edited, recorder.state).edit  # anew: what was cut off may have landed since
    assert edit is not None, "take_over_run() found a difference"
    pin_plan(edited, context.folder / edit.folder)
    recorder.emit(edit)
    independence = Independence(edited.plan)
    return replace(context, loaded=edited, agents=agents, boundaries=boundaries, independence=independence)


def tell_board(context: RunContext, state: RunState) -> None:
    """Put the tasks of the edited plan on the board, and say of those that it has not any more that nobody waits for them."""
    context.hub.publish_tasks(TaskCard.of(task) for task in context.loaded.plan.tasks)
    for task_id in state.edited.dropped if state.edited else ():
        if state.dropped[task_id].status is not TaskStatus.LANDED:
            context.hub.release(task_id, GrantState.CANCELLED, note="it is not in the plan any more")
