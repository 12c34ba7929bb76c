"""Our end of an ACP conversation: what an agent asks for is judged by its task's boundary, what it tells becomes events.

An agent may write in three ways: it asks us to write (`fs/write_text_file`), it asks whether it may
(`session/request_permission`), or it just does. The first two are judged here; the third is for confinement, and for the check
when work is handed in.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from acp import RequestError
from acp.schema import (
    AgentMessageChunk,
    AllowedOutcome,
    DeniedOutcome,
    RequestPermissionResponse,
    ToolCallProgress,
    ToolCallStart,
    UsageUpdate,
    WriteTextFileResponse,
)

from orchestrator.agents.file_tools import FileTools, ToolRefused, WriteFile
from orchestrator.model.agent_events import AgentEvent, Called, Returned, Said, Used

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from acp.schema import PermissionOption, ToolCallUpdate, Usage

__all__ = ["AcpClient"]

_INVALID = -32602  # of JSON-RPC
_PATH_KEYS = ("file_path", "filePath", "filepath", "path", "abs_path", "notebook_path")
_LOOKS = frozenset({"read", "search", "fetch", "think"})  # kinds of tools that change nothing


@dataclass(slots=True, kw_only=True)
class AcpClient:
    """Answers an agent's requests.

    `may_write` and `against_path` return why a path may not be written, empty if it may: one as git stores it, the other as the
    agent names it. `shell` tells whether commands may be run, since something else keeps them in. `stuck` says that nothing came
    after a refusal so far, `cost_usd` and `tokens` are what the agent says that the session has cost and used, `turns` counts its
    tool calls, `heard` is set by each update, `words` are what it has said since they were taken.
    """

    folder: Path
    may_write: Callable[[str], str]
    against_path: Callable[[str], str]
    shell: bool
    tell: Callable[[AgentEvent], None]
    stuck: bool = False
    cost_usd: float = 0.0
    tokens: int = 0
    turns: int = 0
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    words: list[str] = field(default_factory=list)
    _output: int = 0
    _seen: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def request_permission(
        self, tool_call: ToolCallUpdate, options: list[PermissionOption], **_: object
    ) -> RequestPermissionResponse:
        """Allow what the boundary allows, once."""
        call = self._known(tool_call)
        why = self._against(call)
        if why:
            self.stuck = True
            self.tell(Returned(call=tool_call.tool_call_id, text=f"refused: {why}", failed=True))
        wanted = ("reject_once", "reject_always") if why else ("allow_once", "allow_always")
        chosen = next((o for kind in wanted for o in options if o.kind == kind), None)
        if chosen is None:
            return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
        return RequestPermissionResponse(outcome=AllowedOutcome(outcome="selected", option_id=chosen.option_id))

    async def write_text_file(self, path: str, content: str, **_: object) -> WriteTextFileResponse:
        """Write a file for the agent, if the boundary allows it."""
        try:
            FileTools(folder=self.folder, may_write=self.may_write).write(WriteFile(path=path, text=content))
        except ToolRefused as refused:
            self.stuck = True
            raise RequestError(_INVALID, str(refused)) from refused
        return WriteTextFileResponse()

    async def session_update(self, update: object, **_: object) -> None:
        """Tell of what the agent does."""
        self.heard.set()
        if isinstance(update, AgentMessageChunk):
            self.stuck = False
            self.words.append(getattr(update.content, "text", ""))
        elif isinstance(update, (ToolCallStart, ToolCallProgress)):
            self._told(update)
        elif isinstance(update, UsageUpdate) and update.cost is not None and update.cost.currency == "USD":
            self.cost_usd = max(self.cost_usd, update.cost.amount)

    def take_words(self) -> str:
        """Return what the agent has said since this was asked last, and tell of it."""
        text = "".join(self.words).strip()
        self.words.clear()
        if text:
            self.tell(Said(text=text))
        return text

    def take_usage(self, usage: Usage | None, model: str) -> None:
        """Count the tokens of the session, of which an agent may tell as its turn ends."""
        if usage is None or usage.total_tokens <= self.tokens:
            return
        new = usage.total_tokens - self.tokens
        output = min(max(usage.output_tokens - self._output, 0), new)
        self.tokens, self._output = usage.total_tokens, usage.output_tokens
        self.tell(Used(model=model, input_tokens=new - output, cached_tokens=0, output_tokens=output, usd=None))

    def _told(self, update: ToolCallStart | ToolCallProgress) -> None:
        new = update.tool_call_id not in self._seen
        call = self._known(update)
        if new:
            self.turns, self.stuck = self.turns + 1, False
            self.take_words()
            given = call["raw_input"] if isinstance(call["raw_input"], dict) else {}
            self.tell(
                Called(call=update.tool_call_id, tool=str(call["title"] or call["kind"] or "a tool"), arguments=given)
            )
        if update.status in ("completed", "failed"):
            failed, kind = update.status == "failed", call["kind"]
            text = "" if update.raw_output is None else json.dumps(update.raw_output, default=str)
            self.tell(
                Returned(call=update.tool_call_id, text=text, failed=failed, effect=not failed and kind not in _LOOKS)
            )

    def _known(self, update: ToolCallStart | ToolCallUpdate) -> dict[str, Any]:
        """Return what is known of a call: an update says only what is new."""
        call = self._seen.setdefault(
            update.tool_call_id, dict.fromkeys(("kind", "title", "content", "locations", "raw_input"))
        )
        for name in call:
            if (value := getattr(update, name)) is not None:
                call[name] = value
        return call

    def _against(self, call: dict[str, Any]) -> str:
        """Return why a call may not be carried out."""
        if call["kind"] in _LOOKS:
            return ""
        if call["kind"] == "execute":
            return "" if self.shell else "commands are not run here, since nothing would keep them in the task's scope"
        return next(filter(None, map(self.against_path, _paths(call))), "")


def _paths(call: dict[str, Any]) -> Iterator[str]:
    """Yield every path that a call names."""
    yield from (location.path for location in call["locations"] or ())
    yield from (one.path for one in call["content"] or () if isinstance(getattr(one, "path", None), str))
    if isinstance(call["raw_input"], dict) and call["kind"] != "other":  # of a tool of the board it is something else
        yield from (call["raw_input"][key] for key in _PATH_KEYS if isinstance(call["raw_input"].get(key), str))
