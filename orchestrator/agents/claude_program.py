"""Claude Code through its SDK, as a program of its own: so it starts with a clean environment, confined, in a group of its own.

It is run by its path, needs nothing but the SDK, and speaks JSON lines. It reads `{"start": options}`, `{"prompt": text}` and
`{"answer": number, "why": text}` (empty: it may), and writes `{"ask": number, "tool": name, "input": {…}}` and events as
`model.agent_events` has them; at the end of a turn `{"event": "ended", "text": …, "failed": …, "usd": …}`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from claude_agent_sdk import PermissionResult

__all__ = ["Conversation", "main"]

_LONGEST = 16 << 20  # bytes of one line


class Conversation:
    """One session of Claude Code."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[str]] = {}
        self._prompts: asyncio.Queue[str | None] = asyncio.Queue()
        self._turn: str | None = None
        self._turns = 0
        self._used: dict[str, dict[str, Any]] = {}

    async def carry_on(self) -> None:
        """Work until the input ends."""
        reader = asyncio.StreamReader(limit=_LONGEST)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        start = json.loads(await reader.readline())["start"]
        listening = asyncio.create_task(self._listen(reader))
        working = asyncio.create_task(self._work(start))
        await asyncio.wait({listening, working}, return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        await working

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            told = json.loads(line)
            if "prompt" in told:
                self._prompts.put_nowait(told["prompt"])
            else:
                self._asked.pop(told["answer"]).set_result(told["why"])
        self._prompts.put_nowait(None)
        for asked in self._asked.values():
            asked.set_result("the attempt is over")

    async def _work(self, start: dict[str, Any]) -> None:
        from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient

        options = ClaudeAgentOptions(
            can_use_tool=self._may_use, permission_mode="default", setting_sources=[], strict_mcp_config=True, **start
        )
        async with ClaudeSDKClient(options) as client:
            while (prompt := await self._prompts.get()) is not None:
                await client.query(prompt)
                async for message in client.receive_response():
                    self._tell_of(message)

    async def _may_use(self, tool: str, given: dict[str, Any], _context: object) -> PermissionResult:
        from claude_agent_sdk import PermissionResultAllow, PermissionResultDeny

        number = next(self._numbers)
        self._asked[number] = asyncio.get_running_loop().create_future()
        asked = self._asked[number]
        _say({"ask": number, "tool": tool, "input": given})
        why = await asked
        return PermissionResultDeny(message=why) if why else PermissionResultAllow()

    def _tell_of(self, message: object) -> None:
        from claude_agent_sdk import AssistantMessage, ResultMessage, UserMessage

        if isinstance(message, AssistantMessage):
            if message.message_id != self._turn or message.message_id is None:
                self._turn, self._turns = message.message_id, self._turns + 1
                _say({"event": "turned", "number": self._turns})
            self._tell_blocks(message.content)
        elif isinstance(message, UserMessage) and isinstance(message.content, list):
            self._tell_blocks(message.content)
        elif isinstance(message, ResultMessage):
            for model, usage in (message.model_usage or {}).items():
                self._tell_usage(model, dict(usage))
            text = message.result or ", ".join(message.errors or ()) or message.subtype
            _say({"event": "ended", "text": text, "failed": message.is_error, "usd": message.total_cost_usd or 0.0})

    def _tell_blocks(self, blocks: list[Any]) -> None:
        from claude_agent_sdk import TextBlock, ToolResultBlock, ToolUseBlock

        for block in blocks:
            if isinstance(block, TextBlock):
                _say({"event": "said", "text": block.text})
            elif isinstance(block, ToolUseBlock):
                _say({"event": "called", "call": block.id, "tool": block.name, "arguments": block.input})
            elif isinstance(block, ToolResultBlock):
                text = block.content if isinstance(block.content, str) else json.dumps(block.content)
                _say({"event": "returned", "call": block.tool_use_id, "text": text, "failed": bool(block.is_error)})

    def _tell_usage(self, model: str, usage: dict[str, Any]) -> None:
        """Tell what was used since it was told last: the numbers are those of the whole session."""
        before = self._used.get(model, {})
        self._used[model] = usage
        new = {key: usage.get(key, 0) - before.get(key, 0) for key in _COUNTED}
        cached = new["cacheReadInputTokens"]
        whole = new["inputTokens"] + cached + new["cacheCreationInputTokens"]
        used = {
            "input_tokens": whole,
            "cached_tokens": cached,
            "output_tokens": new["outputTokens"],
            "usd": new["costUSD"],
        }
        _say({"event": "used", "model": model, **used})


_COUNTED = ("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens", "outputTokens", "costUSD")


def _say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, default=str) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Carry on one conversation."""
    asyncio.run(Conversation().carry_on())


if __name__ == "__main__":
    main()
