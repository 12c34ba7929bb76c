from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from orchestrator.board.hub import Hub
from orchestrator.board.log import MemoryLog, replay
from orchestrator.board.snapshot import take
from orchestrator.errors import ClaimRefused
from orchestrator.model.claims import GrantState
from tests.board.stories import card, leave, run, take_seat, until

if TYPE_CHECKING:
    from orchestrator.board.seat import Seat

KEYS = ("T", "T/x", "U")


async def live(seat: Seat, chance: random.Random, granted: list[tuple[str, int, str]]) -> None:
    """Claim, report, tick off and hand in, in any order, as a careless agent would."""
    held: dict[str, int] = {}
    for _ in range(5):
        key = chance.choice(KEYS)
        try:
            match chance.randrange(4):
                case 0 | 1:
                    held[key] = await seat.claim(key)
                    granted.append((key, held[key], seat.agent_id))
                case 2:
                    await seat.report(f"at {key}")
                case _ if "/" in key:
                    await seat.done(key)
                case _:
                    await seat.submit(key, held.get(key, chance.randrange(3)), f"work of {seat.agent_id}")
        except ClaimRefused:
            continue


async def one_run(seed: int) -> None:
    chance = random.Random(seed)
    log = MemoryLog()
    hub = Hub(log, lambda: 0.0)
    hub.publish_tasks([card("T", "x"), card("U")])
    hub.open("T")
    hub.open("U")
    seats = [await take_seat(hub, f"agent{n}", chance=chance) for n in range(3)]
    granted: list[tuple[str, int, str]] = []
    lives = [asyncio.create_task(live(seat, chance, granted)) for seat in seats]
    for _ in range(3):
        for _ in range(chance.randrange(60)):
            await asyncio.sleep(0)
        key = chance.choice(KEYS)
        hub.open(key) if chance.random() < 0.7 else hub.release(key, GrantState.FAILED)
    await asyncio.gather(*lives)
    hub.note("end")
    await until(lambda: all(seat.view().log[-1].kind == "end" for seat in seats))
    await until(lambda: all(seat.view().agents[0] in hub.snapshot().agents for seat in seats))

    board = hub.snapshot()
    for seat in seats:
        view = [replace(task, words="") for task in seat.view().tasks]  # of words, a seat sees its own
        assert view == [replace(task, words="") for task in board.tasks]
        assert seat.view().log == board.log
    rebuilt = replay(log.replay())
    assert take(rebuilt) == board
    owners = {(key, gen): {agent for k, g, agent in granted if (k, g) == (key, gen)} for key, gen, _ in granted}
    assert all(len(agents) == 1 for agents in owners.values()), f"seed {seed}: one generation, two holders"
    told = {
        (line.fields["key"], line.fields["gen"]): line.fields["holder"] for line in board.log if line.kind == "granted"
    }
    assert all(told[key, gen] == agent for key, gen, agent in granted)
    await leave(*seats)
    await hub.close()


@pytest.mark.exhaustive
def test_two_hundred_random_interleavings_converge() -> None:
    for seed in range(200):
        run(one_run(seed))
