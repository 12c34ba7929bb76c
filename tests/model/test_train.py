"""The merge train, told of one event after another: what it orders, and why."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import pytest

from orchestrator.errors import LandingError
from orchestrator.model import train_values as value
from orchestrator.model.train_values import Key, RefuseKind, Verdict
from tests.support.trains import (
    Work,
    World,
    begun,
    told,
)


def work(tasks: str, *, apart: str = "", **groups: str) -> Work:
    """Return tasks of one letter; groups of letters are separated by spaces, and `needs="cb"` says that c needs b."""
    sets = {name: frozenset(frozenset(group) for group in text.split()) for name, text in groups.items()}
    needs = {task: frozenset(n[1] for n in groups.get("needs", "").split() if n[0] == task) for task in tasks}
    return Work(
        needs=needs,
        conflicts=sets.get("conflicts", frozenset()),
        broken=sets.get("broken", frozenset()),
        independent=frozenset(frozenset(pair) for pair in apart.split()),
    )


def gate(world: World, commit: str, verdict: Verdict | None = None) -> list[str]:
    """End the gates that run on this commit; return what is ordered then, in short."""
    (candidate,) = [c for c in world.gating.values() if c.commit == commit]
    return told(world, world.answer(value.Gate(candidate), verdict=verdict))


def slow(world: World, commit: str) -> list[str]:
    """Say that the gates of this commit take long; return what is ordered then, in short."""
    (number,) = [n for n, c in world.gating.items() if c.commit == commit and n not in world.cancelled]
    return told(world, world.tell(value.Slow(number)))


def build(world: World) -> list[str]:
    """Let all that is to be built be built; return what else is ordered meanwhile."""
    shown: list[str] = []
    while world.building:
        shown.extend(told(world, world.answer(next(iter(world.building.values())))))
    return [order for order in shown if not order.startswith("build")]


def land(world: World) -> list[str]:
    assert world.land is not None
    return told(world, world.answer(world.land))


def landed(world: World) -> str:
    return "".join(key.task for key in world.landed)


# --- on top of whom


def test_each_item_is_built_on_the_one_ahead_and_all_are_gated_at_once() -> None:
    world = begun(work("abc"))
    assert [c.commit for c in world.gating.values()] == ["base+a", "base+a+b", "base+a+b+c"]
    assert [c.chain for c in world.gating.values()] == [(), (Key("a", 1),), (Key("a", 1), Key("b", 1))]
    assert gate(world, "base+a+b+c") == []
    assert gate(world, "base+a+b") == []
    assert gate(world, "base+a") == ["land a b c"]
    assert land(world) == []
    assert (world.tip, world.lands, world.train.base) == ("base+a+b+c", 1, "base+a+b+c")


def test_as_soon_as_one_fails_those_behind_stand_on_the_nearest_that_does_not() -> None:
    world = begun(work("abcd", broken="b"))
    assert gate(world, "base+a+b") == ["cancel base+a+b+c", "cancel base+a+b+c+d", "build c on base+a"]
    assert build(world) == ["gate base+a+c", "gate base+a+c+d"]
    assert gate(world, "base+a") == ["land a"]
    assert land(world) == ["refuse b: failed"]  # what it failed on is the base branch now: it is not tested again
    assert (world.train.base, world.gate_runs) == ("base+a", 6)
    world.rounds()
    assert landed(world) == "acd"


def test_a_failure_on_top_of_one_that_is_refused_says_nothing() -> None:
    world = begun(work("ab", broken="a"))
    assert gate(world, "base+a+b") == []  # marked as failing, and kept
    assert gate(world, "base+a") == ["refuse a: failed", "build b on base"]
    assert build(world) == ["gate base+b"]
    assert gate(world, "base+b") == ["land b"]


def test_who_failed_is_not_tested_again_while_nothing_new_is_known() -> None:
    world = begun(work("abc", broken="b c"))
    assert gate(world, "base+a+b+c") == []
    assert gate(world, "base+a+b") == []  # c failed together with b, which may still be cleared if a goes
    assert gate(world, "base+a") == ["land a"]
    assert land(world) == ["refuse b: failed", "build c on base+a"]


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.TIMED_OUT])
def test_the_refusal_says_how_it_failed_and_on_what(verdict: Verdict) -> None:
    world = begun(work("a", broken="a"))
    (number,) = world.gating
    (order,) = world.answer(world.questions()[0], verdict=verdict)
    assert order == value.Refuse(world.work.item("a"), RefuseKind(verdict), "base", number)


def test_a_conflict_counts_only_on_the_tip() -> None:
    world = begun(work("abc", conflicts="ab"))
    assert [c.commit for c in world.gating.values()] == ["base+a", "base+a+c"]
    assert gate(world, "base+a+c") == []
    assert gate(world, "base+a") == ["land a"]
    assert land(world) == ["refuse b: conflict", "land c"]

    world = begun(work("abc", conflicts="ab", broken="a"))
    assert gate(world, "base+a") == ["cancel base+a+c", "refuse a: failed", "build b on base"]
    world.rounds()
    assert landed(world) == "bc"


def test_who_needs_a_failing_item_is_not_tested() -> None:
    world = begun(work("abcd", broken="b", needs="cb"))
    orders = gate(world, "base+a+b")
    assert orders == ["cancel base+a+b+c", "cancel base+a+b+c+d", "build d on base+a"]
    assert build(world) == ["gate base+a+d"]
    assert gate(world, "base+a") == ["land a"]
    assert land(world) == ["refuse b: failed", "refuse c: need"]
    world.rounds()
    assert landed(world) == "ad"


def test_who_needs_an_item_that_is_cleared_is_tested_after_it() -> None:
    world = begun(work("abc", broken="ab", needs="cb"))
    gate(world, "base+a+b")
    assert gate(world, "base+a", Verdict.STOPPED) == ["gate base+a"]
    world.tell(value.Withdrawn(Key("a", 1)))
    world.rounds()
    assert landed(world) == "bc"


def test_work_waits_for_a_need_that_is_not_submitted_yet_and_lets_others_go() -> None:
    world = begun(work("abc", needs="ba"), "b", "c", window=1)
    assert gate(world, "base+c") == ["land c"]
    land(world)
    world.tell(value.Enqueued((world.work.item("a"),)))
    world.rounds()
    assert landed(world) == "cab"


def test_nobody_is_refused_before_those_ahead_are_settled() -> None:
    world = begun(work("abc", broken="c"), "a", "c")
    assert gate(world, "base+a") == ["land a"]
    assert gate(world, "base+a+c") == []
    world.tell(value.Enqueued((world.work.item("b"),)))  # who knows, b might mend it
    build(world)
    assert land(world) == []
    assert gate(world, "base+a+b") == ["land b"]
    assert land(world) == ["build c on base+a+b"]


# --- batches


def test_a_pass_counts_for_all_below_it_if_batches_are_allowed() -> None:
    world = begun(work("abcd"), batch=2, slots=2)
    assert [c.commit for c in world.gating.values()] == ["base+a+b", "base+a+b+c+d"]
    assert gate(world, "base+a+b+c+d") == ["cancel base+a+b", "land a b c d"]
    assert world.land is not None
    assert [c.verdict for c in world.land.candidates] == [None, None, None, Verdict.PASSED]


def test_a_pass_does_not_count_for_one_that_has_failed() -> None:
    world = begun(work("ab", broken="a"), "a", batch=2, slots=2)
    world.tell(value.Enqueued((world.work.item("b"),)))
    assert build(world) == ["gate base+a+b"]
    assert gate(world, "base+a") == ["cancel base+a+b", "refuse a: failed", "build b on base"]
    ((number, _),) = world.gating.items()  # b might mend what a breaks, but a was refused, and nobody asked for both
    assert world.tell(value.Gated(number, Verdict.PASSED)) == ()


@pytest.mark.parametrize("tasks", ["abc", "abcde", "abcdefgh"])
@pytest.mark.parametrize("place", range(8))
def test_halving_finds_the_culprit(tasks: str, place: int) -> None:
    culprit = tasks[place % len(tasks)]
    world = begun(work(tasks, broken=culprit), batch=8, slots=1)
    while world.questions() and not world.refused:
        world.answer(world.land or world.questions()[0])
    ended = world.gate_runs - len(world.gating)
    assert ended <= 1 + (len(tasks) - 1).bit_length()  # the batch itself, then one for each time it is halved
    world.rounds()
    assert landed(world) == tasks.replace(culprit, "")


def test_a_batch_is_filled_while_no_slot_is_free() -> None:
    world = begun(work("abcde"), "a", batch=4, slots=1)
    assert [c.commit for c in world.gating.values()] == ["base+a"]
    world.tell(value.Enqueued(tuple(world.work.item(task) for task in "bcde")))
    assert build(world) == []
    assert gate(world, "base+a") == ["land a", "gate base+a+b+c+d+e"]


def test_a_batch_waits_for_what_is_being_built() -> None:
    world = begun(work("abcde"), "a", batch=4, slots=1)
    world.tell(value.Enqueued(tuple(world.work.item(task) for task in "bcde")))
    world.answer(next(iter(world.building.values())))
    assert gate(world, "base+a") == ["land a"]
    assert build(world) == ["gate base+a+b+c+d+e"]


def test_a_batch_does_not_reach_across_an_item_that_conflicts() -> None:
    world = begun(work("abcd", conflicts="ac"), batch=4, slots=4)
    assert [c.commit for c in world.gating.values()] == ["base+a+b", "base+a+b+d"]
    assert gate(world, "base+a+b+d") == []  # c must be dealt with before d, so a and b are to pass without d
    assert gate(world, "base+a+b") == ["land a b"]
    assert land(world) == ["refuse c: conflict", "land d"]


# --- how much at once


def test_the_window_grows_by_one_a_landing_and_is_halved_by_a_refusal() -> None:
    world = begun(work("abcdefghij", broken="a b"), window=8, slots=1)
    assert len(world.train.candidates) == 8
    world.rounds()
    assert landed(world) == "cdefghij"
    assert [window for window, _ in groupby(world.windows)] == [8, 4, 2, 3, 4, 5, 6, 7, 8]


def test_a_narrower_window_is_obeyed_from_then_on() -> None:
    world = begun(work("abcdef"), "a", "b", "c", window=4, slots=4)
    world.rules = replace(world.rules, window=2)
    world.tell(value.Enqueued((world.work.item("d"),)))
    assert not world.building
    world.rounds()
    assert (landed(world), world.train.window) == ("abcd", 2)


def test_the_window_never_closes() -> None:
    world = begun(work("abcdef", broken="a b c d e"), window=3, slots=2)
    world.rounds()
    assert (landed(world), min(world.windows)) == ("f", 1)


def test_a_cancelled_gate_has_its_slot_until_it_has_answered() -> None:
    world = begun(work("abc", broken="a"), slots=2)
    assert gate(world, "base+a") == ["cancel base+a+b", "refuse a: failed", "build b on base"]
    assert build(world) == ["gate base+b"]
    assert gate(world, "base+a+b", Verdict.STOPPED) == ["gate base+b+c"]


@pytest.mark.parametrize(
    ("broken", "rules", "runs", "rounds"),
    [
        ("", {"window": 16, "slots": 1}, 16, 16),  # as many gate runs as one by one
        ("", {"window": 16, "slots": 4}, 16, 4),
        ("", {"window": 16, "slots": 16}, 16, 1),
        ("", {"window": 16, "slots": 1, "batch": 16}, 1, 1),
        ("", {"window": 16, "slots": 4, "batch": 4}, 4, 1),
        ("h", {"window": 16, "slots": 4}, 19, 5),
        ("h", {"window": 16, "slots": 1, "batch": 16}, 6, 6),
        ("p", {"window": 16, "slots": 16}, 16, 1),
        ("a", {"window": 16, "slots": 16}, 31, 3),
        ("a e i m", {"window": 16, "slots": 4}, 28, 7),
    ],
)
def test_gate_runs_and_rounds_beside_one_by_one(broken: str, rules: dict[str, int], runs: int, rounds: int) -> None:
    world = begun(work("abcdefghijklmnop", broken=broken), **rules)
    assert (world.rounds(), world.gate_runs) == (rounds, runs)


# --- who goes first


def test_the_line_is_in_the_plans_order_whoever_comes_first() -> None:
    world = begun(work("abc"), "c")
    assert told(world, world.tell(value.Enqueued((world.work.item("a"),)))) == ["cancel base+c", "build a on base"]
    world.tell(value.Enqueued((world.work.item("b"),)))
    world.rounds()
    assert landed(world) == "abc"


def test_who_comes_late_does_not_push_out_what_is_independent() -> None:
    world = begun(work("abc", apart="ac"), "c")
    assert told(world, world.tell(value.Enqueued((world.work.item("a"),)))) == ["build a on base+c"]
    orders = told(world, world.tell(value.Enqueued((world.work.item("b"),))))
    assert orders == ["cancel base+c", "build a on base"]  # a goes before b, and b before c
    world.rounds()
    assert landed(world) == "abc"


def test_independent_work_passes_a_slow_gate_by() -> None:
    world = begun(work("abcd", apart="ab ac"))
    orders = slow(world, "base+a")
    assert orders == ["cancel base+a+b", "cancel base+a+b+c", "cancel base+a+b+c+d", "build b on base"]
    assert build(world) == ["gate base+b", "gate base+b+c"]  # d depends on a, and waits
    assert gate(world, "base+b") == ["land b"]
    assert land(world) == ["cancel base+a", "build a on base+b+c"]
    world.rounds()
    assert landed(world) == "bcad"


def test_a_slow_gate_that_ends_first_lands_first() -> None:
    world = begun(work("ab", apart="ab"))
    slow(world, "base+a")
    build(world)
    assert gate(world, "base+a") == ["cancel base+b", "land a", "build b on base+a"]
    world.rounds()
    assert landed(world) == "ab"


def test_others_are_let_past_an_item_once() -> None:
    world = begun(work("abc", apart="ab ac bc"), "a", "b")
    assert slow(world, "base+a") == ["cancel base+a+b", "build b on base"]
    assert build(world) == ["gate base+b"]
    gate(world, "base+b")
    assert land(world) == ["cancel base+a", "build a on base+b"]
    world.tell(value.Enqueued((world.work.item("c"),)))
    assert build(world) == ["gate base+b+a", "gate base+b+a+c"]
    assert slow(world, "base+b+a") == []


def test_a_slow_gate_is_given_up_with_what_it_stands_on() -> None:
    world = begun(work("abcd", broken="b", apart="cd"))
    slow(world, "base+a+b+c")
    assert build(world) == ["gate base+a+b+d"]
    assert gate(world, "base+a+b") == ["cancel base+a+b+c", "cancel base+a+b+d", "build d on base+a"]
    world.rounds()
    assert landed(world) == "adc"


def test_a_slow_gate_is_given_up_for_work_that_must_go_before_it() -> None:
    world = begun(work("abc", apart="ac bc"), "b", "c")
    slow(world, "base+b")
    build(world)
    assert told(world, world.tell(value.Enqueued((world.work.item("a"),)))) == ["cancel base+b", "build a on base+c"]


def test_a_slow_gate_that_is_stopped_is_not_forgotten() -> None:
    world = begun(work("abc", apart="ab bc"))
    slow(world, "base+a")
    build(world)
    assert gate(world, "base+a", Verdict.STOPPED) == ["build a on base+b"]
    world.rounds()
    assert landed(world) == "bac"


# --- what comes from outside


def test_a_moved_base_refuses_nobody_and_everything_is_built_again() -> None:
    world = begun(work("ab", broken="b"))
    gate(world, "base+a+b")
    world.tip = "base+x"
    assert gate(world, "base+a") == ["land a"]
    assert land(world) == ["build a on base+x"]
    assert build(world) == ["gate base+x+a", "gate base+x+a+b"]
    assert told(world, world.tell(value.BaseMoved("base+x"))) == []  # known already
    world.tip = "base+x+y"
    orders = told(world, world.tell(value.BaseMoved(world.tip)))
    assert orders == ["cancel base+x+a", "cancel base+x+a+b", "build a on base+x+y"]
    world.rounds()
    assert (landed(world), world.tip) == ("a", "base+x+y+a")


def test_withdrawn_work_takes_what_stands_on_it_with_it_and_a_new_generation_comes_in_its_place() -> None:
    world = begun(work("abc", broken="a", needs="ca"))
    orders = told(world, world.tell(value.Enqueued((world.work.item("a", 2),))))
    assert orders == ["cancel base+a", "cancel base+a+b", "cancel base+a+b+c", "build a2 on base"]
    assert told(world, world.tell(value.Enqueued((world.work.item("a", 1), world.work.item("a", 2))))) == []
    build(world)
    orders = told(world, world.tell(value.Withdrawn(Key("a", 2))))
    assert orders == ["cancel base+a2", "cancel base+a2+b", "cancel base+a2+b+c", "refuse c: need", "build b on base"]
    world.tell(value.Enqueued((world.work.item("a", 3), world.work.item("c", 2))))
    world.rounds()
    assert world.tip == "base+a3+b+c2"


def test_what_is_withdrawn_while_it_lands_goes_only_if_that_fails() -> None:
    world = begun(work("ab"))
    gate(world, "base+a")
    world.tell(value.Withdrawn(Key("a", 1)))
    land(world)
    assert (landed(world), world.train.lost) == ("a", frozenset())

    world = begun(work("ab"))
    gate(world, "base+a")
    world.decline(Key("a", 1))
    world.rounds()
    assert landed(world) == "b"


@pytest.mark.parametrize(("moved", "tip"), [("", "base+a+b"), ("+x", "base+x+a2+b")])
def test_a_new_generation_lands_only_if_the_one_that_was_landing_did_not(moved: str, tip: str) -> None:
    world = begun(work("ab", needs="ba"))
    gate(world, "base+a")
    world.tell(value.Enqueued((world.work.item("a", 2),)))
    world.tip += moved
    world.rounds()
    assert world.tip == tip


def test_what_needs_a_new_generation_is_built_on_it_at_once() -> None:
    world = begun(work("ab", needs="ba", apart="ab"))
    world.tell(value.Enqueued((world.work.item("a", 2),)))
    assert build(world) == ["gate base+a2", "gate base+a2+b"]


def test_taking_back_what_has_landed_changes_nothing() -> None:
    world = begun(work("ab", needs="ba"), "a")
    world.rounds()
    world.tell(value.Withdrawn(Key("a", 1)))
    world.tell(value.Enqueued((world.work.item("b"),)))
    world.rounds()
    assert landed(world) == "ab"


def test_after_the_stop_nothing_is_ordered_and_what_was_landing_has_landed() -> None:
    world = begun(work("abc"))
    gate(world, "base+a")
    assert told(world, world.tell(value.Stopped())) == ["cancel base+a+b", "cancel base+a+b+c"]
    world.tell(value.Enqueued((world.work.item("a", 2),)))
    world.rounds()
    assert (landed(world), world.train.base) == ("a", "base+a")


def test_a_landing_that_nobody_ordered_is_an_error() -> None:
    with pytest.raises(LandingError, match="nothing was landing"):
        begun(work("a")).tell(value.Landed())
