"""Questions on the board: of an agent, to a person or to whoever works on another task; and their answers."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, TypeAdapter, ValidationError

from orchestrator.board.document import Put, Remove
from orchestrator.board.schema import cut_words
from orchestrator.errors import BoardError, ClaimRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.board.books import Books
    from orchestrator.board.document import Document

__all__ = ["PERSON", "QUESTIONS", "Question", "Questions", "questions_in"]

QUESTIONS = "questions"
"""The map of `ctl` that holds them, by their ids."""
PERSON = "person"
"""Whom a question is for that no agent is to answer."""
_KEPT = 500  # of all that were answered, the newest
_OPEN = 20  # that one agent may have open


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`questions[id]`: who asks, whom (`person`, or a task's id), and what was answered by whom; `n` is its number."""

    n: int
    by: Annotated[str, Field(max_length=200)]
    to: Annotated[str, Field(max_length=200)]
    text: str
    answer: str | None = None
    answered_by: str | None = None

    @property
    def id(self) -> str:
        """What it is called by whoever answers it."""
        return f"q{self.n}"


class Questions:
    """The questions of one board; every method runs to its end without waiting."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._all = questions_in(books.ctl)
        self._waiting: dict[str, asyncio.Event] = {}

    def all(self) -> Mapping[str, Question]:
        """Return every question that is kept, in the order in which they were asked."""
        return self._all

    def ask(self, by: str, text: str, to: str = PERSON) -> Question:
        """Put a question on the board; long text is cut.

        Raises:
            ClaimRefused: the asker has too many open ones.
        """
        if sum(q.by == by and q.answer is None for q in self._all.values()) >= _OPEN:
            raise ClaimRefused(f"{by} has {_OPEN} open questions", hint="Wait for an answer before you ask more.")
        number = max((q.n for q in self._all.values()), default=0) + 1
        question = Question(n=number, by=by, to=to, text=cut_words(text))
        self._books.record(
            "asked", {"question": question.id, "by": by, "to": to, "text": question.text}, _put(question)
        )
        self._all[question.id] = question
        return question

    def answer(self, question_id: str, text: str, by: str = PERSON) -> Question:
        """Answer an open question; the first answer counts.

        Raises:
            ClaimRefused: there is no such question, or it was answered.
        """
        question = self._all.get(question_id)
        if question is None:
            raise ClaimRefused(f"the board has no question {question_id[:100]!r}")
        if question.answer is not None:
            raise ClaimRefused(f"{question_id} was answered by {question.answered_by}: {question.answer}")
        answered = replace(question, answer=cut_words(text), answered_by=by)
        old = [q.id for q in self._all.values() if q.answer is not None][: 1 - _KEPT]
        fields = {"question": question_id, "by": by, "text": answered.answer}
        self._books.record("answered", fields, _put(answered), *(Remove(map=QUESTIONS, key=key) for key in old))
        self._all[question_id] = answered
        for key in old:
            del self._all[key]
        if waiting := self._waiting.pop(question_id, None):
            waiting.set()
        return answered

    async def answered(self, question_id: str) -> str:
        """Wait for the answer to a question that is kept, and return it."""
        while (answer := self._all[question_id].answer) is None:
            await self._waiting.setdefault(question_id, asyncio.Event()).wait()
        return answer


def questions_in(ctl: Document) -> dict[str, Question]:
    """Return the questions of a board, in the order in which they were asked.

    Raises:
        BoardError: they cannot be read: a hub did not write them.
    """
    try:
        found = {key: _QUESTION.validate_json(text, strict=True) for key, text in ctl.items(QUESTIONS).items()}
    except ValidationError as fault:
        raise BoardError(f"a question on the board cannot be read: {fault}") from fault
    return dict(sorted(found.items(), key=lambda item: item[1].n))


def _put(question: Question) -> Put:
    text = json.dumps(asdict(question), separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace").decode()
    return Put(map=QUESTIONS, key=question.id, value=text)


_QUESTION = TypeAdapter(Question)
