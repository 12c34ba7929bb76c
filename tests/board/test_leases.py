"""Leases by a clock that the test turns, and keys that are kept for one agent."""

from __future__ import annotations

import pytest

from orchestrator.board import schema
from orchestrator.board.claimant import Claimant
from orchestrator.board.ledger import Ledger
from orchestrator.board.log import MemoryLog
from orchestrator.errors import ClaimRefused
from orchestrator.model.claims import LEASE, MARGIN, GrantState
from tests.board.stories import Asker, card, standing


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock, log: MemoryLog | None = None) -> Ledger:
    ledger = Ledger(log or MemoryLog(), lambda: 0.0, now=clock)
    ledger.publish_tasks([card("T", "x")])
    ledger.open("T")
    return ledger


def test_a_lease_that_is_over_goes_to_whoever_asks() -> None:
    clock = Clock()
    ledger = opened(clock)
    first, second = Asker(ledger, "a"), Asker(ledger, "b")
    for key in ("T", "T/x"):
        clock.now = 0.0
        first.claim(key)
        clock.now = LEASE - 1
        second.claim(key)
        assert standing(ledger, key) == (GrantState.HELD, 1, "a")
        first.claim(key)  # a renewal
        clock.now = 2 * LEASE - 2
        second.claim(key)
        assert standing(ledger, key) == (GrantState.HELD, 1, "a")
        clock.now = 2 * LEASE - 1
        second.claim(key)
        assert standing(ledger, key) == (GrantState.HELD, 2, "b")
    first.hand_in("T/x", 1)
    with pytest.raises(ClaimRefused):
        ledger.accept_submission("T", 1, "a", "stale")
    assert standing(ledger, "T/x") == (GrantState.HELD, 2, "b")


def test_a_restarted_hub_waits_one_lease_before_it_gives_a_held_key_to_another() -> None:
    clock, log = Clock(), MemoryLog()
    ledger = opened(clock, log)
    Asker(ledger, "a").claim("T")
    clock.now = LEASE - 1
    again = Ledger(log, lambda: 0.0, now=clock)
    other = Asker(again, "b")
    clock.now = 2 * LEASE - 2
    other.claim("T")
    assert standing(again, "T") == (GrantState.HELD, 1, "a")
    clock.now = 2 * LEASE - 1
    other.claim("T")
    assert standing(again, "T") == (GrantState.HELD, 2, "b")


def test_a_holder_counts_from_when_it_asked() -> None:
    clock = Clock()
    told: list[bytes] = []
    ledger = Ledger(
        MemoryLog(), lambda: 0.0, publish=lambda topic, update: told.append(update) if topic == schema.CTL else None,
        now=clock,
    )  # fmt: skip
    ledger.publish_tasks([card("T")])
    ledger.open("T")
    written: list[bytes] = []
    worker = Claimant("a", written.append, now=clock)
    ledger.join(worker.topic)

    def exchange(*, later: float) -> None:
        clock.now += later
        for update in written:
            ledger.receive(worker.topic, update)
        written.clear()
        worker.ctl.apply(*told)
        told.clear()
        worker.settle()

    worker.claim("T")
    exchange(later=20)
    assert worker.holds("T")
    clock.now = LEASE * (1 - MARGIN)
    assert not worker.holds("T")
    worker.renew()
    exchange(later=1)
    assert worker.holds("T")
    assert worker.generations == {"T": 1}
    ledger.open("T")
    Asker(ledger, "b").claim("T")
    worker.renew()
    exchange(later=0)
    assert not worker.holds("T")  # the hub has told it so


def test_a_key_that_is_kept_for_one_agent_is_refused_to_others() -> None:
    clock = Clock()
    ledger = opened(clock)
    ledger.open("T", for_agent="T.1")
    stranger, agent = Asker(ledger, "stranger"), Asker(ledger, "T.1")
    stranger.claim("T")
    assert standing(ledger, "T") == (GrantState.OPEN, 0, None)
    agent.claim("T")
    clock.now = 10 * LEASE
    stranger.claim("T")
    assert standing(ledger, "T") == (GrantState.HELD, 1, "T.1")
    stranger.claim("T/x")
    assert standing(ledger, "T/x") == (GrantState.HELD, 1, "stranger")
    ledger.release("T", GrantState.OPEN, note="the attempt failed")
    for asker in (stranger, agent):
        asker.claim("T")
        assert standing(ledger, "T") == (GrantState.OPEN, 1, None)
    ledger.open("T", for_agent="T.2")
    Asker(ledger, "T.2").claim("T")
    assert standing(ledger, "T") == (GrantState.HELD, 2, "T.2")
