"""Claude Code as an agent, asked about each tool before it is used (`claude_program` is the program that runs it)."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from orchestrator.agents import claude_program
from orchestrator.agents.conversation import STOPPED, against_path, converse
from orchestrator.agents.preset import find_preset
from orchestrator.agents.preset_agent import has_changed_what_it_may
from orchestrator.agents.watched import Watched
from orchestrator.confine.level import Level
from orchestrator.model.agent_events import AgentEvent, Called, Returned, Said, Turned, Used
from orchestrator.model.budget import limit_passed
from orchestrator.model.outcome import Outcome, OutcomeStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.agents.base import Assignment

__all__ = ["CLAUDE_SDK", "ClaudeAgent", "why_no_sdk"]

CLAUDE_SDK = "claude-sdk"
"""The name of the preset."""
_KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "CLAUDE_CODE_OAUTH_TOKEN")
_PATH_KEYS = ("file_path", "notebook_path")
_EVENTS: dict[str, Callable[..., AgentEvent]] = {
    "said": Said, "called": Called, "returned": Returned, "turned": Turned, "used": Used,
}  # fmt: skip
_CREDENTIAL = "anthropic"
_TRIES = 8  # of one prompt, in all, while the provider says that it cannot
_LOOKS = ("Read", "Glob", "Grep", "WebSearch", "WebFetch", "ToolSearch")


def why_no_sdk() -> str:
    """Return why Claude Code cannot be run here; empty if it can."""
    if importlib.util.find_spec("claude_agent_sdk") is not None:
        return ""
    return (
        "the package claude-agent-sdk is not installed; install it with `pip install '.[claude]'` in orch's own folder"
    )


class ClaudeAgent:
    """Runs Claude Code for the whole task, with the board's tools."""

    def __init__(self, model: str | None) -> None:
        self._model = model
        self.model = model or "claude@unknown"
        self.credential = _CREDENTIAL

    async def work(self, assignment: Assignment) -> Outcome:
        """Work until the task is done, or a limit is reached."""
        if why := assignment.governor.barred(_CREDENTIAL):
            return Outcome(status=OutcomeStatus.FAILED, reason=why, final=True)
        started = time.monotonic()
        home = assignment.confinement.scratch / "home"
        board = home / ".board.json"  # not on the command line, which everybody on the machine can read
        await asyncio.to_thread(board.write_text, json.dumps({"mcpServers": _servers(assignment)}))
        limits = assignment.task.limits
        start = {
            "cwd": str(assignment.folder), "mcp_servers": str(board), "model": self._model,
            "max_budget_usd": limits.cost_usd, "max_turns": limits.turns,
        }  # fmt: skip
        talk = _Talk(assignment, {key: value for key, value in start.items() if value is not None})
        keys = {name: os.environ[name] for name in _KEYS if os.environ.get(name)}
        scratch = {
            "HOME": str(home),
            "CLAUDE_CONFIG_DIR": str(home / ".claude"),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_RETRIES": "4",  # by itself, before all others with its key are told
        }
        tmp = {"CLAUDE_CODE_TMPDIR": str(assignment.confinement.scratch / "tmp")}
        command = [sys.executable, "-P", claude_program.__file__]
        outcome = await converse(assignment, command, talk.carry_on, extra={**keys, **scratch, **tmp})
        return replace(
            outcome, seconds=time.monotonic() - started, cost_usd=talk.usd, tokens=talk.tokens, turns=max(talk.turns, 1)
        )


def _servers(assignment: Assignment) -> dict[str, Any]:
    access = assignment.access
    if "ORCH_MCP_URL" not in access:
        return {}
    headers = {"Authorization": f"Bearer {access['ORCH_TOKEN']}"}
    return {"board": {"type": "http", "url": access["ORCH_MCP_URL"], "headers": headers}}


@dataclass(slots=True)
class _Talk:
    """The conversation with the program."""

    assignment: Assignment
    start: dict[str, Any]
    usd: float = 0.0
    tokens: int = 0
    turns: int = 0
    refused: int = 0
    started: float = field(default_factory=time.monotonic)
    watched: Watched = field(init=False)

    def __post_init__(self) -> None:
        self.watched = Watched(self.assignment.transcript, can_be_told=True)

    async def carry_on(self, heard: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Outcome:
        """Prompt it until it is done."""
        _tell(writer, {"start": self.start})
        prompt, summary = self.assignment.briefing, ""
        while True:
            _tell(writer, {"prompt": prompt})
            ended = await self._turn(heard, writer)
            if ended is None:
                return STOPPED
            summary = str(ended["text"]) or summary
            if self.watched.why:
                return Outcome(status=OutcomeStatus.FAILED, reason=self.watched.why, summary=summary)
            if ended["failed"]:
                failed = await self._failed(summary)
                if failed is not None:
                    return failed
                continue
            if why := limit_passed(self.assignment.task.limits, usd=self.usd, tokens=self.tokens, turns=0):
                return Outcome(status=OutcomeStatus.FAILED, reason=why, summary=summary)
            changed = await has_changed_what_it_may(self.assignment)
            advice = self.watched.may_end(changed=changed, open_todos=self.assignment.desk.open_todos())
            if advice is None:
                return Outcome(status=OutcomeStatus.DONE, summary=summary)
            if advice.stop:
                return Outcome(status=OutcomeStatus.FAILED, reason=advice.text, summary=summary)
            self.assignment.transcript.tell(advice)
            prompt = advice.text

    async def _failed(self, said: str) -> Outcome | None:
        """Return how the attempt ends with a turn that failed; None if its provider was to blame, and the wait is over."""
        governor, limits = self.assignment.governor, self.assignment.task.limits
        trouble = find_preset("claude", {}).troubles.find(said, "", time.time())
        if trouble is None:
            return Outcome(status=OutcomeStatus.FAILED, reason=f"it failed: {said[:2000]}")
        self.refused += 1
        left = limits.wall - (time.monotonic() - self.started) if self.refused < _TRIES else 0.0
        return await governor.sit_out(
            _CREDENTIAL, trouble, left=left, stop=self.assignment.stop, tell=self.assignment.transcript.tell
        )

    async def _turn(self, heard: asyncio.StreamReader, writer: asyncio.StreamWriter) -> dict[str, Any] | None:
        """Answer what it asks until it ends its turn, and return how; None if the attempt is to stop."""
        stopped = asyncio.create_task(self.assignment.stop.wait())
        try:
            while True:
                reading = asyncio.create_task(heard.readline())
                await asyncio.wait({reading, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if not reading.done():
                    reading.cancel()
                    return None
                if not (line := reading.result()):
                    raise EOFError("it ended in the middle of its turn")
                told = json.loads(line)
                if told.get("event") == "ended":
                    self.usd = max(self.usd, told["usd"])
                    return dict(told)
                if "ask" in told:
                    _tell(writer, {"answer": told["ask"], "why": self._against(told["tool"], told["input"])})
                else:
                    self._note(told)
                if self.watched.why:
                    return {"text": "", "failed": False}
        finally:
            stopped.cancel()

    def _note(self, told: dict[str, Any]) -> None:
        event = _EVENTS[told.pop("event")](**told)
        if isinstance(event, Turned):
            self.turns = event.number
        elif isinstance(event, Used):
            self.tokens += event.input_tokens + event.output_tokens
        self.watched.tell(event)

    def _against(self, tool: str, given: dict[str, Any]) -> str:
        """Return why it may not use a tool, or what else it should hear in the place of its answer; empty if it may."""
        if hint := self.watched.take_hint():
            return hint
        if tool in _LOOKS or tool.startswith("mcp__board__"):
            return ""
        if tool == "Bash" and self.assignment.confinement.level is Level.AUDIT:
            return "commands are not run here, since nothing would keep them in the task's scope"
        paths = (given[key] for key in _PATH_KEYS if isinstance(given.get(key), str))
        return next(filter(None, (against_path(self.assignment, path) for path in paths)), "")


def _tell(writer: asyncio.StreamWriter, value: dict[str, Any]) -> None:
    writer.write(json.dumps(value).encode() + b"\n")
