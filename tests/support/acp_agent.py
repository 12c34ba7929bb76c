"""An ACP agent without a model: it plays a script. `python -m tests.support.acp_agent SCRIPT.json`

The script is a list of turns, one for each prompt; a turn is a list of steps, each a mapping with one key:

    say: text                       says it
    write: [path, text]             asks the client to write the file; says it if that is refused
    ask: [path, text, kind]         asks whether it may, and writes it itself if so; a refusal ends the turn as `stop` has it
    quietly: [path, text]           writes it itself without asking
    shell: command                  runs it by itself without asking, and says what that said
    board: [tool, arguments]        calls a tool of the board, and says the answer
    call: [command, status]         tells of a command that it ran by itself, and how that ended
    cost: usd                       tells what the session has cost
    tokens: number                  tells, as the turn ends, how many the session has used
    hang: true                      waits until it is told to stop
    refuse: [code, text]            answers the prompt with an error
    die: code                       exits
    stop: reason                    ends the turn with this reason
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import urllib.request
import uuid
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import Any

from acp import (
    PROTOCOL_VERSION,
    RequestError,
    run_agent,
    start_edit_tool_call,
    start_tool_call,
    update_agent_message_text,
    update_tool_call,
)
from acp.schema import (
    AgentCapabilities,
    Cost,
    InitializeResponse,
    NewSessionResponse,
    PermissionOption,
    PromptResponse,
    ToolCallUpdate,
    Usage,
    UsageUpdate,
)

__all__ = ["Scripted"]

_OPTIONS = [
    PermissionOption(option_id="always", name="Always", kind="allow_always"),
    PermissionOption(option_id="yes", name="Yes", kind="allow_once"),
    PermissionOption(option_id="no", name="No", kind="reject_once"),
]


class Scripted:
    """Plays one script."""

    def __init__(self, turns: list[list[dict[str, Any]]]) -> None:
        self.turns = iter(turns)
        self.told_to_stop = asyncio.Event()
        self.usage: Usage | None = None
        self.calls = 0

    def on_connect(self, conn: Any) -> None:
        self.client = conn

    async def initialize(self, **_: Any) -> InitializeResponse:
        return InitializeResponse(protocol_version=PROTOCOL_VERSION, agent_capabilities=AgentCapabilities())

    async def new_session(self, cwd: str, mcp_servers: Any = None, **_: Any) -> NewSessionResponse:
        if os.environ.get("PLAYED_LOGIN") == "none":
            raise RequestError(-32000, "Authentication required")
        self.folder, self.servers, self.session = Path(cwd), mcp_servers or [], uuid.uuid4().hex
        return NewSessionResponse(session_id=self.session)

    async def cancel(self, **_: Any) -> None:
        self.told_to_stop.set()

    async def prompt(self, **_: Any) -> PromptResponse:
        for number, step in enumerate(next(self.turns, [])):
            ((deed, given),) = step.items()
            if (reason := await self.play(deed, given, f"call-{number}")) is not None:
                return PromptResponse(stop_reason=reason, usage=self.usage)
        return PromptResponse(stop_reason="end_turn", usage=self.usage)

    async def play(self, deed: str, given: Any, call: str) -> Any:
        match deed:
            case "say":
                await self.say(given)
            case "write":
                try:
                    path = str(self.folder / given[0])
                    await self.client.write_text_file(session_id=self.session, path=path, content=given[1])
                except RequestError as refused:
                    await self.say(f"refused: {refused}")
            case "ask":
                return await self.ask(given, call)
            case "quietly":
                (self.folder / given[0]).write_text(given[1])
            case "shell":
                shell = await asyncio.create_subprocess_shell(
                    given, cwd=self.folder, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
                )
                _, said = await shell.communicate()
                await self.say(f"exit code {shell.returncode}: {said.decode()}")
            case "board":
                await self.say(self.board(*given))
            case "call":
                self.calls += 1
                name = f"own-{self.calls}"
                await self.tell(start_tool_call(name, "Run", kind="execute", raw_input={"command": given[0]}))
                await self.tell(update_tool_call(name, status=given[1]))
            case "cost":
                cost = Cost(amount=given, currency="USD")
                await self.tell(UsageUpdate(session_update="usage_update", used=1, size=100, cost=cost))
            case "tokens":
                self.usage = Usage(total_tokens=given, input_tokens=given - 10, output_tokens=10)
            case "hang":
                await self.told_to_stop.wait()
                return "cancelled"
            case "refuse":
                raise RequestError(*given)
            case "die":
                sys.stderr.write("no more\n")
                sys.stderr.flush()
                os._exit(given)
            case "stop":
                return given
        return None

    async def ask(self, given: Any, call: str) -> str | None:
        path, text, kind = given
        place = self.folder / path
        await self.tell(start_edit_tool_call(call, f"Write {path}", str(place), text))
        wanted = ToolCallUpdate(tool_call_id=call, kind=kind, raw_input={"path": str(place)})
        answer = await self.client.request_permission(session_id=self.session, tool_call=wanted, options=_OPTIONS)
        if answer.outcome.outcome != "selected" or answer.outcome.option_id != "yes":
            return "cancelled"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return None

    def board(self, tool: str, arguments: dict[str, Any]) -> str:
        server = self.servers[0]
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        headers = {h.name: h.value for h in server.headers}
        headers |= {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        request = urllib.request.Request(server.url, json.dumps(call).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            return str(json.loads(response.read())["result"]["content"][0]["text"])

    async def say(self, text: str) -> None:
        await self.tell(update_agent_message_text(text))

    async def tell(self, update: Any) -> None:
        await self.client.session_update(self.session, update)


if __name__ == "__main__":
    played: Any = Scripted(json.loads(Path(sys.argv[1]).read_text()))
    asyncio.run(run_agent(played))
