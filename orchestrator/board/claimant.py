"""What an agent asks of the board and concludes from its answers, without any connection.

Changes of the own document go out through a function; the hub's document is applied here and then looked at. So the same
code is a `Seat` over a network, and one step of a model that tries every order of events.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orchestrator.board import schema
from orchestrator.board.document import Append, Document, Put, Remove
from orchestrator.errors import BoardError, ClaimRefused
from orchestrator.model.claims import LEASE, MARGIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.board.document import Change

__all__ = ["Claimant", "Inquiry", "refusal"]


@dataclass(slots=True, eq=False)
class Inquiry:
    """One request until it is answered; `asked` has when each of its nonces was written."""

    map: str
    key: str
    work: schema.Submission | None = None
    asked: dict[str, float] = field(default_factory=dict)
    answer: schema.Answer | None = None


class Claimant:
    """One agent, in one of its lives: its own document, a replica of the hub's, and what it holds."""

    def __init__(
        self, agent_id: str, push: Callable[[bytes], None], *, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin under a new incarnation; `push` gets every update of the own document.

        Raises:
            BoardError: the id cannot name an agent.
        """
        self.agent_id = agent_id
        self.topic = schema.agent_topic(agent_id, secrets.token_hex(8))
        self.ctl = Document()
        self.own = Document()
        self.generations: dict[str, int] = {}
        self.inquiries: list[Inquiry] = []
        self._push = push
        self._now = now
        self._state = schema.AgentState()
        self._until: dict[str, float] = {}
        self._settled: set[tuple[str, str]] = set()
        self._nonces = 0
        self._said = 0
        self._heard: str | None = None

    def claim(self, key: str) -> Inquiry:
        """Ask for a key, or to keep it; at most one such inquiry a key is open, and the newest counts.

        Raises:
            ClaimRefused: it cannot be the key of a task or TODO.
        """
        self.inquiries = [q for q in self.inquiries if (q.map, q.key) != (schema.REQUESTS, key)]
        return self._ask(Inquiry(schema.REQUESTS, key))

    def hand_in(self, key: str, gen: int, commit: str | None = None) -> Inquiry:
        """Hand in a task with its commit, or tick off a TODO.

        Raises:
            ClaimRefused: it cannot be the key of a task or TODO.
        """
        return self._ask(Inquiry(schema.SUBMISSIONS, key, schema.Submission(gen=gen, nonce="-", commit=commit)))

    def withdraw(self, inquiry: Inquiry) -> None:
        """Forget an inquiry, answered or not."""
        if inquiry in self.inquiries:
            self.inquiries.remove(inquiry)
        self._settled.add((inquiry.map, inquiry.key))

    def ask_again(self) -> None:
        """Ask every open inquiry anew, under a new nonce: nobody knows whether the first copy arrived."""
        for inquiry in self.inquiries:
            if inquiry.answer is None:
                self._ask(inquiry)

    def renew(self) -> None:
        """Ask to keep every key that is held and about which nothing is asked."""
        asked = {inquiry.key for inquiry in self.inquiries}
        for key in sorted(self.generations.keys() - asked):
            self.claim(key)

    def holds(self, key: str) -> bool:
        """Tell whether this agent may work on a key now: it was granted, and its lease is not over.

        The lease counts from when the granted request was written here, so a late grant does not stretch it.
        """
        return key in self.generations and self._now() < self._until[key]

    def settle(self) -> list[Inquiry]:
        """Look at the hub's document, and return the inquiries that it has answered since."""
        text = self.ctl.get(schema.ANSWERS, self.topic)
        if text is None or text == self._heard:
            return []
        self._heard = text
        answers = schema.decode_answers(text)
        answered = []
        for inquiry in self.inquiries:
            answer = answers.get(inquiry.map, {}).get(inquiry.key)
            if answer is not None and inquiry.answer is None and answer.nonce in inquiry.asked:
                inquiry.answer = answer
                self._conclude(inquiry, answer)
                answered.append(inquiry)
        for inquiry in answered:
            self.withdraw(inquiry)
        return answered

    def report(self, text: str) -> None:
        """Say something for people to read; long text is cut."""
        said = schema.cut_words(text)
        self._said += 1
        self._state = replace(self._state, note=said)
        event = schema.encode(schema.Said(n=self._said, text=said))
        self._write(self._state_change(), Append(array=schema.EVENTS, value=event, keep=schema.EVENTS_KEPT))

    def _conclude(self, inquiry: Inquiry, answer: schema.Answer) -> None:
        key, before = inquiry.key, self._state
        is_task = not schema.is_todo(key)
        if answer.refused is not None:
            if inquiry.map == schema.REQUESTS:
                self._lose(key)
        elif inquiry.map == schema.REQUESTS:
            new = self.generations.get(key) != answer.gen
            self.generations[key] = answer.gen
            self._until[key] = inquiry.asked[answer.nonce] + LEASE * (1 - MARGIN)
            if new and is_task:
                self._state = replace(before, task=key, gen=answer.gen, phase="working", todo=None)
            elif new:
                self._state = replace(before, todo=key)
        else:
            self._lose(key)
            if is_task:
                self._state = replace(before, phase="submitted")
            elif before.todo == key:
                self._state = replace(before, todo=None)
        if self._state != before:
            self._write(self._state_change())

    def _lose(self, key: str) -> None:
        self.generations.pop(key, None)
        self._until.pop(key, None)

    def _ask(self, inquiry: Inquiry) -> Inquiry:
        if not schema.is_key(inquiry.key):
            raise ClaimRefused(f"{inquiry.key[:100]!r} cannot be the key of a task or TODO")
        self._nonces += 1
        nonce = f"{self.topic.rpartition('/')[2]}.{self._nonces}"
        inquiry.asked[nonce] = self._now()
        value = schema.Wish(nonce=nonce) if inquiry.work is None else replace(inquiry.work, nonce=nonce)
        if inquiry not in self.inquiries:
            self.inquiries.append(inquiry)
        self._write(Put(map=inquiry.map, key=inquiry.key, value=schema.encode(value)))
        return inquiry

    def _state_change(self) -> Put:
        return Put(map=schema.AGENT_STATE, key=schema.STATE_KEY, value=schema.encode(self._state))

    def _write(self, *changes: Change) -> None:
        """Change the own document, and take answered requests out of it along the way."""
        new = {(change.map, change.key) for change in changes if isinstance(change, Put)}
        old = [Remove(map=name, key=key) for name, key in sorted(self._settled - new)]
        self._settled.clear()
        self._push(self.own.write(*old, *changes))


def refusal(inquiry: Inquiry) -> BoardError | None:
    """Return what a no to an inquiry is raised as; None if the answer was a yes."""
    refused = inquiry.answer.refused if inquiry.answer else None
    return ClaimRefused(f"{inquiry.key}: {refused}") if refused is not None else None
