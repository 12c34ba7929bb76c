"""Our own agent: a model of Anthropic's that works on a task in a worktree, with our tools.

What the model may do is decided in our tools, never by its prompt.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.agents.anthropic_conversation import AnthropicModel
from orchestrator.agents.anthropic_environment import Environment
from orchestrator.agents.board_tools import INSTRUCTIONS
from orchestrator.agents.file_tools import FileTools
from orchestrator.agents.toolbox import Toolbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.agents.anthropic_environment import Deed
    from orchestrator.agents.base import Assignment
    from orchestrator.agents.toolbox import Result
    from orchestrator.model.outcome import Outcome
    from orchestrator.model.plan import AgentSpec

__all__ = ["AnthropicAgent"]

_SYSTEM = f"""\
You work on one task of a larger plan, in a folder that is yours alone. Nobody watches: do not ask for leave, act. Read what you
need, write the files, and check your work with run. You may write only in your scope; the tools refuse everything else.
Paths count from the folder's root. When the task is done, and its TODOs are, answer in one or two sentences what you did, and
call no tool: that ends your work.

{INSTRUCTIONS}"""


class AnthropicAgent:
    """Works on tasks by talking to one model. The key is in $ANTHROPIC_API_KEY, the address in $ANTHROPIC_BASE_URL."""

    def __init__(self, spec: AgentSpec) -> None:
        self._model = AnthropicModel(spec)
        self.model = self._model.label
        self.credential = self._model.credential

    async def work(self, assignment: Assignment) -> Outcome:
        """Talk and act until the model is done, or something else ends it."""
        ends = time.monotonic() + assignment.task.limits.wall
        files = FileTools(folder=assignment.folder, may_write=assignment.desk.against_writing)
        tools = Toolbox(assignment=assignment, files=files, left=lambda: ends - time.monotonic())
        return await self._model.converse(assignment, _Worktree(assignment, tools))


@dataclass(slots=True)
class _Worktree(Environment):
    """A worktree of the task's own, and the board."""

    assignment: Assignment
    tools: Toolbox

    @property
    def system(self) -> str:
        return _SYSTEM

    @property
    def briefing(self) -> str:
        return f"{self.assignment.briefing}\nWorking directory: {self.assignment.folder}"

    def definitions(self) -> list[dict[str, Any]]:
        return Toolbox.definitions()

    async def call(self, name: str, given: dict[str, Any]) -> Result:
        return await self.tools.call(name, given)

    async def changed(self) -> bool:
        nothing_to_write = self.assignment.task.writes == ()
        return nothing_to_write or self.tools.files.written > 0 or await self.assignment.changed()

    def open_todos(self) -> Sequence[str]:
        return self.assignment.desk.open_todos()

    def hear(self, words: str) -> None:
        """Let words be words: what is to be done is called for."""

    def take_back(self) -> None:
        """Leave all as it is: a call is carried out when the answer is whole."""

    def finish_answer(self) -> Sequence[Deed]:
        return ()
