"""The guards of an agent's loop: what they let pass, what they tell, and what they stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.agent_events import Advised, Called, Returned, Said, Turned
from orchestrator.model.guards import ERRORS, IDLE, SAME, Guard, against_ending, watch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.model.agent_events import AgentEvent

Turn = list[tuple[str, str]]
"""Calls of one turn: which (`read x`), and what came of it: `ok`, `effect` or `fails`."""


def one(call: str, came: str = "ok") -> Turn:
    return [(call, came)]


def events_of(turns: Iterable[Turn]) -> Iterable[AgentEvent]:
    number = 0
    for turn_number, turn in enumerate(turns, 1):
        yield Turned(number=turn_number)
        for what, came in turn:
            number += 1
            tool, _, argument = what.partition(" ")
            yield Called(call=str(number), tool=tool, arguments={"of": argument})
            yield Returned(call=str(number), text="no", failed=came == "fails", effect=came == "effect")


def advice_on(turns: Iterable[Turn]) -> list[Advised]:
    """Return what the guard says, up to where it stops."""
    guard, said = Guard(), []
    for event in events_of(turns):
        guard, advice = watch(guard, event)
        if advice is not None:
            said.append(advice)
            if advice.stop:
                break
    return said


LOOKS = [one(f"read {number}") for number in range(200)]


@pytest.mark.parametrize(
    ("turns", "told"),
    [
        pytest.param([one("read a")] * (SAME - 1), [], id="twice is nothing"),
        pytest.param([one("read a")] * SAME, ["tell"], id="three times is told"),
        pytest.param([one("read a")] * (SAME + 1), ["tell", "stop"], id="and once more is the end"),
        pytest.param([[("read a", "ok")] * 9], ["tell"], id="side by side it is told once, since nobody could know"),
        pytest.param([[("read a", "ok")] * 9, one("read a")], ["tell", "stop"], id="but then it knows"),
        pytest.param([one("read a"), one("read b")] * 9, [], id="by turns is not in a row"),
        pytest.param([one("run t"), one("edit a", "effect")] * 9, [], id="a test after each edit"),
        pytest.param([one("answer q", "effect")] * 99, [], id="who waits has an effect"),
        pytest.param([*[one("read a")] * SAME, one("read b"), *[one("read a")] * SAME], ["tell", "tell"], id="heeded once"),
        pytest.param([one(f"edit {n}", "fails") for n in range(ERRORS)], ["tell"], id="errors are told"),
        pytest.param([one(f"edit {n}", "fails") for n in range(2 * ERRORS)], ["tell", "stop"], id="as many again: the end"),
        pytest.param(
            [one(f"edit {n}", "fails" if n % ERRORS else "ok") for n in range(30)], [], id="one that works forgives errors"
        ),
        pytest.param(LOOKS[:IDLE], [], id="to look around is work"),
        pytest.param(LOOKS[: IDLE + 1], ["tell"], id="without end it is none"),
        pytest.param(LOOKS, ["tell", "stop"], id="and so it ends"),
        pytest.param([*LOOKS[: IDLE - 1], one("write a", "effect"), *LOOKS[:IDLE]], [], id="an effect forgives it"),
        pytest.param([[]] * (2 * IDLE + 2), ["tell", "stop"], id="turns that call nothing count as well"),
    ],
)  # fmt: skip
def test_what_it_says(turns: list[Turn], told: list[str]) -> None:
    assert ["stop" if advice.stop else "tell" for advice in advice_on(turns)] == told


def test_the_reason_names_the_call_and_the_order_of_arguments_does_not_matter() -> None:
    guard, said = Guard(), []
    for number in range(SAME + 1):
        arguments = {"a": 1, "b": 2} if number % 2 else {"b": 2, "a": 1}
        for event in (Turned(number=number), Called(call="c", tool="read", arguments=arguments), Returned(call="c")):
            guard, advice = watch(guard, event)
            said += [advice.text] if advice else []
    assert said[-1] == f"it called read with the same arguments {SAME + 1} times in a row"


@pytest.mark.parametrize(
    ("changed", "todos", "lacks"),
    [
        (True, [], None),
        (True, ["a", "b"], "these TODOs are open: a, b"),
        (False, [], "it changed no file"),
        (False, ["a"], "these TODOs are open: a"),
    ],
)
def test_the_end_is_asked_about_once(*, changed: bool, todos: list[str], lacks: str | None) -> None:
    guard, first = against_ending(Guard(), changed=changed, open_todos=todos)
    _, second = against_ending(guard, changed=changed, open_todos=todos)
    if lacks is None:
        assert (first, second) == (None, None)
        return
    assert first is not None
    assert not first.stop
    assert second == Advised(text=f"it said that it was done, but {lacks}", stop=True)


def test_who_does_what_it_was_asked_for_is_done() -> None:
    guard, _ = against_ending(Guard(), changed=False, open_todos=["a"])
    assert against_ending(guard, changed=True, open_todos=[])[1] is None


COMING = st.sampled_from(["ok", "effect", "fails"])
CALLS = st.tuples(st.sampled_from(["read a", "read b", "edit a", "run t"]), COMING)
TURNS = st.lists(st.lists(CALLS, max_size=4), max_size=70)


@given(TURNS)
def test_nothing_is_stopped_that_was_not_told_in_an_earlier_turn(turns: list[Turn]) -> None:
    guard: Guard = Guard()
    turn, told_in = 0, dict[str, int]()
    for event in events_of(turns):
        turn = event.number if isinstance(event, Turned) else turn
        before, (guard, advice) = guard, watch(guard, event)
        if advice is None:
            continue
        if advice.stop:
            assert any(told < turn for told in told_in.values())
            return
        (kind,) = guard.fresh - before.fresh
        told_in[kind] = turn


@given(TURNS)
def test_whoever_has_an_effect_in_each_turn_and_no_failure_is_left_alone(turns: list[Turn]) -> None:
    diligent = [[*((what, "ok") for what, _ in turn[: SAME - 1]), ("edit a", "effect")] for turn in turns]
    assert advice_on(diligent) == []


@given(st.lists(st.tuples(CALLS, st.booleans()), max_size=60))
def test_words_and_unknown_calls_change_nothing(steps: list[tuple[tuple[str, str], bool]]) -> None:
    def seen(*, talkative: bool) -> list[Any]:
        guard, said = Guard(), list[Any]()
        for event in events_of([[call] for call, _ in steps]):
            for one_event in (Said(text="hm"), event) if talkative else (event,):
                guard, advice = watch(guard, one_event)
                said.append(advice) if advice else None
        return said

    assert seen(talkative=True) == seen(talkative=False)
