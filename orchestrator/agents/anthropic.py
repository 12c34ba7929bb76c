"""Our own agent, on Anthropic's official SDK: a loop of requests and tool calls, in which every way to end is handled.

What the model may do is decided in our tools, never by its prompt. An answer is a turn. What was said is only ever added to, so
that the provider's cache serves all but the newest turn; nothing is summed up to save room.
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
from orchestrator.agents.file_tools import FileTools
from orchestrator.agents.spending import Spending
from orchestrator.agents.toolbox import Result, Toolbox
from orchestrator.board_tools import INSTRUCTIONS
from orchestrator.model.agent_events import Called, Returned, Said, Turned, Used
from orchestrator.model.guards import Guard, against_ending, watch
from orchestrator.model.outcome import Outcome, OutcomeStatus

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from anthropic.types import Message, ToolUseBlock

    from orchestrator.agents.anthropic_requests import Answer
    from orchestrator.agents.base import Assignment
    from orchestrator.model.agent_events import Advised, AgentEvent
    from orchestrator.model.plan import AgentSpec

__all__ = ["AnthropicAgent"]

_KEY, _ADDRESS = "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"
_CREDENTIAL = "anthropic"  # one key for all of a run, from one variable
_MODEL = "claude-sonnet-5-5"
_LONGEST = 32_000  # tokens of one answer
_CONTINUED = 3  # answers in a row that may be cut, or put off

_SYSTEM = f"""\
You work on one task of a larger plan, in a folder that is yours alone. Nobody watches: do not ask for leave, act. Read what you
need, write the files, and check your work with run. You may write only in your scope; the tools refuse everything else.
Paths count from the folder's root. When the task is done, and its TODOs are, answer in one or two sentences what you did, and
call no tool: that ends your work.

{INSTRUCTIONS}"""


class AnthropicAgent:
    """Works on tasks by talking to one model. The key is in $ANTHROPIC_API_KEY, the address in $ANTHROPIC_BASE_URL."""

    def __init__(self, spec: AgentSpec) -> None:
        self._name = spec.model or _MODEL
        self._effort = spec.effort
        self._refused: Outcome | None = None
        self.model = f"{self._name}@anthropic"
        self.credential = _CREDENTIAL

    async def work(self, assignment: Assignment) -> Outcome:
        """Talk and act until the model is done, or something else ends it."""
        started = time.monotonic()
        if self._refused is not None:  # by the answer to another task: a key is not tried twice
            return self._refused
        talk = None
        limit = assignment.task.limits.wall
        try:
            async with asyncio.timeout(limit) as clock, await _client() as client:
                talk = self._talk(assignment, client, ends=started + limit)
                await talk.go_on()
            outcome = Outcome(status=OutcomeStatus.DONE)
        except Over as over:
            outcome = over.outcome
            if outcome.final and _KEY in outcome.reason:
                self._refused = outcome
        except TimeoutError:
            if not clock.expired():
                raise
            outcome = Outcome(status=OutcomeStatus.TIMED_OUT, reason=f"the time limit of {limit:g} s is used up")
        seconds = time.monotonic() - started
        return replace(outcome, seconds=seconds) if talk is None else talk.account(replace(outcome, seconds=seconds))

    def _talk(self, assignment: Assignment, client: AsyncAnthropic, *, ends: float) -> _Talk:
        files = FileTools(folder=assignment.folder, may_write=assignment.desk.against_writing)
        return _Talk(
            assignment=assignment,
            client=client,
            request={
                "model": self._name,
                "max_tokens": _LONGEST,
                "system": _SYSTEM,
                "tools": Toolbox.definitions(),
                "cache_control": {"type": "ephemeral"},
                **({"output_config": {"effort": self._effort}} if self._effort else {}),
            },
            tools=Toolbox(assignment=assignment, files=files, left=lambda: ends - time.monotonic()),
        )


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
    request: dict[str, Any]
    tools: Toolbox
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
            credential=_CREDENTIAL,
        )  # fmt: skip
        self._say(f"{self.assignment.briefing}\nWorking directory: {self.assignment.folder}")
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
        return replace(outcome, summary=self.last_words, cost_usd=self.spending.usd, turns=self.turns, remarks=remarks)

    async def _take(self, answer: Answer) -> bool:
        """Do what an answer asks for; return whether it was the last."""
        message = answer.message
        self._keep(answer)
        calls = [block for block in message.content if block.type == "tool_use"]
        match message.stop_reason:
            case "max_tokens" | "pause_turn" as reason:
                self._continue(reason, calls)
                return False
            case "refusal":
                raise Over(f"the model refuses to go on{_why_refused(message)}")
            case "model_context_window_exceeded":
                raise Over(
                    f"the conversation has filled the model's context in {self.turns} turns; make the task smaller"
                )
            case "end_turn" | "stop_sequence" | "tool_use" | None:  # without a reason only if a call was garbled
                if not calls:
                    return await self._may_end()
                self._check_cost()
                self.continued = 0
                self._answer([await self._carry_out(call, garbled=call.id == answer.garbled) for call in calls])
                return False
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

    async def _carry_out(self, call: ToolUseBlock, *, garbled: bool) -> dict[str, Any]:
        given: Any = call.input
        if garbled or not isinstance(given, dict):
            text = f"The arguments of this call of {call.name} were no JSON object. Call it again with a valid one."
            return self._returned(call, Result(text=text, failed=True))
        self._tell(Called(call=call.id, tool=call.name, arguments=given))
        return self._returned(call, await self.tools.call(call.name, given))

    def _returned(self, call: ToolUseBlock, result: Result) -> dict[str, Any]:
        self._tell(Returned(call=call.id, text=result.text, failed=result.failed, effect=result.effect))
        if self.assignment.stop.is_set():
            raise Over("stopped before it was finished", OutcomeStatus.STOPPED)
        return {"type": "tool_result", "tool_use_id": call.id, "content": result.text, "is_error": result.failed}

    async def _may_end(self) -> bool:
        """Take the model at its word that it is done, or ask it once; the second time, what is missing fails it."""
        nothing_to_write = self.assignment.task.writes == ()
        changed = nothing_to_write or self.tools.files.written > 0 or await self.assignment.changed()
        open_todos = self.assignment.desk.open_todos()
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
            raise Over(f"the limit of {limit} turns is used up")
        self._check_cost()

    def _check_cost(self) -> None:
        limit = self.assignment.task.limits.cost_usd
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
