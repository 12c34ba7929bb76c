"""A used-up quota is met once: everybody waits, what would wait for long is put off, and no attempt is to blame."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.agents.anthropic_requests import Provider
from orchestrator.agents.ending import Over
from orchestrator.agents.governor import Governor
from orchestrator.model.outcome import OutcomeStatus
from tests.support.fake_model import FakeModel

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e

QUOTA: dict[str, Any] = {"say": "Done."}
_TOOL = {"name": "t", "input_schema": {"type": "object"}}


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeModel]:
    stories = {
        "short": [{**QUOTA, "faults": [{"status": 429, "retry_after": 1}]}],
        "long": [{**QUOTA, "faults": [{"status": 429, "retry_after": 500}]}],
        "never": [{**QUOTA, "faults": [{"status": 529, "retry_after": 0, "times": 100}]}],
    }
    with FakeModel(stories) as server:
        yield server


async def ask(fake: FakeModel, story: str, governor: Governor) -> str:
    from anthropic import AsyncAnthropic

    async with AsyncAnthropic(api_key="k", base_url=fake.url(story), max_retries=0) as client:
        provider = Provider(
            client=client, request={"model": "m", "max_tokens": 100, "tools": [_TOOL]},
            stop=asyncio.Event(), stall=None, tell=lambda _waited: None, meter=lambda _message: None, governor=governor,
            credential="anthropic",
        )  # fmt: skip
        answer = await provider.ask([{"role": "user", "content": "Do it."}])
        return str(answer.message.stop_reason)


def test_a_short_wait_is_waited_for_and_told_once(fake: FakeModel) -> None:
    told: list[str] = []
    assert asyncio.run(ask(fake, "short", Governor(tell=told.append))) == "end_turn"
    assert told == ["anthropic: 429, the scenario says so; its agents wait for 1 s"]


def test_a_long_one_puts_the_attempt_off_and_keeps_all_others_from_asking(fake: FakeModel) -> None:
    governor = Governor(tell=lambda _text: None)
    for story in ("long", "short"):
        with pytest.raises(Over) as over:
            asyncio.run(ask(fake, story, governor))
        assert (over.value.outcome.status, over.value.outcome.final) == (OutcomeStatus.PUT_OFF, False)
    assert governor.resting({"a": "anthropic", "b": None}).keys() == {"a"}


def test_a_provider_that_goes_on_refusing_gets_a_rest(fake: FakeModel) -> None:
    governor = Governor(tell=lambda _text: None, rest=300.0)
    with pytest.raises(Over) as over:
        asyncio.run(ask(fake, "never", governor))
    assert over.value.outcome.status is OutcomeStatus.PUT_OFF
    assert 290 < governor.left("anthropic") <= 300
