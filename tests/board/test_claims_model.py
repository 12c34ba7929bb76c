"""The claim protocol on the real code, in every order of its steps; and that each of its rules is needed."""

from __future__ import annotations

import os

import pytest

from tests.support.claims_model import CASES, LastWriterWins, Rules, World, explore

LONGEST = int(os.environ.get("ORCH_MODEL_STEPS", "7"))
"""Steps of an order; `python -m tests.support.claims_model` has no bound."""


@pytest.mark.exhaustive
@pytest.mark.parametrize("case", CASES)
def test_no_order_of_steps_breaks_a_promise(case: str) -> None:
    found = explore(lambda: World(Rules(), CASES[case]), begin=["a claims"], longest=LONGEST)
    assert found.wrong == {}
    assert found.states > 50
    assert found.orders > found.states


@pytest.mark.parametrize(
    ("rules", "case", "begin", "wrong"),
    [
        (Rules(lease_from_sending=False), "a delay", ["a claims", "a up", "tick"], "two workers inside their leases"),
        (Rules(fence=False), "a zombie", ["a claims", "a up", "a down", "tick", "tick"], "stale work was taken"),
        (Rules(persist_first=False), "a crash", ["a claims", "a up", "a down"], "two workers inside their leases"),
        (Rules(grace_after_restart=False), "a crash", ["a claims", "a up"], "two workers inside their leases"),
    ],
    ids=["lease from receipt", "no fence", "publish first", "no grace"],
)
def test_without_any_one_rule_an_order_breaks_a_promise(rules: Rules, case: str, begin: list[str], wrong: str) -> None:
    found = explore(lambda: World(rules, CASES[case]), begin=begin, stop_at_first=True)
    assert list(found.wrong) == [wrong]


def test_writing_and_reading_back_has_two_winners() -> None:
    found = explore(LastWriterWins)
    assert list(found.wrong) == ["two winners"]
    assert len(found.wrong["two winners"]) == 8
