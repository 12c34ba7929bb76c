"""A conversation with one of Anthropic's models, on their official SDK: requests, tool calls, and every way in which it can end.

What the model works with is its `Environment`: the words that it is given, its tools, and what its own words do. An answer is a
turn. What was said is only ever added to, so that the provider's cache serves all but the newest turn; nothing is summed up to
save room.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from orchestrator.agents.anthropic_requests import Provider
from orchestrator.agents.ending import Over
from orchestrator.agents.spending import Spending
from orchestrator.agents.toolbox import Result
from orchestrator.model.agent_events import Called, Returned, Said, Turned, Used
from orchestrator.model.budget import turns_used_up
from orchestrator.model.guards import Guard, against_ending, watch
from orchestrator.model.outcome import Outcome, OutcomeStatus

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from anthropic.types import Message, ToolUseBlock

    from orchestrator.agents.anthropic_environment import Environment
    from orchestrator.agents.anthropic_requests import Answer
    from orchestrator.agents.base import Assignment
    from orchestrator.model.agent_events import Advised, AgentEvent
    from orchestrator.model.plan import AgentSpec

__all__ = ["AnthropicModel"]

_KEY, _ADDRESS = "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"
_CREDENTIAL = "anthropic"  # one key for all of a run, from one variable
_MODEL = "claude-sonnet-5-5"
_LONGEST = 32_000  # tokens of one answer
_CONTINUED = 3  # answers in a row that may be cut, or put off


class AnthropicModel:
    """One model, to be talked to. The key is in $ANTHROPIC_API_KEY, the address in $ANTHROPIC_BASE_URL."""

    def __init__(self, spec: AgentSpec) -> None:
        self._name = spec.model or _MODEL
        self._effort = spec.effort
        self.label = f"{self._name}@anthropic"
        self.credential = _CREDENTIAL

    async def converse(self, assignment: Assignment, environment: Environment) -> Outcome:
        """Talk until the model is done, or something else ends it; the assignment's limits, stop and transcript are kept to."""
        started = time.monotonic()
        if why := assignment.governor.barred(_CREDENTIAL):  # by the answer to another task: a key is not tried twice
            return Outcome(status=OutcomeStatus.FAILED, reason=why, final=True)
        talk = None
        limit = assignment.task.limits.wall
        try:
            async with asyncio.timeout(limit) as clock, await _client() as client:
                talk = _Talk(
                    assignment=assignment, client=client, environment=environment, request=self._request(environment)
                )
                await talk.go_on()
            outcome = Outcome(status=OutcomeStatus.DONE)
        except Over as over:
            outcome = over.outcome
            if outcome.final and _KEY in outcome.reason:
                assignment.governor.bar(_CREDENTIAL, outcome.reason)
        except TimeoutError:
            if not clock.expired():
                raise
            outcome = Outcome(status=OutcomeStatus.TIMED_OUT, reason=f"the time limit of {limit:g} s is used up")
        seconds = time.monotonic() - started
        return replace(outcome, seconds=seconds) if talk is None else talk.account(replace(outcome, seconds=seconds))

    def _request(self, environment: Environment) -> dict[str, Any]:
        return {
            "model": self._name,
            "max_tokens": _LONGEST,
            "system": environment.system,
            "tools": environment.definitions(),
            "cache_control": {"type": "ephemeral"},
            **({"output_config": {"effort": self._effort}} if self._effort else {}),
        }


async def _client() -> AsyncAnthropic:
    """Return a client that takes its key from the environment and from nowhere else, and repeats nothing by itself.

    Raises:
        Over: there is no key.
    """
    key = os.environ.get(_KEY, "").strip()
    if not key:
        raise Over(f"{_KEY} is not set, so no model can be asked", final=True)
    if not (key.isascii() and key.isprintable()):
        raise Over(f"{_KEY} holds what no key holds: something else than printable ASCII characters", final=True)
    address = os.environ.get(_ADDRESS) or None
    if address is not None and not address.startswith(("http://", "https://")):
        raise Over(f"{_ADDRESS} is {address!r}; it must begin with https:// or http://", final=True)
    await asyncio.to_thread(
        lambda: [importlib.import_module(name) for name in ("anthropic", "genai_prices")]
    )  # seconds
    from anthropic import AsyncAnthropic
    from httpx2 import InvalidURL, Timeout

    try:
        # One read may take long: a model that thinks sends nothing for a while.
        return AsyncAnthropic(api_key=key, base_url=address, max_retries=0, timeout=Timeout(600, connect=10))
    except InvalidURL as error:
        raise Over(f"{_ADDRESS} is no address: {error}", final=True) from error


@dataclass(slots=True, kw_only=True)
class _Talk:
    """One conversation: what was said so far, what it cost, and what its guard knows."""

    assignment: Assignment
    client: AsyncAnthropic
    environment: Environment
    request: dict[str, Any]
    messages: list[dict[str, Any]] = field(default_factory=list)
    spending: Spending = field(default_factory=lambda: Spending(provider="anthropic"))
    guard: Guard = field(default_factory=Guard)
    hints: list[str] = field(default_factory=list)
    turns: int = 0
    continued: int = 0
    last_words: str = ""

    async def go_on(self) -> None:
        """Talk until the model is done.

        Raises:
            Over: it ends in another way.
        """
        provider = Provider(
            client=self.client, request=self.request, stop=self.assignment.stop, stall=self.assignment.task.limits.stall,
            tell=self.assignment.transcript.tell, meter=self._meter, governor=self.assignment.governor,
            credential=_CREDENTIAL, hear=self.environment.hear, take_back=self.environment.take_back,
        )  # fmt: skip
        self._say(self.environment.briefing)
        while True:
            self._check_limits()
            self.turns += 1
            self._tell(Turned(number=self.turns))
            if self.messages[-1]["role"] == "user":  # after an answer that was put off, nothing may be said
                self._say(*self.hints)
                self.hints.clear()
            if await self._take(await provider.ask(self.messages)):
                return

    def account(self, outcome: Outcome) -> Outcome:
        """Return an outcome with what the conversation took."""
        remarks: tuple[str, ...] = ()
        if self.spending.unpriced:
            some = f"{self.spending.unpriced} of {self.spending.requests} requests"
            remarks = (f"the price of {self.spending.unknown} is not known, so {some} are unpriced",)
        return replace(
            outcome,
            summary=self.last_words,
            cost_usd=self.spending.usd,
            tokens=self.spending.tokens,
            turns=self.turns,
            remarks=remarks,
        )

    async def _take(self, answer: Answer) -> bool:
        """Do what an answer asks for; return whether it was the last."""
        message = answer.message
        self._keep(answer)
        calls = [block for block in message.content if block.type == "tool_use"]
        came = self._come_of_words()
        match message.stop_reason:
            case "max_tokens" | "pause_turn" as reason:
                self._continue(reason, calls)
                self.hints[:0] = came
                return False
            case "refusal":
                raise Over(f"the model refuses to go on{_why_refused(message)}")
            case "model_context_window_exceeded":
                raise Over(
                    f"the conversation has filled the model's context in {self.turns} turns; make the task smaller"
                )
            case "end_turn" | "stop_sequence" | "tool_use" | None:  # without a reason only if a call was garbled
                if not calls and not came:
                    return await self._may_end()
                self._check_cost()
                self.continued = 0
                answers = [await self._carry_out(call, garbled=call.id == answer.garbled) for call in calls]
                self._answer(answers)
                self._say(*came)
                ends = {call.id for call in calls if call.name == self.environment.ending}
                return any(a["tool_use_id"] in ends and not a["is_error"] for a in answers) and await self._may_end()
            case other:
                raise Over(f"the model stopped for a reason that is not known here: {other}")

    def _keep(self, answer: Answer) -> None:
        """Add the model's answer to the conversation, as it must be sent back."""
        raw = answer.message.to_dict(mode="json", warnings=False)
        self.assignment.transcript.write("raw", message=raw)
        blocks = [block.to_dict(mode="json", warnings=False) for block in answer.message.content]
        for block in blocks:
            if block["type"] == "tool_use" and (block["id"] == answer.garbled or not isinstance(block["input"], dict)):
                block["input"] = {}
        said = [block for block in blocks if block["type"] != "text" or str(block["text"]).strip()]
        if said:  # the provider takes back no blank text, and no empty answer
            self.messages.append({"role": "assistant", "content": said})
        words = "".join(block.text for block in answer.message.content if block.type == "text").strip()
        if words:
            self.last_words = words
            self._tell(Said(text=words))

    def _continue(self, reason: str, calls: list[ToolUseBlock]) -> None:
        """Let the model go on with an answer that was cut, or that the provider has put off."""
        self._check_cost()
        self.continued += 1
        if self.continued > _CONTINUED:
            how = f"were cut at {_LONGEST} tokens" if reason == "max_tokens" else "were put off by the provider"
            raise Over(f"{self.continued} answers of the model in a row {how}")
        cut = f"Your answer was cut at {_LONGEST} tokens"
        if calls:  # the last of them may not be whole, and those before may count on it
            text = f"{cut}, so this call was not carried out. Do it in smaller pieces."
            self._answer([self._returned(call, Result(text=text, failed=True)) for call in calls])
        elif reason == "max_tokens":
            self._say(f"{cut}. Go on where it ended.")

    def _come_of_words(self) -> list[str]:
        """Take down what the words of an answer did, as if they had been calls; return what the model is to be told of it."""
        came = []
        for number, deed in enumerate(self.environment.finish_answer(), start=1):
            call = f"words-{self.turns}-{number}"
            self._tell(Called(call=call, tool=deed.tool, arguments=deed.arguments))
            self._heard(call, deed.result)
            came.append(deed.result.text)
        return came

    async def _carry_out(self, call: ToolUseBlock, *, garbled: bool) -> dict[str, Any]:
        given: Any = call.input
        if garbled or not isinstance(given, dict):
            text = f"The arguments of this call of {call.name} were no JSON object. Call it again with a valid one."
            return self._returned(call, Result(text=text, failed=True))
        self._tell(Called(call=call.id, tool=call.name, arguments=given))
        return self._returned(call, await self.environment.call(call.name, given))

    def _returned(self, call: ToolUseBlock, result: Result) -> dict[str, Any]:
        self._heard(call.id, result)
        return {"type": "tool_result", "tool_use_id": call.id, "content": result.text, "is_error": result.failed}

    def _heard(self, call: str, result: Result) -> None:
        self._tell(Returned(call=call, text=result.text, failed=result.failed, effect=result.effect))
        if self.assignment.stop.is_set():
            raise Over("stopped before it was finished", OutcomeStatus.STOPPED)

    async def _may_end(self) -> bool:
        """Take the model at its word that it is done, or ask it once; the second time, what is missing fails it."""
        changed, open_todos = await self.environment.changed(), self.environment.open_todos()
        self.guard, advice = against_ending(self.guard, changed=changed, open_todos=open_todos)
        if advice is None:
            return True
        self._heed(advice)
        self._check_cost()
        self._say(*self.hints)
        self.hints.clear()
        return False

    def _meter(self, message: Message) -> None:
        usage = message.usage
        read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        usd = self.spending.add(
            message.model, fresh=usage.input_tokens, cache_read=read, cache_write=written, output=usage.output_tokens
        )
        self._tell(
            Used(
                model=message.model, input_tokens=usage.input_tokens + read + written, cached_tokens=read,
                output_tokens=usage.output_tokens, usd=usd,
            )
        )  # fmt: skip

    def _tell(self, event: AgentEvent) -> None:
        self.assignment.transcript.tell(event)
        self.guard, advice = watch(self.guard, event)
        if advice is not None:
            self._heed(advice)

    def _heed(self, advice: Advised) -> None:
        self.assignment.transcript.tell(advice)
        if advice.stop:
            raise Over(advice.text)
        self.hints.append(advice.text)

    def _say(self, *texts: str) -> None:
        self._answer([{"type": "text", "text": text} for text in texts])

    def _answer(self, blocks: list[dict[str, Any]]) -> None:
        """Add to what the model is told next."""
        if not blocks:
            return
        if not self.messages or self.messages[-1]["role"] != "user":
            self.messages.append({"role": "user", "content": []})
        self.messages[-1]["content"] += blocks

    def _check_limits(self) -> None:
        limit = self.assignment.task.limits.turns
        if limit is not None and self.turns >= limit:
            raise Over(turns_used_up(limit))
        self._check_cost()

    def _check_cost(self) -> None:
        limits, used = self.assignment.task.limits, self.spending.tokens
        if limits.tokens is not None and used >= limits.tokens:
            raise Over(f"the limit of {limits.tokens} tokens is used up: it has used {used}")
        limit = limits.cost_usd
        if limit is None:
            return
        if self.spending.unpriced:
            model = self.spending.unknown
            raise Over(f"the price of {model} is not known, so the limit of cost_usd cannot be kept", final=True)
        if self.spending.usd >= limit:
            raise Over(f"the budget of ${limit:g} is used up (${self.spending.usd:.4f})")


def _why_refused(message: Message) -> str:
    details = message.stop_details
    said = ", ".join(text for text in (details.category, details.explanation) if text) if details else ""
    return f" ({said})" if said else ""
