"""An attempt's desk: what its agent may do on the shared board, and how that becomes a part of the run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.board.news import board_for, news_for, todo_lines
from orchestrator.board.questions import PERSON
from orchestrator.board.schema import cut_words
from orchestrator.errors import ClaimRefused
from orchestrator.model import events as happened
from orchestrator.model.claims import GrantState
from orchestrator.planfile import contract_files

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.board.seat import Seat
    from orchestrator.context import RunContext
    from orchestrator.model.globs import Scope

__all__ = ["AttemptDesk"]

_LONGEST_WAIT = 50.0  # seconds for an answer; less than the minute after which clients give a call up


@dataclass(slots=True, kw_only=True)
class AttemptDesk:
    """The board as the agent of one attempt sees it; whatever it does there is told.

    `scope_changed` is called with the new scope once a wider one was granted.
    """

    context: RunContext
    task: str
    generation: int
    seat: Seat
    scope_changed: Callable[[Scope], None]
    _seen: int | None = field(default=None)

    async def claim(self, todo: str) -> None:
        """Claim a TODO of the task."""
        await self.seat.claim(f"{self.task}/{todo}")
        self._tell("claims", todo)

    async def done(self, todo: str) -> None:
        """Say that a claimed TODO is done."""
        await self.seat.done(f"{self.task}/{todo}")
        self._tell("finishes", todo)

    async def report(self, text: str) -> None:
        """Say what is going on."""
        await self.seat.report(text)
        self._tell("says", cut_words(text))  # as the board does: an agent cannot fill the journal with one report

    def todos(self) -> Sequence[str]:
        """Return a line for each TODO of the task."""
        return todo_lines(self.context.hub.snapshot().task(self.task))

    def open_todos(self) -> Sequence[str]:
        """Return the ids of the task's TODOs that are not done."""
        todos = self.context.hub.snapshot().task(self.task).todos
        return [todo.id for todo in todos if todo.state is not GrantState.DONE]

    def against_writing(self, path: str) -> str:
        """Return why the task may not write a path now, with what it was granted; empty if it may."""
        return self.context.boundary(self.task).against(path)

    def read(self, *, everything: bool = False) -> str:
        """Return what changed on the board since this was asked last; the first time, or for `everything`, where all stands."""
        board, since = self.context.hub.snapshot(), self._seen
        self._seen = board.log[-1].seq if board.log else 0
        return board_for(board, self.task) if everything or since is None else news_for(board, self.task, since)

    async def widen(self, globs: Sequence[str], reason: str) -> None:
        """Ask for a wider scope, until this attempt ends.

        Raises:
            ClaimRefused: a task that is at work may write one of these paths, or nobody may.
        """
        why = self.context.widen(self.task, self.generation, tuple(globs), reason)
        if why:
            self._tell("asks in vain", f"to write {', '.join(globs)}: {why}")
            raise ClaimRefused(f"{self.task} may not write {', '.join(globs)}: {why}")
        await self.context.settle()
        self.scope_changed(self.context.boundary(self.task).scope)

    def contract(self, path: str | None = None) -> str:
        """Return the text of a contract file; without a path, the names of all.

        Raises:
            ClaimRefused: there is none of that name.
        """
        files = contract_files(self.context.loaded)
        if path is None:
            return "\n".join(files) or "The plan has no contracts."
        if path not in files:
            raise ClaimRefused(f"there is no contract {path}", hint=f"The contracts are: {', '.join(files) or 'none'}.")
        return files[path].decode("utf-8", "replace")

    async def ask(self, text: str, to: str = PERSON) -> str:
        """Ask a person, or whoever works on another task; return the question's id.

        Raises:
            ClaimRefused: the plan has no such task, or too many questions of this agent are open.
        """
        if to != PERSON and to not in {task.id for task in self.context.loaded.plan.tasks}:
            raise ClaimRefused(f"the plan has no task {to}", hint=f"Ask '{PERSON}', or a task of the board.")
        question = self.context.hub.questions.ask(self.seat.agent_id, text, to)
        whom = "" if to == PERSON else f" {to}"
        self._tell(f"asks{whom}", f"{text} (orch answer {question.id} ...)" if to == PERSON else text)
        return question.id

    async def answer(self, question: str, text: str) -> None:
        """Answer a question that was put to this task.

        Raises:
            ClaimRefused: there is no such question to this task, or it was answered.
        """
        asked = self.context.hub.questions.all().get(question)
        if asked is not None and asked.to != self.task:
            raise ClaimRefused(f"{question} is for {asked.to}, and not for {self.task}")
        self.context.hub.questions.answer(question, text, self.seat.agent_id)
        self._tell("answers", f"{question}: {text}")

    async def answer_to(self, question: str, wait: float = 0.0) -> str | None:
        """Return the answer to a question of this attempt; None if none came within `wait` seconds.

        Raises:
            ClaimRefused: it is no question of this attempt.
        """
        questions = self.context.hub.questions
        asked = questions.all().get(question)
        if asked is None or asked.by != self.seat.agent_id:
            raise ClaimRefused(f"{question} is no question of {self.seat.agent_id}")
        try:
            async with asyncio.timeout(min(wait, _LONGEST_WAIT)):
                return await questions.answered(question)
        except TimeoutError:
            return None

    def _tell(self, action: str, text: str) -> None:
        self.context.emit(happened.Reported(task=self.task, generation=self.generation, action=action, text=text))
