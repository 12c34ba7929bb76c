"""The policy of a run, case by case; `test_simulation` plays it out."""

from __future__ import annotations

import pytest

from orchestrator.model import decide as to_do
from orchestrator.model import events as happened
from orchestrator.model.claims import GrantState, Request, is_current, release
from orchestrator.model.claims import decide as grant
from orchestrator.model.decide import decide, falls_back, verdict
from orchestrator.model.reconcile import (
    CutOff,
    GiveUp,
    LandAgain,
    NoteContracts,
    NoteLanded,
    Settlement,
    TakeBack,
    to_settle,
)
from orchestrator.model.state import RunState, fold
from tests.support.simulated import started
from tests.support.simulation import plan_of


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


def test_one_agent_does_all_of_it_if_nothing_landed_and_nobody_wanted_otherwise() -> None:
    plan = plan_of({"a": [], "b": []}).model_copy(update={"fallback": "sequential"})
    failed = fold(RunState(), started(plan))
    for task in ("a", "b"):
        failed = fold(failed, happened.TaskEnded(task=task, status="failed", reason="no"))
    assert falls_back(plan, failed)
    assert not falls_back(plan.model_copy(update={"fallback": "none"}), failed)
    assert not falls_back(plan, fold(failed, happened.StopRequested(reason="interrupted", lands=False)))
    assert not falls_back(plan, fold(failed, happened.CancelRequested(task="a")))


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
    state = fold(fold(RunState(), started(plan)), happened.BaseMoving(tasks=("a",), commits=("n",), old="o"))
    state = fold(state, happened.Refused(task="b", generation=1, reason="no", feedback="no"))
    assert state.moving is not None  # or a kill between the files of a checkout and the branch could not be taken back
    assert fold(state, happened.Refused(task="a", generation=1, reason="no", feedback="no")).moving is None
    landed = happened.Landed(task="a", generation=1, commit="n", tree="t", seconds=0)
    assert fold(state, landed).moving is None


ASSIGNED = happened.Assigned(task="a", generation=1)
BEGUN = happened.AttemptStarted(
    task="a", generation=1, commit="c", branch="", worktree="", agent="default", model="", session="", transcript=""
)
KEPT = happened.Kept(task="a", generation=1, branch="", commit="w", files=3)
SUBMITTED = happened.Submitted(task="a", generation=1, commit="w", files=3)
LANDING = happened.LandingStarted(task="a", generation=1)
MOVING = happened.BaseMoving(tasks=("a",), commits=("n",), old="o")
CONTRACTS = happened.BaseMoving(tasks=(), commits=("n",), old="o")
CANCELLED = happened.TaskEnded(task="a", status="cancelled", reason="interrupted")


@pytest.mark.parametrize(
    ("events", "moved", "given_up", "settled"),
    [
        pytest.param([], False, (), (), id="nothing had begun"),
        pytest.param([ASSIGNED], False, (), (CutOff("a", 1, None),), id="the agent had not begun"),
        pytest.param([ASSIGNED, BEGUN], False, (), (CutOff("a", 1, BEGUN),), id="the agent was at work"),
        pytest.param(
            [ASSIGNED, BEGUN, happened.Assigned(task="a", generation=2)], False, (), (CutOff("a", 2, None),),
            id="the next agent had not begun",
        ),
        pytest.param([ASSIGNED, SUBMITTED], False, (), (), id="finished work waits"),
        pytest.param([ASSIGNED, SUBMITTED], False, ("a",), (GiveUp("a", 1),), id="finished work was given up"),
        pytest.param([ASSIGNED, SUBMITTED, CANCELLED], False, ("a",), (GiveUp("a", 1),), id="and cancelled"),
        pytest.param([ASSIGNED, KEPT, SUBMITTED, LANDING], False, (), (LandAgain("a", 1, "w", 3),), id="it was landing"),
        pytest.param([ASSIGNED, SUBMITTED, LANDING], False, ("a",), (GiveUp("a", 1),), id="its landing was refused"),
        pytest.param(
            [ASSIGNED, KEPT, SUBMITTED, LANDING, MOVING], False, (), (TakeBack("o", "n"), LandAgain("a", 1, "w", 3)),
            id="the branch was not moved",
        ),
        pytest.param(
            [ASSIGNED, SUBMITTED, LANDING, MOVING], True, ("a",), (NoteLanded("a", 1, "n"),), id="the branch was moved"
        ),
        pytest.param(
            [ASSIGNED, SUBMITTED, LANDING, MOVING, CANCELLED], True, (), (NoteLanded("a", 1, "n"),),
            id="the branch was moved after a second interrupt",
        ),
        pytest.param([CONTRACTS], False, (), (TakeBack("o", "n"),), id="the contracts were not published"),
        pytest.param([CONTRACTS], True, (), (NoteContracts("n"),), id="the contracts were published"),
    ],
)  # fmt: skip
def test_what_a_dead_orchestrator_left_is_settled(
    *,
    events: list[happened.Event],
    moved: bool,
    given_up: tuple[str, ...],
    settled: tuple[Settlement, ...],
) -> None:
    state = fold(RunState(), started(plan_of({"a": []})))
    for event in (*events, happened.Resumed(commit="c", jobs=1, pid=1)):
        state = fold(state, event)
    assert to_settle(state, moved=moved, given_up=given_up) == settled


def test_the_base_branch_is_settled_first_and_then_each_task_in_plan_order() -> None:
    state = fold(RunState(), started(plan_of({"a": [], "b": [], "c": []})))
    for task in "cab":
        state = fold(state, happened.Assigned(task=task, generation=1))
    for event in (
        happened.Submitted(task="b", generation=1, commit="w", files=1),
        happened.LandingStarted(task="b", generation=1),
        happened.BaseMoving(tasks=("b",), commits=("n",), old="o"),
    ):
        state = fold(state, event)
    assert to_settle(state, moved=True, given_up=()) == (
        NoteLanded("b", 1, "n"), CutOff("a", 1, None), CutOff("c", 1, None),
    )  # fmt: skip


def test_finished_work_that_an_interrupt_cancelled_may_land_when_the_run_goes_on() -> None:
    held, _ = grant(None, Request(holder="a.gen-1", nonce="1"))
    cancelled = release(release(held, GrantState.SUBMITTED, commit="w"), GrantState.CANCELLED)
    assert is_current(cancelled, 1)
    assert not is_current(cancelled, 2)
    assert not is_current(release(held, GrantState.CANCELLED), 1)  # nothing was handed in
    assert not is_current(release(cancelled, GrantState.OPEN), 1)
