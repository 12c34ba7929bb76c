"""The hub: the one place where every seat's channel ends, and the orchestrator's own door to the board."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.board import schema
from orchestrator.board.channel import ChannelClosed, memory_pair
from orchestrator.board.feed import Feed
from orchestrator.board.frame import decode_frame
from orchestrator.board.ledger import Ledger
from orchestrator.board.log import FileLog, MemoryLog
from orchestrator.board.seat import Seat
from orchestrator.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from orchestrator.board.channel import Channel
    from orchestrator.board.log import BoardLog

__all__ = ["Hub", "open_board"]

_SEAT_FRAME_LIMIT = 1024 * 1024  # bytes; an agent's update is a few hundred


@dataclass(frozen=True, slots=True, eq=False)
class _Peer:
    """A seat that is connected now."""

    agent: str
    topic: str
    channel: Channel
    feed: Feed


class Hub(Ledger):
    """A ledger that seats are connected to; see `Ledger` for what the orchestrator says.

    Each agent has one connection. What one seat does wrong, or how slow it is, costs that seat alone.
    """

    def __init__(self, log: BoardLog, clock: Callable[[], float]) -> None:
        """Go on where the log ends; `clock` gives the seconds that log entries carry.

        Raises:
            BoardError: the log does not hold a board.
        """
        super().__init__(log, clock, publish=self._push, stopped=self._close_all)
        self._peers: dict[str, _Peer] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._faults: list[Exception] = []
        self._closed: str | None = None

    async def attach(self, channel: Channel, *, writes: str) -> None:
        """Serve one seat until its channel closes: all of `ctl` first, then every update.

        The seat may write the document `writes` and no other. A frame that is for another, damaged, or
        unreadable closes this channel, with the reason; so does another connection of the same agent.

        Raises:
            BoardError: `writes` is not an agent's document, it was dropped before, the hub is closed, or the
                log failed; the channel is closed.
        """
        try:
            self._is_open()
            self.join(writes)
        except BoardError as fault:
            channel.close(fault.message)
            raise
        agent = schema.parse_agent_topic(writes).agent
        self._cut_off(agent, f"{agent} connected again")
        peer = _Peer(agent, writes, channel, Feed(self._books.ctl, schema.CTL, channel))
        self._peers[agent] = peer
        sender = asyncio.create_task(peer.feed.run(), name=f"hub to {writes}")
        try:
            await self._serve(peer)
        finally:
            if self._peers.get(agent) is peer:
                del self._peers[agent]
            channel.close("the hub has ended this connection")
            peer.feed.stop("the connection has ended")
            await sender

    async def seat(self, agent_id: str) -> Seat:
        """Return a connected seat for an agent of this process; the hub serves it until one of them closes.

        Raises:
            BoardError: the id cannot name an agent, or the hub is closed.
        """
        self._is_open()
        here, there = memory_pair()
        seat = Seat(agent_id, there)
        serving = asyncio.create_task(self.attach(here, writes=seat.topic), name=f"hub for {seat.topic}")
        self._serving.add(serving)
        serving.add_done_callback(self._served)
        await seat.synced()
        return seat

    def drop(self, agent: str, *, reason: str = "") -> None:
        """Forget an agent that is gone, closing its channel if it is not; see `Ledger.drop`."""
        self._cut_off(agent, reason or f"{agent} was dropped")
        super().drop(agent, reason=reason)

    async def close(self) -> None:
        """End every connection and wait until none is served any more; closing again does nothing.

        Raises:
            ExceptionGroup: serving a seat of this process failed in a way that nobody foresaw.
        """
        self._close_all("the hub is closed")
        await asyncio.gather(*self._serving, return_exceptions=True)
        faults, self._faults = self._faults, []
        if faults:
            raise ExceptionGroup("serving a seat failed", faults)

    async def _serve(self, peer: _Peer) -> None:
        while True:
            try:
                data = await peer.channel.receive()
            except ChannelClosed:
                return
            if self._peers.get(peer.agent) is not peer:
                return
            try:
                self.receive(peer.topic, decode_frame(data, topic=peer.topic, limit=_SEAT_FRAME_LIMIT).update)
            except BoardError as fault:
                peer.channel.close(fault.message)
                self._books.usable()
                self.note("expelled", agent=peer.agent, why=fault.message)
                return
            await asyncio.sleep(0)  # a seat that sends without pause must not keep the others waiting

    def _served(self, serving: asyncio.Task[None]) -> None:
        self._serving.discard(serving)
        fault = None if serving.cancelled() else serving.exception()
        if isinstance(fault, Exception) and not isinstance(fault, BoardError):  # of those the seat knows
            self._faults.append(fault)

    def _is_open(self) -> None:
        if self._closed is not None:
            raise BoardError(f"no seat can be taken: {self._closed}")

    def _push(self, update: bytes) -> None:
        for peer in self._peers.values():
            peer.feed.push(update)

    def _cut_off(self, agent: str, reason: str) -> None:
        if (peer := self._peers.pop(agent, None)) is not None:
            peer.channel.close(reason)

    def _close_all(self, reason: str) -> None:
        self._closed = self._closed or reason
        for agent in list(self._peers):
            self._cut_off(agent, reason)


@asynccontextmanager
async def open_board(log_path: Path | None, *, clock: Callable[[], float] = time.time) -> AsyncIterator[Hub]:
    """Open the board whose log is at that path, or one that lives in memory, and close it at the end.

    Raises:
        BoardError: another process writes that log, or it is damaged.
    """
    log: BoardLog = FileLog(log_path) if log_path is not None else MemoryLog()
    try:
        hub = Hub(log, clock)
        try:
            yield hub
        finally:
            await hub.close()
    finally:
        log.close()
