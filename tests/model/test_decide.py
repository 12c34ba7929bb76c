"""The policy of a run, played out: random plans, agents that succeed, fail, or are refused, in any order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.model import decide as to_do
from orchestrator.model import events as happened
from orchestrator.model.decide import decide, verdict
from orchestrator.model.outcome import OutcomeStatus
from orchestrator.model.plan import Plan
from orchestrator.model.state import RunState, TaskStatus, fold


def plan_of(needs: dict[str, list[str]], attempts: int = 2, **limits: Any) -> Plan:
    tasks = tuple(
        {
            "id": name,
            "writes": (f"{name}.txt",),
            "needs": tuple(before),
            "attempts": attempts,
            "steps": ({"run": "true"},),
        }
        for name, before in needs.items()
    )
    return Plan.model_validate({"version": 1, "name": "p", "tasks": tasks, "limits": limits})


def started(plan: Plan) -> happened.RunStarted:
    return happened.RunStarted(
        run="r", plan="p", tasks=tuple(t.id for t in plan.tasks), plan_sha256="", mode="worktree", base="main",
        commit="c", jobs=2, folder="/", pid=1,
    )  # fmt: skip


@dataclass
class World:
    """Carries orders out as events, one random deed at a time, and watches that every promise holds."""

    plan: Plan
    draw: Any
    jobs: int
    state: RunState = field(default_factory=RunState)
    working: dict[str, int] = field(default_factory=dict)
    landing: dict[str, int] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)

    def emit(self, event: happened.Event) -> None:
        self.state = fold(self.state, event)

    def order(self, action: to_do.Action) -> None:
        match action:
            case to_do.Start(task, generation):
                assert task not in self.working
                assert generation == self.state.tasks[task].generation + 1
                assert generation <= self.plan.task(task).attempts
                for need in self.plan.task(task).needs:
                    assert f"landed {need}" in self.history
                self.working[task] = generation
                self.emit(happened.Assigned(task=task, generation=generation))
                assert len(self.working) <= self.jobs
            case to_do.Land(task):
                assert not self.landing
                self.landing[task] = self.state.tasks[task].generation
                self.emit(happened.LandingStarted(task=task, generation=self.landing[task]))
            case to_do.End(task, status, reason):
                self.emit(happened.TaskEnded(task=task, status=status, reason=reason))
            case to_do.Stop(reason):
                self.emit(happened.StopRequested(reason=reason, lands=True))

    def deed(self) -> None:
        """Let one agent or the landing come to an end."""
        possible = [("work", t) for t in self.working] + [("land", t) for t in self.landing]
        kind, task = self.draw(st.sampled_from(possible))
        generation = (self.working if kind == "work" else self.landing).pop(task)
        ends_well = self.draw(st.booleans())
        if kind == "work":
            status = OutcomeStatus.DONE if ends_well else OutcomeStatus.FAILED
            self.emit(
                happened.AttemptEnded(
                    task=task, generation=generation, status=status, reason="", seconds=1, cost_usd=0.5, turns=1
                )
            )
        if not ends_well:
            final = self.draw(st.booleans())
            self.emit(happened.Refused(task=task, generation=generation, reason="no", feedback="no", final=final))
        elif kind == "work":
            self.emit(happened.Submitted(task=task, generation=generation, commit="c", files=1))
        else:
            assert f"landed {task}" not in self.history
            self.history.append(f"landed {task}")
            self.emit(happened.Landed(task=task, generation=generation, commit="m", tree="t", seconds=1))


@st.composite
def dags(draw: Any) -> dict[str, list[str]]:
    names = [f"t{n}" for n in range(draw(st.integers(1, 7)))]
    return {n: draw(st.lists(st.sampled_from(names[:i]), unique=True)) if i else [] for i, n in enumerate(names)}


@settings(max_examples=400, deadline=None)
@given(data=st.data(), needs=dags(), jobs=st.integers(1, 3), budget=st.none() | st.floats(0, 3))
def test_every_run_ends_and_keeps_its_promises(
    data: st.DataObject, needs: dict[str, list[str]], jobs: int, budget: float | None
) -> None:
    plan = plan_of(needs, cost_usd=budget)
    world = World(plan, data.draw, jobs)
    world.emit(started(plan))
    for _ in range(200):
        actions = decide(plan, world.state, jobs=jobs, seconds=0)
        if isinstance(actions[:1], tuple) and actions and isinstance(actions[0], to_do.Finish):
            break
        for action in actions:
            world.order(action)
        if not actions:
            world.deed()  # nothing to order means that somebody is at work: else the run would hang here
    else:
        raise AssertionError("the run does not end")
    assert not world.working
    assert not world.landing
    for task in plan.tasks:
        status = world.state.tasks[task.id].status
        assert status.final
        assert (status is TaskStatus.LANDED) == (f"landed {task.id}" in world.history)
        if status is TaskStatus.BLOCKED:
            assert any(world.state.tasks[n].status not in {TaskStatus.LANDED} for n in task.needs)
        if status is TaskStatus.CANCELLED:
            assert world.state.stopping


def test_ready_tasks_start_in_plan_order_up_to_the_number_of_jobs() -> None:
    plan = plan_of({"a": [], "b": ["a"], "c": [], "d": []})
    state = fold(RunState(), started(plan))
    assert decide(plan, state, jobs=2, seconds=0) == (to_do.Start("a", 1), to_do.Start("c", 1))


def test_the_time_limit_stops_the_run_once() -> None:
    plan = plan_of({"a": []}, wall="1s")
    state = fold(RunState(), started(plan))
    assert decide(plan, state, jobs=1, seconds=0.5) == (to_do.Start("a", 1),)
    (stop,) = decide(plan, state, jobs=1, seconds=1)
    assert isinstance(stop, to_do.Stop)
    state = fold(state, happened.StopRequested(reason=stop.reason, lands=True))
    (end,) = decide(plan, state, jobs=1, seconds=2)
    assert end == to_do.End("a", "cancelled", "the run's time limit of 1 s is used up")


def test_an_interrupt_keeps_finished_work_on_its_branch() -> None:
    plan = plan_of({"a": []})
    state = fold(RunState(), started(plan))
    for event in (
        happened.Assigned(task="a", generation=1),
        happened.Submitted(task="a", generation=1, commit="c", files=1),
        happened.StopRequested(reason="interrupted", lands=False),
    ):
        state = fold(state, event)
    (end,) = decide(plan, state, jobs=1, seconds=0)
    assert isinstance(end, to_do.End)
    assert "kept on its branch" in end.reason


def test_the_verdict_counts_what_landed() -> None:
    plan = plan_of({"a": [], "b": []})
    state = fold(RunState(), started(plan))
    assert verdict(state) == "failed"
    state = fold(state, happened.Landed(task="a", generation=1, commit="c", tree="t", seconds=0))
    assert verdict(state) == "partial"
    state = fold(state, happened.Landed(task="b", generation=1, commit="c", tree="t", seconds=0))
    assert verdict(state) == "landed"


def test_a_move_of_the_base_is_remembered_whatever_happens_to_other_tasks() -> None:
    plan = plan_of({"a": [], "b": []})
    state = fold(fold(RunState(), started(plan)), happened.BaseMoving(task="a", old="o", new="n"))
    state = fold(state, happened.Refused(task="b", generation=1, reason="no", feedback="no"))
    assert state.moving is not None  # or a kill between the files of a checkout and the branch could not be taken back
    assert fold(state, happened.Refused(task="a", generation=1, reason="no", feedback="no")).moving is None
    landed = happened.Landed(task="a", generation=1, commit="n", tree="t", seconds=0)
    assert fold(state, landed).moving is None
