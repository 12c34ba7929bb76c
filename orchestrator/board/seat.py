"""What an agent holds: a seat at the board, from which it claims, reports and hands in."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.board import schema, snapshot
from orchestrator.board.document import Append, Document, Put, Remove
from orchestrator.board.feed import Feed
from orchestrator.board.frame import decode_frame
from orchestrator.errors import BoardError, ClaimRefused

if TYPE_CHECKING:
    from orchestrator.board.channel import Channel
    from orchestrator.board.document import Change
    from orchestrator.board.snapshot import Snapshot

__all__ = ["Seat"]

_AT_ONCE = schema.ASKED_AT_ONCE // 2  # answered requests leave the document a moment later


@dataclass(frozen=True, slots=True)
class _Question:
    name: str  # the map it stands in
    key: str
    nonce: str
    answer: asyncio.Future[schema.Answer]


class Seat:
    """One agent's end of a channel to the hub; made inside a running event loop.

    It holds a replica of `ctl`, and the only writable one of the agent's own document. Every await ends: with
    what was waited for, or with a `BoardError` once the hub or this seat closes the channel.
    """

    def __init__(self, agent_id: str, channel: Channel) -> None:
        """Take the seat under a new incarnation.

        Raises:
            BoardError: the id cannot name an agent.
        """
        self.agent_id = agent_id
        self.topic = schema.agent_topic(agent_id, secrets.token_hex(8))
        self._channel = channel
        self._ctl = Document()
        self._own = Document()
        self._state = schema.AgentState()
        self._generations: dict[str, int] = {}
        self._questions: list[_Question] = []
        self._settled: set[tuple[str, str]] = set()
        self._asked = 0
        self._said = 0
        self._heard: str | None = None
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._synced = asyncio.Event()
        self._ended: str | None = None
        self._feed = Feed(self._own, self.topic, channel)
        self._sender = asyncio.create_task(self._feed.run(), name=f"{self.topic}: send")
        self._listener = asyncio.create_task(self._listen(), name=f"{self.topic}: listen")

    async def synced(self) -> None:
        """Wait until the board is here.

        Raises:
            BoardError: the channel closed before.
        """
        await self._synced.wait()
        self._usable()

    async def claim(self, key: str) -> int:
        """Ask for a task, or a TODO (`task/todo`); return the generation under which this agent holds it.

        Whoever holds it already keeps it, under the same generation.

        Raises:
            ClaimRefused: somebody else holds it, or it cannot be had; the message says which.
            BoardError: the channel closed.
        """
        nonce = self._nonce()
        answer = await self._ask(schema.REQUESTS, key, nonce, schema.encode(schema.Wish(nonce=nonce)))
        self._generations[key] = answer.gen
        if schema.split_key(key)[1] is None:
            self._state = replace(self._state, task=key, gen=answer.gen, phase="working", todo=None)
        else:
            self._state = replace(self._state, todo=key)
        self._write(self._state_change())
        return answer.gen

    async def done(self, key: str) -> None:
        """Tick off a TODO that this seat claimed.

        Raises:
            ClaimRefused: it was not claimed here, or was taken back meanwhile.
            BoardError: it is a task, which is handed in with `submit`; or the channel closed.
        """
        if schema.split_key(key)[1] is None:
            raise BoardError(f"{key} is a task; hand it in with its commit")
        if key not in self._generations:
            raise ClaimRefused(f"{key}: claim it before you tick it off")
        nonce = self._nonce()
        work = schema.Submission(gen=self._generations[key], nonce=nonce)
        await self._ask(schema.SUBMISSIONS, key, nonce, schema.encode(work))
        if self._state.todo == key:
            self._state = replace(self._state, todo=None)
            self._write(self._state_change())

    async def submit(self, task: str, gen: int, commit: str) -> None:
        """Hand in a task's work under the generation that `claim` returned.

        Raises:
            ClaimRefused: the generation is stale, or other work was handed in already.
            BoardError: the channel closed.
        """
        nonce = self._nonce()
        work = schema.Submission(gen=gen, nonce=nonce, commit=commit)
        await self._ask(schema.SUBMISSIONS, task, nonce, schema.encode(work))
        self._state = replace(self._state, phase="submitted")
        self._write(self._state_change())

    async def report(self, text: str) -> None:
        """Say something for people to read; return once it is on its way. Long text is cut.

        Raises:
            BoardError: the channel closed.
        """
        self._usable()
        said = schema.cut_words(text)
        self._said += 1
        self._state = replace(self._state, note=said)
        event = schema.encode(schema.Said(n=self._said, text=said))
        self._write(self._state_change(), Append(array=schema.EVENTS, value=event, keep=schema.EVENTS_KEPT))
        await self._feed.sent()

    def view(self) -> Snapshot:
        """Return the board as this seat sees it now: all of `ctl`, and of the agents itself."""
        return snapshot.take({schema.CTL: self._ctl, self.topic: self._own})

    def close(self) -> None:
        """Leave; whatever still waits ends with a `BoardError`. Leaving again does nothing."""
        self._end("this seat was left")

    async def _ask(self, name: str, key: str, nonce: str, value: str) -> schema.Answer:
        """Write a request, wait for the answer that echoes its nonce, and return it if it is a yes.

        One request a key at a time, since a later one replaces it in the document.
        """
        if not schema.is_key(key):
            raise ClaimRefused(f"{key[:100]!r} cannot be the key of a task or TODO")
        async with self._room, self._turns[key]:
            self._usable()
            question = _Question(name, key, nonce, asyncio.get_running_loop().create_future())
            self._questions.append(question)
            try:
                self._write(Put(map=name, key=key, value=value))
                answer = await question.answer
            finally:
                self._questions.remove(question)
                self._settled.add((name, key))
        if answer.refused is not None:
            raise ClaimRefused(f"{key}: {answer.refused}")
        return answer

    def _nonce(self) -> str:
        self._asked += 1
        return f"{self.topic.rpartition('/')[2]}.{self._asked}"

    def _state_change(self) -> Put:
        return Put(map=schema.AGENT_STATE, key=schema.STATE_KEY, value=schema.encode(self._state))

    def _write(self, *changes: Change) -> None:
        """Change the own document, and take answered requests out of it along the way."""
        if self._ended is not None:
            return
        new = {(change.map, change.key) for change in changes if isinstance(change, Put)}
        old = [Remove(map=name, key=key) for name, key in sorted(self._settled - new)]
        self._settled.clear()
        self._feed.push(self._own.write(*old, *changes))

    async def _listen(self) -> None:
        reason = "this seat's listener was stopped"
        try:
            while True:
                self._ctl.apply(decode_frame(await self._channel.receive(), topic=schema.CTL).update)
                self._synced.set()
                self._settle()
        except BoardError as fault:
            reason = fault.message
        finally:
            self._end(reason)

    def _settle(self) -> None:
        text = self._ctl.get(schema.ANSWERS, self.topic)
        if text is None or text == self._heard:
            return
        self._heard = text
        answers = schema.decode_answers(text)
        for question in self._questions:
            answer = answers.get(question.name, {}).get(question.key)
            if answer is not None and answer.nonce == question.nonce and not question.answer.done():
                question.answer.set_result(answer)

    def _usable(self) -> None:
        if self._ended is not None:
            raise BoardError(f"the board is out of reach: {self._ended}")

    def _end(self, reason: str) -> None:
        if self._ended is None:
            self._ended = reason
            self._channel.close(reason)
            self._feed.stop(reason)
            self._synced.set()
            for question in self._questions:
                if not question.answer.done():
                    question.answer.set_exception(BoardError(f"the board is out of reach: {reason}"))
