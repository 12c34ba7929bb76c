"""All that our own agent loop can do, as tools for a model: the files of its worktree, commands in it, and the board."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.agents.board_tools import TOOLS, call
from orchestrator.agents.command import run_in_worktree
from orchestrator.agents.ending import unless_stopped
from orchestrator.agents.file_tools import EditFile, FileTools, ListFiles, ReadFile, SearchFiles, ToolRefused, WriteFile
from orchestrator.errors import ProcessError
from orchestrator.processes.process import Ending

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.agents.base import Assignment

__all__ = ["Result", "Toolbox"]

_HEAD, _TAIL = 4_000, 16_000  # bytes of a command's output that the model is shown
_NO_COMMAND = (126, 127)  # what a shell exits with when a command may not be run, or does not exist
_WAITED = 5.0  # seconds after which the agent has waited, and not asked again at once
_BOARD = {tool.name: tool for tool in TOOLS}


class RunShell(BaseModel):
    """Run a command with /bin/sh in your folder: tests, a build, git log. What it leaves running is ended with it."""

    model_config = ConfigDict(extra="forbid")

    command: str = Field(min_length=1)
    seconds: float = Field(default=120, gt=0, le=3600, description="after so many it is ended")


_OWN: dict[str, type[BaseModel]] = {
    "read": ReadFile, "write": WriteFile, "edit": EditFile, "search": SearchFiles, "list": ListFiles, "run": RunShell,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a call; see `Returned` for `effect`. `failed` means that nothing was done, and the text says what to do."""

    text: str
    failed: bool = False
    effect: bool = False


@dataclass(slots=True, kw_only=True)
class Toolbox:
    """The tools of one attempt; `left` returns the seconds that it has left."""

    assignment: Assignment
    files: FileTools
    left: Callable[[], float]
    _ran: set[tuple[str, int]] = field(default_factory=set)
    _said: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def definitions() -> list[dict[str, Any]]:
        """Return name, description and JSON schema of each tool, in a fixed order: providers cache what begins alike."""
        own = [(name, str(kind.__doc__), kind.model_json_schema()) for name, kind in _OWN.items()]
        board = [(tool.name, tool.description, tool.schema) for tool in TOOLS]
        return [{"name": name, "description": text, "input_schema": schema} for name, text, schema in own + board]

    async def call(self, name: str, given: dict[str, Any]) -> Result:
        """Carry out a call. Whatever is wrong with it is in the result.

        Raises:
            Over: the attempt was stopped meanwhile.
        """
        result = await (self._board(name, given) if name in _BOARD else self._call(name, given))
        sendable = result.text.encode("utf-8", "backslashreplace").decode()  # a file's name may be no UTF-8
        return replace(result, text=sendable or "(nothing)")

    async def _call(self, name: str, given: dict[str, Any]) -> Result:
        if name not in _OWN:
            return Result(text=f"There is no tool {name!r}. Call one of: {', '.join((*_OWN, *_BOARD))}.", failed=True)
        try:
            return await self._own(_OWN[name].model_validate(given))
        except ValidationError as wrong:
            faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in wrong.errors()[:3])
            return Result(text=f"{name} was called wrongly: {faults}. Correct that and call it again.", failed=True)
        except (ToolRefused, ValueError) as refused:  # the latter: what no program can be given, such as a zero byte
            return Result(text=str(refused), failed=True)

    async def _own(self, wanted: BaseModel) -> Result:
        before = self.files.written
        match wanted:
            case ReadFile():
                text = self.files.read(wanted)
            case WriteFile():
                text = self.files.write(wanted)
            case EditFile():
                text = self.files.edit(wanted)
            case SearchFiles():
                text = await unless_stopped(self.assignment.stop, self.files.search(wanted))
            case ListFiles():
                text = self.files.list_files(wanted)
            case RunShell():
                return await self._run(wanted)
        return Result(text=text, effect=self.files.written > before)

    async def _run(self, wanted: RunShell) -> Result:
        printed = _Ends()
        try:
            ended = await run_in_worktree(
                self.assignment, wanted.command, wall=max(0.0, min(wanted.seconds, self.left())), on_output=printed.add
            )  # fmt: skip
        except ProcessError as error:
            return Result(text=error.message, failed=True)
        once = (wanted.command, self.files.written)
        effect = once not in self._ran
        self._ran.add(once)
        if ended.ending is Ending.TIMED_OUT:
            how = f"It was ended after {ended.seconds:.0f} s. Give it more seconds, or run a smaller part."
        elif ended.code < 0:
            how = f"It was ended by signal {-ended.code}."
        else:
            how = f"It ended with exit code {ended.code}."
        failed = ended.ending is not Ending.EXITED or ended.code in _NO_COMMAND
        return Result(text=f"{how}\n{printed.text()}".strip(), failed=failed, effect=effect)

    async def _board(self, name: str, given: dict[str, Any]) -> Result:
        started = time.monotonic()
        said = await unless_stopped(self.assignment.stop, call(self.assignment.desk, name, given))
        news = self._said.get(name) != said.text
        self._said[name] = said.text
        waited = time.monotonic() - started >= _WAITED
        return Result(text=said.text, failed=said.failed, effect=(news or waited) and not said.failed)


class _Ends:
    """The beginning and the end of what a command prints."""

    def __init__(self) -> None:
        self._head = b""
        self._tail: deque[bytes] = deque()
        self._kept = self._all = 0

    def add(self, chunk: bytes) -> None:
        """Take the next part."""
        self._all += len(chunk)
        room = _HEAD - len(self._head)
        self._head += chunk[:room]
        if rest := chunk[room:]:
            self._tail.append(rest)
            self._kept += len(rest)
        while self._tail and self._kept - len(self._tail[0]) >= _TAIL:
            self._kept -= len(self._tail.popleft())

    def text(self) -> str:
        """Return what is shown of it."""
        tail = b"".join(self._tail)[-_TAIL:]
        left_out = self._all - len(self._head) - len(tail)
        gap = f"\n(… {left_out} bytes are left out …)\n".encode() if left_out else b""
        return (self._head + gap + tail).decode("utf-8", "replace")
