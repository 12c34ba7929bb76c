"""Whole runs, played out in a world of values: ten thousand of them, each from one seed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.model import claims
from orchestrator.model import decide as to_do
from orchestrator.model import events as happened
from orchestrator.model.plan import RunLimits, TaskBudget
from orchestrator.model.reconcile import CutOff, NoteLanded, TakeBack, to_settle
from orchestrator.model.state import TaskStatus, fold
from tests.support.simulation import simulate, story_of
from tests.support.world import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from orchestrator.model.plan import Plan
    from orchestrator.model.reconcile import Settlement
    from orchestrator.model.state import RunState

CHUNKS = 8
SEEDS = 1250  # a chunk


def simulate_each(seeds: Iterable[int], policy: Policy) -> None:
    for seed in seeds:
        simulate(seed, policy)


@pytest.mark.exhaustive
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_run_ends_and_keeps_its_promises(chunk: int) -> None:
    simulate_each(range(chunk * SEEDS, (chunk + 1) * SEEDS), Policy())


@pytest.mark.exhaustive
def test_what_can_happen_does_happen() -> None:
    stories = [story_of(seed) for seed in range(600)]
    for what in (
        "CRASH\n", "decisions of the board are lost", "interrupted", "ended at once", "moves to somebody", "DONE",
        "LIED", "STOPPED", "TIMED_OUT", "conflict", "timed-out", "NO_GATE", "IN_THE_WAY", "the branch cannot be moved",
        "the board has another holder", "the board does not take it", "work='lie-", "nonce='lie-", "and says no",
        "NoteContracts", "NoteLanded", "TakeBack", "CutOff", "GiveUp", "LandAgain",
        "paused", "unpaused", "cancel-requested", "cancelled by hand", "retried", "PUT_OFF", "takes no requests",
        "one agent does all of it", "the task's budget of $", "attempt", "task's budget of 20 tokens", "task's budget of 1 turn ",
        "task's budget of 2 s", "run's budget of $", "run's budget of 20 tokens", "turns is used up",
        "time limit", "status=failed", "status=blocked", "status=cancelled", "status=landed", "status=partial",
    ):  # fmt: skip
        assert sum(what in story for story in stories) >= 3, what


def test_the_story_of_a_seed_is_told_the_same_twice() -> None:
    command = [sys.executable, "-m", "tests.support.simulation", "7"]
    told = [
        subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, check=True, text=True).stdout
        for _ in range(2)
    ]
    assert told[0] == told[1]
    assert "run-started" in told[0]
    assert "Finish()" in told[0]


# Policies that are wrong in one way each: if nothing were found against them, finding nothing would mean nothing.

Orders = tuple[to_do.Action, ...]


def ordering(change: Callable[[RunState, Orders], Orders], **more: Any) -> Policy:
    """Return a policy whose orders are changed."""

    def wrong(plan: Plan, state: RunState, **how: Any) -> Orders:
        return change(state, to_do.decide(plan, state, **how))

    return Policy(decide=wrong, **more)


def without_order(is_left_out: Callable[[to_do.Action], bool]) -> Policy:
    """Return a policy that forgets some orders."""
    return ordering(lambda _state, orders: tuple(order for order in orders if not is_left_out(order)))


def settling(kind: type | None = None, **other_facts: Any) -> Policy:
    """Return a policy that settles as if the facts were others, or that forgets one kind of thing."""

    def wrong(state: RunState, **facts: Any) -> tuple[Settlement, ...]:
        settled = to_settle(state, **{**facts, **other_facts})
        return tuple(s for s in settled if kind is None or not isinstance(s, kind))

    return Policy(to_settle=wrong)


def too_early(plan: Plan, state: RunState, *, resting: Collection[str], **how: Any) -> Orders:
    orders = to_do.decide(plan, state, resting=resting, **how)
    if orders or resting or state.paused or state.with_status(TaskStatus.WORKING):
        return orders
    waiting = state.with_status(TaskStatus.WAITING)
    return tuple(to_do.Start(task, state.tasks[task].generation + 1) for task in waiting[:1])


def retelling(kind: type[happened.Event]) -> Policy:
    """Return a policy that takes no notice of one kind of event."""
    return Policy(fold=lambda state, event: state if isinstance(event, kind) else fold(state, event))


def as_if(plan_as: Callable[[Plan], Plan] = lambda plan: plan, **facts: Any) -> Policy:
    """Return a policy that decides as if the plan, or what is so in the run, were another."""

    def wrong(plan: Plan, state: RunState, *, resting: Collection[str], **how: Any) -> Orders:
        at_rest: Collection[str] = facts.get("resting", resting)
        others = {name: fact for name, fact in facts.items() if name != "resting"}
        return to_do.decide(plan_as(plan), replace(state, **others), resting=at_rest, **how)

    return Policy(decide=wrong)


def without_budgets(plan: Plan) -> Plan:
    tasks = tuple(task.model_copy(update={"budget": TaskBudget()}) for task in plan.tasks)
    return plan.model_copy(update={"tasks": tasks})


def lazy(plan: Plan, state: RunState, *, jobs: int, **how: Any) -> Orders:
    return to_do.decide(plan, state, jobs=max(1, jobs - 1), **how)


def one_more_job(plan: Plan, state: RunState, *, jobs: int, **how: Any) -> Orders:
    return to_do.decide(plan, state, jobs=jobs + 1, **how)


def one_number(_state: RunState, orders: Orders) -> Orders:
    return tuple(replace(order, generation=1) if isinstance(order, to_do.Start) else order for order in orders)


def once_more(state: RunState, orders: Orders) -> Orders:
    landed = state.with_status(TaskStatus.LANDED)
    is_free = landed and not orders and not state.with_status(TaskStatus.LANDING)
    return (to_do.Land(landed[0]),) if is_free else orders


def forgetting_moves(state: RunState, event: happened.Event) -> RunState:
    return state if isinstance(event, happened.BaseMoving) else fold(state, event)


def counting_what_was_stopped(state: RunState, event: happened.Event) -> RunState:
    return fold(state, replace(event, stopped=False) if isinstance(event, happened.Refused) else event)


def same_generation(grant: claims.Grant | None, request: claims.Request) -> tuple[claims.Grant, bool]:
    given, granted = claims.decide(grant, request)
    return replace(given, gen=max(1, given.gen - 1)), granted


def whoever_sends(grant: claims.Grant | None, _generation: int, _holder: str) -> bool:
    return grant is not None and grant.state is claims.GrantState.HELD


TWICE = "lands twice|are said to have landed|its claim is given away|a checkout was left"
WRONG = {
    "starts a task before its needs have landed": (Policy(decide=too_early), "are not on the base branch"),
    "starts too many agents": (Policy(decide=one_more_job), "agents work already"),
    "starts each attempt under one number": (ordering(one_number), "generation 1 of t. is started after 1"),
    "never lets a task try again": (
        without_order(lambda order: isinstance(order, to_do.Start) and order.generation > 1), "could start",
    ),
    "blocks nobody": (
        without_order(lambda order: isinstance(order, to_do.End) and order.status == "blocked"), "nothing is under way",
    ),
    "lands what has landed": (
        ordering(once_more, is_current=lambda _grant, _generation: True), "lands twice|nothing is under way",
    ),
    "takes stale work": (Policy(accepts=whoever_sends), "taken from"),
    "gives the next holder the same generation": (Policy(grant=same_generation), "has two holders"),
    "counts attempts that were stopped": (Policy(fold=counting_what_was_stopped), "has failed after"),
    "forgets a landing at a crash": (settling(NoteLanded), "are under way|are said to have landed"),
    "lands twice after a crash": (settling(moved=False), TWICE),
    "forgets at a crash what was about to land": (Policy(fold=forgetting_moves), TWICE),
    "leaves a checkout where its branch is not": (settling(TakeBack), "a checkout was left"),
    "leaves agents of a dead orchestrator at work": (settling(CutOff), "are under way"),
    "lands what the board gave up": (settling(given_up=()), "refused as stale"),
    "throws away what was only cancelled": (
        Policy(is_current=lambda g, gen: g is not None and g.state.live and g.gen == gen), "was only cancelled",
    ),
    "leaves a place free": (Policy(decide=lazy), "could start, 1 places are free"),
    "lands nothing while it is paused": (
        ordering(lambda state, orders: tuple(o for o in orders if not (state.paused and isinstance(o, to_do.Land)))),
        "wait to land, and nobody lands them",
    ),
    "does not pause": (as_if(paused=False), "though the run is paused"),
    "never goes on after a pause": (retelling(happened.Unpaused), "does not end within"),
    "does not wait for providers": (as_if(resting=()), "its agent must rest"),
    "waits for providers for ever": (as_if(resting={"default", "other"}), "could start, . places are free"),
    "does not hear that a task is cancelled": (retelling(happened.CancelRequested), "somebody has cancelled it"),
    "does not try again what somebody wants tried again": (retelling(happened.Retried), "has failed after 0"),
    "forgets the tasks' budgets": (as_if(without_budgets), "there is no budget left"),
    "forgets the run's budget": (
        as_if(lambda plan: plan.model_copy(update={"limits": RunLimits()})), "there is no budget left",
    ),
    "forgets what was used": (retelling(happened.AttemptEnded), "there is no budget left"),
    "falls back though something has landed": (
        Policy(falls_back=lambda plan, state: plan.fallback == "sequential" and state.lands), "one agent is to do it all",
    ),
    "does not wait for the disk": (Policy(on_disk=lambda _journal: 0), f"is started after|{TWICE}"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_policy_is_found(name: str) -> None:
    policy, objection = WRONG[name]
    with pytest.raises(AssertionError, match=rf"({objection}).*; its story: python -m tests.support.simulation \d+"):
        simulate_each(range(400), policy)
