"""Many agents in one file: whatever the schedule, each one's words stay together and all replicas are equal."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from orchestrator.board.client import Door
from orchestrator.board.files import RUN, author_agent
from tests.board.stories import run
from tests.support.boards import served
from tests.text.schedules import PATH, Schedule, play

if TYPE_CHECKING:
    from orchestrator.board.link import Dial

SCHEDULES = int(os.environ.get("ORCH_TEXT_SCHEDULES", "60"))
"""How many random schedules; more of them on demand."""
LANES = 10


@pytest.mark.exhaustive
def test_words_stay_together_in_every_schedule() -> None:
    async def story() -> None:
        lanes = asyncio.Semaphore(LANES)

        async def in_a_lane(seed: int) -> None:
            async with lanes, asyncio.timeout(60):
                await play(seed)

        await asyncio.gather(*map(in_a_lane, range(SCHEDULES)))

    run(story(), seconds=60 + SCHEDULES)


if SCHEDULES > 100:
    pytestmark = pytest.mark.timeout(60 + SCHEDULES)


@pytest.mark.e2e
@pytest.mark.parametrize("seed", range(max(6, SCHEDULES // 50)))
def test_words_stay_together_over_real_sockets(seed: int) -> None:
    async def story() -> None:
        async with served() as board:
            board.hub.files.open(PATH)
            doors: list[Door] = []

            def dial_as(author: str) -> Dial:
                agent = author_agent(author)
                token = board.keys.agent(agent) if agent else board.keys.owner
                doors.append(Door(board.url, token))
                return (lambda topic: board.hub.dial_file(topic, RUN)) if author == RUN else doors[-1].dial

            await Schedule(seed, board.hub, dial_as, agents=3 + seed % 3).play(kill=seed % 3 == 1, cut=seed % 3 == 2)
            for door in doors:
                await door.closed()

    run(story())
