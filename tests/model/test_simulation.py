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
from orchestrator.model.reconcile import CutOff, NoteLanded, TakeBack, to_settle
from orchestrator.model.state import TaskStatus, fold
from tests.support.simulation import simulate, story_of
from tests.support.world import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orchestrator.model.plan import Plan
    from orchestrator.model.reconcile import Settlement
    from orchestrator.model.state import RunState

CHUNKS = 8
SEEDS = 1250  # a chunk


def simulate_each(seeds: Iterable[int], policy: Policy) -> None:
    for seed in seeds:
        simulate(seed, policy)


@pytest.mark.exhaustive
@pytest.mark.parametrize("chunk", [*range(4), *(pytest.param(n, marks=pytest.mark.soak) for n in range(4, CHUNKS))])
def test_every_run_ends_and_keeps_its_promises(chunk: int) -> None:
    simulate_each(range(chunk * SEEDS, (chunk + 1) * SEEDS), Policy())


def test_what_can_happen_does_happen() -> None:
    stories = [story_of(seed) for seed in range(600)]
    for what in (
        "CRASH\n", "decisions of the board are lost", "interrupted", "ended at once", "moves to somebody", "DONE",
        "LIED", "STOPPED", "TIMED_OUT", "conflict", "timed-out", "NO_GATE", "IN_THE_WAY", "the branch cannot be moved",
        "the board has another holder", "the board does not take it", "work='lie-", "nonce='lie-", "and says no",
        "NoteContracts", "NoteLanded", "TakeBack", "CutOff", "GiveUp", "LandAgain",
        "time limit", "budget", "status=failed", "status=blocked", "status=cancelled", "status=landed", "status=partial",
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


def too_early(state: RunState, orders: Orders) -> Orders:
    if orders or state.with_status(TaskStatus.WORKING):
        return orders
    waiting = state.with_status(TaskStatus.WAITING)
    return tuple(to_do.Start(task, state.tasks[task].generation + 1) for task in waiting[:1])


def one_more_job(plan: Plan, state: RunState, *, jobs: int, seconds: float) -> Orders:
    return to_do.decide(plan, state, jobs=jobs + 1, seconds=seconds)


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
    "starts a task before its needs have landed": (ordering(too_early), "are not on the base branch"),
    "starts too many agents": (Policy(decide=one_more_job), "agents work already"),
    "starts each attempt under one number": (ordering(one_number), "generation 1 of t. is started after 1"),
    "never lets a task try again": (
        without_order(lambda order: isinstance(order, to_do.Start) and order.generation > 1), "nothing is under way",
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
    "does not wait for the disk": (Policy(on_disk=lambda _journal: 0), f"is started after|{TWICE}"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_policy_is_found(name: str) -> None:
    policy, objection = WRONG[name]
    with pytest.raises(AssertionError, match=rf"({objection}).*; its story: python -m tests.support.simulation \d+"):
        simulate_each(range(400), policy)
