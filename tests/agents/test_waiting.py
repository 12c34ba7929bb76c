"""How long a provider wants to be left alone, and how work is ended when its attempt is stopped."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate

import pytest

from orchestrator.agents.anthropic_requests import asked_wait
from orchestrator.agents.ending import Over, unless_stopped
from orchestrator.model.outcome import OutcomeStatus


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "0.25", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": formatdate(0, usegmt=True)}, 0.0),
    ],
)
def test_the_wait_that_a_provider_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    assert asked_wait(headers) == seconds


def test_a_wait_may_be_a_date() -> None:
    seconds = asked_wait({"retry-after": formatdate(time.time() + 60, usegmt=True)})
    assert seconds == pytest.approx(60, abs=5)


def test_work_is_cancelled_once_the_attempt_is_to_stop() -> None:
    async def story() -> tuple[int, bool]:
        stop, cancelled = asyncio.Event(), asyncio.Event()

        async def never() -> int:
            future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            try:
                return await future
            except asyncio.CancelledError:
                cancelled.set()
                raise

        done = await unless_stopped(stop, asyncio.sleep(0, 7))
        asyncio.get_running_loop().call_soon(stop.set)
        with pytest.raises(Over) as over:
            await unless_stopped(stop, never())
        assert over.value.outcome.status is OutcomeStatus.STOPPED
        return done, cancelled.is_set()

    assert asyncio.run(story()) == (7, True)
