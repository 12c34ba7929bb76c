"""The merge train, played out against landing one by one: any work, any faults, answers in any order and at any time."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.model import train as merge_train
from orchestrator.model import train_values as value
from orchestrator.model.train_values import Key, RefuseKind, Status, Verdict
from tests.support.trains import (
    Step,
    World,
    one_by_one,
    play,
    random_rules,
    random_work,
    wander,
)

SEEDS = st.integers(0, 1 << 32)


# --- the same as one by one


@pytest.mark.exhaustive
@settings(max_examples=500, deadline=None)
@given(seed=SEEDS)
def test_the_same_work_lands_as_one_by_one(seed: int) -> None:
    random = Random(seed)
    plan = random_work(random)
    world = World(plan, random_rules(random, plan))
    play(world, random)
    assert not world.train.line
    assert {key.task for key in world.landed} == set(one_by_one(plan))
    assert {key.task for key in world.refused} == set(plan.needs) - set(one_by_one(plan))
    order = [key.task for key in world.landed]
    for place, late in enumerate(order):  # what may depend on each other lands in the plan's order
        assert all(early < late or frozenset({early, late}) in plan.independent for early in order[:place])


@pytest.mark.exhaustive
@settings(max_examples=300, deadline=None)
@given(seed=SEEDS)
def test_the_same_work_lands_whatever_gates_say_of_a_part_of_it(seed: int) -> None:
    random = Random(seed)
    plan = random_work(random, salted=True)
    world = World(plan, random_rules(random, plan, batch=1))
    play(world, random)
    assert {key.task for key in world.landed} == set(one_by_one(plan))


@pytest.mark.exhaustive
@settings(max_examples=400, deadline=None)
@example(seed=976106)  # work that comes between a batch that failed and what it stood on was built again and again
@given(seed=SEEDS)
def test_every_promise_is_kept_while_work_comes_and_goes(seed: int) -> None:
    random = Random(seed)
    plan = random_work(random, meddled=True)
    world = World(plan, random_rules(random, plan))
    wander(world, random)
    assert not world.questions()
    if not world.stopped:
        assert not world.train.line
        ended = {*world.landed, *world.refused, *world.withdrawn}
        done = {key.task for key in world.landed}
        assert all(key in ended or key.task in done for key in map(Key._make, world.train.newest.items()))


# --- the checks can fail


def hasty(rules: value.Rules, train: value.Train, event: value.Event) -> tuple[value.Train, tuple[value.Order, ...]]:
    """Refuse what fails, whatever it stands on."""
    after, orders = merge_train.step(rules, train, event)
    if isinstance(event, value.Gated) and event.verdict is Verdict.FAILED:
        for item in after.line:
            candidate = train.candidates.get(item.key)
            if candidate and (candidate.number, candidate.status) == (event.number, Status.GATING):
                after, more = merge_train.step(rules, after, value.Withdrawn(item.key))
                return after, (*orders, *more, value.Refuse(item, RefuseKind.FAILED, after.base, event.number))
    return after, orders


def trusting(rules: value.Rules, train: value.Train, event: value.Event) -> tuple[value.Train, tuple[value.Order, ...]]:
    """Take what is built for proved, and never run a gate."""
    after, orders = merge_train.step(rules, train, event)
    for order in orders:
        if isinstance(order, value.Gate):
            after, more = trusting(rules, after, value.Gated(order.candidate.number, Verdict.PASSED))
            orders = (*(o for o in orders if o is not order), *more)
    return after, orders


def deaf(rules: value.Rules, train: value.Train, event: value.Event) -> tuple[value.Train, tuple[value.Order, ...]]:
    """Keep what was proved on the old tip when somebody else moves the base branch."""
    if isinstance(event, value.BaseMoved):
        train = replace(train, base=event.tip, landing=())
        return merge_train.step(rules, train, value.Enqueued(()))
    return merge_train.step(rules, train, event)


def generous(rules: value.Rules, train: value.Train, event: value.Event) -> tuple[value.Train, tuple[value.Order, ...]]:
    """Let a pass count for all below it although every tree is to be gated alone."""
    return merge_train.step(replace(rules, batch=rules.batch + 1), train, event)


@pytest.mark.parametrize(
    ("broken", "noticed"),
    [
        (hasty, "refused, but it passes"),
        (trusting, "a tree that was not gated is to land"),
        (deaf, "what is to land is not what it says"),
        (generous, "a tree that was not gated alone is to land"),
    ],
)
def test_a_train_that_breaks_its_promise_is_noticed(broken: Step, noticed: str) -> None:
    def all_games() -> None:
        for seed in range(60):
            random = Random(seed)
            plan = random_work(random)
            play(World(plan, random_rules(random, plan, batch=1), step=broken), random)

    with pytest.raises(AssertionError, match=noticed):
        all_games()
