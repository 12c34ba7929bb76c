"""The board as tools: what an agent can call, with a description and a schema each. The carrier (MCP, our own loop) is another's.

Every call ends in a text for a model to read. What is refused says what to do next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from orchestrator.agents.base import Desk

__all__ = ["INSTRUCTIONS", "TOOLS", "Said", "Tool", "call"]

INSTRUCTIONS = """\
This is the board that you share with other agents, each of which works on a task of its own, in a worktree of its own.
Begin with board_read. Claim a TODO before you work on it, and say todo_done when it is finished; skip what another agent holds
or has finished. Read the board again now and then: you are told only what changed. If you need to write a path outside your
scope, ask with scope_request before you write it. If you cannot decide something, ask. You need not commit: your files are
taken as you leave them, checked, merged and tested."""


class _Arguments(BaseModel):
    """What a tool is called with; an unknown argument is an error, since it is almost always a misunderstanding."""

    model_config = ConfigDict(extra="forbid")


class _Nothing(_Arguments):
    pass


class _Read(_Arguments):
    everything: bool = Field(
        default=False, description="true: where all stands, instead of what changed since your last look"
    )


class _Todo(_Arguments):
    todo: str = Field(description="the id of a TODO of your task, from todo_list")


class _Report(_Arguments):
    text: str = Field(min_length=1, description="one or two sentences: what you have done, what you do next")


class _Widen(_Arguments):
    paths: list[str] = Field(min_length=1, description="globs from the root, such as src/dates.py or docs/api/**")
    reason: str = Field(min_length=1, description="why your task cannot be done without them")


class _Contract(_Arguments):
    path: str | None = Field(default=None, description="a contract's path; left out: the paths of all contracts")


class _Ask(_Arguments):
    question: str = Field(min_length=1, description="what you must know, with the choices that you see")
    to: str = Field(default="person", description="'person', or the id of the task whose agent should answer")
    wait_seconds: float = Field(
        default=0, ge=0, le=50, description="how long to wait for the answer; work on if you can"
    )


class _Answer(_Arguments):
    question: str = Field(description="the question's id, such as q3")
    text: str | None = Field(default=None, description="your answer; left out: read the answer to a question of yours")
    wait_seconds: float = Field(
        default=0, ge=0, le=50, description="how long to wait for the answer to a question of yours"
    )


@dataclass(frozen=True, slots=True)
class Said:
    """What a tool said; `failed` means that nothing was done, and the text says what to do instead."""

    text: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: its name, what it is for, what it takes, and the deed."""

    name: str
    description: str
    arguments: type[BaseModel]
    deed: Callable[[Desk, Any], Awaitable[str]]

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of its arguments."""
        return self.arguments.model_json_schema()


async def call(desk: Desk, name: str, arguments: dict[str, Any]) -> Said:
    """Call a tool for the agent at a desk. Whatever is wrong with the call is said, and nothing is raised for it."""
    tool = next((tool for tool in TOOLS if tool.name == name), None)
    if tool is None:
        return Said(f"There is no tool {name!r}. Call one of: {', '.join(tool.name for tool in TOOLS)}.", failed=True)
    try:
        return Said(await tool.deed(desk, tool.arguments.model_validate(arguments)))
    except ValidationError as wrong:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in wrong.errors()[:3])
        return Said(f"{name} was called wrongly: {faults}. Correct the arguments and call it again.", failed=True)
    except BoardError as refused:
        return Said(f"{refused.message}. {refused.hint or _NEXT.get(name, '')}".strip(), failed=True)


_NEXT = {
    "todo_claim": "Do not work on it: call todo_list, and take one that is open.",
    "todo_done": "Call todo_list to see where it stands.",
    "scope_request": "Leave these paths as they are, and solve your task within your scope, or ask.",
}


async def _read(desk: Desk, wanted: _Read) -> str:
    return desk.read(everything=wanted.everything)


async def _todos(desk: Desk, _: _Nothing) -> str:
    return "\n".join(desk.todos()) or "Your task has no TODOs; work on the task itself."


async def _claim(desk: Desk, wanted: _Todo) -> str:
    await desk.claim(wanted.todo)
    return f"{wanted.todo} is yours. Say todo_done when it is finished."


async def _done(desk: Desk, wanted: _Todo) -> str:
    await desk.done(wanted.todo)
    return f"{wanted.todo} is done. What is left:\n" + "\n".join(desk.todos())


async def _report(desk: Desk, said: _Report) -> str:
    await desk.report(said.text)
    return "It is on the board."


async def _widen(desk: Desk, wanted: _Widen) -> str:
    await desk.widen(wanted.paths, wanted.reason)
    return f"Granted until you are done: you may write {', '.join(wanted.paths)} as well."


async def _contract(desk: Desk, wanted: _Contract) -> str:
    return desk.contract(wanted.path)


async def _ask(desk: Desk, asked: _Ask) -> str:
    question = await desk.ask(asked.question, asked.to)
    return await _wait(desk, question, asked.wait_seconds)


async def _answer(desk: Desk, said: _Answer) -> str:
    if said.text is None:
        return await _wait(desk, said.question, said.wait_seconds)
    await desk.answer(said.question, said.text)
    return f"Your answer to {said.question} is on the board."


async def _wait(desk: Desk, question: str, seconds: float) -> str:
    answer = await desk.answer_to(question, seconds)
    if answer is not None:
        return f"The answer to {question}: {answer}"
    return f"{question} is on the board, and not answered yet. Work on; board_read tells you of the answer."


TOOLS = (
    Tool("board_read", "Read the shared board: what changed since you looked last (the first time: where all tasks stand, "
         "and your own in full). Call it at the start and after each step of your work.", _Read, _read),
    Tool("todo_list", "List the TODOs of your task: which are open, who holds the others, and which are done.",
         _Nothing, _todos),
    Tool("todo_claim", "Claim a TODO before you work on it. Only one agent holds it; if it is refused, take another.",
         _Todo, _claim),
    Tool("todo_done", "Say that a TODO which you have claimed is finished.", _Todo, _done),
    Tool("report_progress", "Tell people and the other agents in one or two sentences what you have done.", _Report, _report),
    Tool("scope_request", "Ask to write paths outside your scope. It is granted if no task that is at work may write them; "
         "until then, files that you write there make your work be refused.", _Widen, _widen),
    Tool("contract_read", "Read the contracts: interfaces, types and behaviours that are agreed, and that no task may change.",
         _Contract, _contract),
    Tool("ask", "Ask a person, or the agent of another task. The answer may take long; it comes with board_read.", _Ask, _ask),
    Tool("answer", "Answer a question that was put to your task; or, without a text, read the answer to one of yours.",
         _Answer, _answer),
)  # fmt: skip
"""Every tool, in the order in which an agent needs them."""
