"""One request to Anthropic's Messages API, until there is a whole answer or it is plain that there will be none.

The official SDK streams; what is sent again, how often, and after how long is decided here, so that it can be told and stopped.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from orchestrator.agents.ending import Over, unless_stopped
from orchestrator.model.agent_events import Waited
from orchestrator.model.outcome import OutcomeStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from anthropic import APIStatusError, AsyncAnthropic
    from anthropic.types import Message

    from orchestrator.agents.governor import Governor

__all__ = ["Answer", "Provider", "asked_wait"]

_TRIES = 8  # of one request, in all, while the provider says that it cannot
_BROKEN = 3  # times in all that one answer may break off
_FIRST, _LONGEST = 0.5, 30.0  # seconds before the second try, doubled for each more, up to a bound
_QUOTA = frozenset({429, 529})  # of all that have the key, and not of one request
_AGAIN = frozenset({408, 409, 429})  # and everything from 500 on, 529 (overloaded) too
# What the provider says in the middle of a stream whose HTTP status was 200.
_STATUS = {
    "invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403,
    "not_found_error": 404, "request_too_large": 413, "rate_limit_error": 429, "timeout_error": 504, "overloaded_error": 529,
}  # fmt: skip
_FINAL = {
    401: "ANTHROPIC_API_KEY is refused",
    402: "the provider wants to be paid first",
    403: "ANTHROPIC_API_KEY does not allow this",
    404: "the provider has no such model, or ANTHROPIC_BASE_URL is wrong",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer; `garbled` is the id of a tool call in it whose arguments were no JSON."""

    message: Message
    garbled: str | None = None


class _BrokenOff(Exception):
    """The stream ended before the answer was whole."""


@dataclass(slots=True, kw_only=True)
class Provider:
    """Sends the requests of one attempt; `request` is what they all have in common.

    `tell` hears of each wait, and `meter` gets what came of an answer, whole or not, since it must be paid. `stall` is the
    number of seconds after which a silent stream is given up. `hear` gets the words of an answer as they come, and `take_back`
    is called when no more will come of an answer that is not whole.
    """

    client: AsyncAnthropic
    request: Mapping[str, Any]
    stop: asyncio.Event
    stall: float | None
    tell: Callable[[Waited], None]
    meter: Callable[[Message], None]
    governor: Governor
    credential: str
    hear: Callable[[str], None] = lambda _words: None
    take_back: Callable[[], None] = lambda: None
    first: bool = True

    async def ask(self, messages: list[dict[str, Any]]) -> Answer:
        """Return the answer to a conversation.

        Raises:
            Over: there is none, and why; or the attempt was stopped.
        """
        import anthropic
        import httpx2

        tries = broken = 0
        while True:
            await self.governor.wait(self.credential, self.stop)  # this agent or another may have met the quota's end
            try:
                answer = await unless_stopped(self.stop, self._stream(messages))
            except anthropic.APIStatusError as error:
                reason, quota = self._refusal(error), _status(error) in _QUOTA
                asked = asked_wait(error.response.headers)
            except anthropic.APIConnectionError as error:
                reason, asked, quota = f"it cannot be reached ({error.__cause__ or error})", None, False
            except (_BrokenOff, httpx2.HTTPError, json.JSONDecodeError) as error:
                broken += 1
                if broken == _BROKEN:
                    raise Over(f"the provider is at fault: {broken} times its answer broke off ({error})") from error
                self.tell(Waited(reason=f"the provider's answer broke off ({error}); it is asked again", seconds=0.0))
                continue
            except anthropic.AnthropicError as error:
                raise Over(f"the provider's answer cannot be used: {error}") from error
            else:
                self.first = False
                return answer
            tries += 1
            await self._back_off(tries, reason, asked, quota=quota)

    async def _back_off(self, tries: int, reason: str, asked: float | None, *, quota: bool) -> None:
        """Wait before a request is sent again; if it is a matter of the quota, all others with the key do.

        Raises:
            Over: it was sent often enough, or the wait would be too long, or the attempt was stopped.
        """
        wait = _backing_off(tries) if asked is None else asked
        patient = wait <= self.governor.patience
        last = tries == _TRIES or not patient
        if quota and (asked is not None or last):
            self.governor.trip(self.credential, reason, max(wait, self.governor.rest) if tries == _TRIES else wait)
            if last:
                raise Over(f"the provider takes no requests now: {reason}", OutcomeStatus.PUT_OFF)
        elif last:
            often = f"{tries} times" if patient else f"it asks to wait {wait:.0f} s"
            raise Over(f"the provider is at fault: {reason}, {often}")
        self.tell(Waited(reason=f"the provider is asked again: {reason}", seconds=round(wait, 1)))
        await unless_stopped(self.stop, asyncio.sleep(wait))

    async def _stream(self, messages: list[dict[str, Any]]) -> Answer:
        try:
            async with asyncio.timeout(self.stall) as silence:
                return await self._read_whole(messages, silence)
        except TimeoutError:
            if not silence.expired():
                raise
            raise Over(f"the provider sent nothing for {self.stall:g} s", OutcomeStatus.STALLED) from None

    async def _read_whole(self, messages: list[dict[str, Any]], silence: asyncio.Timeout) -> Answer:
        try:
            return await self._read(messages, silence)
        except BaseException:  # whatever keeps it from being whole
            self.take_back()
            raise

    async def _read(self, messages: list[dict[str, Any]], silence: asyncio.Timeout) -> Answer:
        request: Any = {**self.request, "messages": messages}
        async with self.client.messages.stream(**request) as stream:
            begun, garbled = False, None
            try:
                async for event in stream:
                    begun = begun or event.type == "message_start"
                    if event.type == "text":
                        self.hear(event.text)
                    if self.stall is not None:
                        silence.reschedule(asyncio.get_running_loop().time() + self.stall)
            except ValueError as error:
                # The SDK's word for tool arguments that are no JSON. The model can be told, and nobody else.
                calls = [b for b in stream.current_message_snapshot.content if b.type == "tool_use"] if begun else []
                if isinstance(error, json.JSONDecodeError) or not calls:
                    raise _BrokenOff(str(error)) from error
                garbled = calls[-1].id
            finally:
                if begun:
                    self.meter(stream.current_message_snapshot)
            if not begun or (stream.current_message_snapshot.stop_reason is None and garbled is None):
                raise _BrokenOff("the stream ended before its end was announced")  # the SDK raises nothing for it
            return Answer(message=stream.current_message_snapshot, garbled=garbled)

    def _refusal(self, error: APIStatusError) -> str:
        """Return what the provider says it cannot do now.

        Raises:
            Over: it will not do it later either.
        """
        status = _status(error)
        said = error.api_message or str(error)
        if status in _AGAIN or status >= 500:
            return f"{status}, {said}"
        if status in _FINAL:
            raise Over(f"{_FINAL[status]} ({status}, {said})", final=True) from error
        # A first request that is wrong will be wrong in the next attempt, too.
        raise Over(f"the provider refuses the request ({status}, {said})", final=self.first) from error


def _status(error: APIStatusError) -> int:
    return error.status_code if error.status_code >= 400 else _STATUS.get(str(error.type), 500)


def _backing_off(tries: int) -> float:
    """Return for how many seconds to leave a provider alone that does not say; not all agents come back at once."""
    return min(_LONGEST, _FIRST * 2.0 ** (tries - 1)) * random.uniform(0.75, 1)  # noqa: S311 - it guards nothing


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Return for how many seconds the provider wants to be left alone; None if it does not say."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    given = headers.get("retry-after", "")
    if (seconds := _number(given)) is not None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - time.time())
    except ValueError:
        return None


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
