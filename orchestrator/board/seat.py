"""What an agent holds: a seat at the board, from which it claims, reports and hands in."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from orchestrator.board import schema, snapshot
from orchestrator.board.claimant import Claimant, refusal
from orchestrator.board.link import Link
from orchestrator.errors import BoardError, ClaimRefused
from orchestrator.model.claims import LEASE

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.board.claimant import Inquiry
    from orchestrator.board.link import Backoff, Dial
    from orchestrator.board.schema import Answer
    from orchestrator.board.snapshot import Snapshot

__all__ = ["Seat"]

_AT_ONCE = schema.ASKED_AT_ONCE // 2  # answered requests leave the document a moment later


class Seat:
    """One agent's place at the board; made inside a running event loop.

    It holds a replica of `ctl`, and the only writable one of the agent's own document. What it holds, it asks to keep
    after each quarter of a lease. With a `backoff` it outlives its connections: while cut off it shows the board as it
    was, keeps what is written, and waits; then it asks again. Every await ends: with what was waited for, or with a
    `BoardError` once there will be no other connection.
    """

    def __init__(
        self,
        agent_id: str,
        dial: Dial,
        *,
        backoff: Callable[[], Backoff] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the seat under a new incarnation.

        Raises:
            BoardError: the id cannot name an agent.
        """
        self.agent_id = agent_id
        self._claimant = Claimant(agent_id, self._push, now=now)
        self.topic = self._claimant.topic
        self._waiting: dict[Inquiry, asyncio.Future[Answer]] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._synced = asyncio.Event()
        self._was_here = False
        self._ended: str | None = None
        new: Callable[[], Backoff | None] = backoff or (lambda: None)
        self._ctl = Link(
            schema.CTL, self._claimant.ctl, dial, backoff=new(), changed=self._settle, synced=self._synced.set,
            ended=self._end,
        )  # fmt: skip
        self._own = Link(
            self.topic, self._claimant.own, dial, backoff=new(), synced=self._connected, ended=self._end,
        )  # fmt: skip
        self._tasks = [
            asyncio.create_task(self._ctl.run(), name=f"{self.topic}: the board"),
            asyncio.create_task(self._own.run(), name=f"{self.topic}: its own document"),
            asyncio.create_task(self._keep_renewing(), name=f"{self.topic}: renewals"),
        ]

    @property
    def connected(self) -> bool:
        """Tell whether the hub can be reached just now."""
        return self._ctl.connected and self._own.connected

    async def synced(self) -> None:
        """Wait until the board is here.

        Raises:
            BoardError: there will be no connection.
        """
        await self._synced.wait()
        self._usable()

    async def claim(self, key: str) -> int:
        """Ask for a task, or a TODO (`task/todo`); return the generation under which this agent holds it.

        Whoever holds it already keeps it, under the same generation.

        Raises:
            ClaimRefused: somebody else holds it, or it cannot be had; the message says which.
            BoardError: there will be no connection.
        """
        while True:
            answer = await self._ask(key, lambda: self._claimant.claim(key))
            if self._claimant.holds(key):
                return answer.gen

    def holds(self, key: str) -> bool:
        """Tell whether this agent may still work on a key: its lease, counted from when it asked, is not over."""
        return self._claimant.holds(key)

    async def done(self, key: str) -> None:
        """Tick off a TODO that this seat claimed.

        Raises:
            ClaimRefused: it was not claimed here, or was taken back meanwhile.
            BoardError: it is a task, which is handed in with `submit`; or there will be no connection.
        """
        if not schema.is_todo(key):
            raise BoardError(f"{key} is a task; hand it in with its commit")
        generation = self._claimant.generations.get(key)
        if generation is None:
            raise ClaimRefused(f"{key}: claim it before you tick it off")
        await self._ask(key, lambda: self._claimant.hand_in(key, generation))

    async def submit(self, task: str, gen: int, commit: str) -> None:
        """Hand in a task's work under the generation that `claim` returned.

        Raises:
            ClaimRefused: the generation is stale, or other work was handed in already.
            BoardError: there will be no connection.
        """
        await self._ask(task, lambda: self._claimant.hand_in(task, gen, commit))

    async def report(self, text: str) -> None:
        """Say something for people to read; return once it is on its way, or kept for later. Long text is cut.

        Raises:
            BoardError: there will be no connection.
        """
        self._usable()
        self._claimant.report(text)
        await self._own.sent()

    def view(self) -> Snapshot:
        """Return the board as this seat sees it now: all of `ctl`, and of the agents itself."""
        return snapshot.take({schema.CTL: self._claimant.ctl, self.topic: self._claimant.own})

    def close(self) -> None:
        """Leave; whatever still waits ends with a `BoardError`. Leaving again does nothing."""
        self._end("this seat was left")

    async def left(self) -> None:
        """Wait until nothing of this seat runs any more."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask(self, key: str, ask: Callable[[], Inquiry]) -> Answer:
        """Ask, wait for the answer, and return it if it is a yes; one inquiry a key at a time."""
        async with self._room, self._turns[key]:
            self._usable()
            inquiry = ask()
            answered = self._waiting[inquiry] = asyncio.get_running_loop().create_future()
            try:
                answer: Answer = await answered
            finally:
                del self._waiting[inquiry]
                self._claimant.withdraw(inquiry)
        if (refused := refusal(inquiry)) is not None:
            raise refused
        return answer

    def _push(self, update: bytes) -> None:
        if self._ended is None:
            self._own.push(update)

    def _settle(self) -> None:
        for inquiry in self._claimant.settle():
            future = self._waiting.get(inquiry)
            if future is not None and not future.done() and inquiry.answer is not None:
                future.set_result(inquiry.answer)

    def _connected(self) -> None:
        """Ask again what was asked before this connection: nobody knows what of it arrived."""
        if self._was_here:
            self._claimant.ask_again()
        self._was_here = True

    async def _keep_renewing(self) -> None:
        while True:
            await asyncio.sleep(LEASE / 4)
            if self._own.connected:
                self._claimant.renew()

    def _usable(self) -> None:
        if self._ended is not None:
            raise BoardError(f"the board is out of reach: {self._ended}")

    def _end(self, reason: str) -> None:
        if self._ended is None:
            self._ended = reason
            self._own.close(reason)
            self._ctl.close(reason)
            self._tasks[2].cancel()
            self._synced.set()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(BoardError(f"the board is out of reach: {reason}"))
