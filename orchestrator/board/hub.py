"""The hub: the one place where every connection ends, and the orchestrator's own door to the board."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from orchestrator.board import schema
from orchestrator.board.channel import Closing, memory_pair
from orchestrator.board.document import NO_CHANGE, Document
from orchestrator.board.feed import STALL
from orchestrator.board.files import RUN, SharedFiles, author_agent, is_file_topic
from orchestrator.board.frame import GONE
from orchestrator.board.ledger import Ledger
from orchestrator.board.log import FileLog, MemoryLog
from orchestrator.board.room import Room
from orchestrator.board.seat import Seat
from orchestrator.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from orchestrator.board.channel import Channel
    from orchestrator.board.document import Change
    from orchestrator.board.log import BoardLog

__all__ = ["Hub", "open_board"]

_RESYNC = 15.0  # seconds between two questions to writers whether all has arrived


class Hub(Ledger):
    """A ledger with connections: one document a connection, shown to many and written by one.

    What one connection does wrong, or how slow it is, costs that connection alone. See `Ledger` for what the
    orchestrator says.
    """

    def __init__(
        self,
        log: BoardLog,
        clock: Callable[[], float],
        *,
        now: Callable[[], float] = time.monotonic,
        stall: float = STALL,
    ) -> None:
        """Go on where the log ends; `clock` and `now` are as for `Ledger`, `stall` as for `Feed`.

        Raises:
            BoardError: the log does not hold a board.
        """
        super().__init__(log, clock, publish=self._push, stopped=self._close_all, now=now)
        self._stall = stall
        self._rooms: dict[str, Room] = {}
        self._shown: dict[str, Document] = {}
        self._writers: dict[str, tuple[str, Channel]] = {}
        self._file_writers: dict[Channel, str] = {}
        self.files = SharedFiles(self._books)
        self._serving: set[asyncio.Task[None]] = set()
        self._faults: list[Exception] = []
        self._closed: str | None = None

    async def serve(self, channel: Channel, topic: str, *, writes: bool = False, by: str = RUN) -> None:
        """Serve one connection for one document until it ends: first what it lacks, then every change.

        With `writes` it may write the document, which must be an agent's or a shared file. An agent has one connection
        for writing its own: a new one ends the former. A shared file has many, each for the writer `by`. What cannot
        be read, or may not be written, ends this connection with the reason.

        Raises:
            BoardError: there is no such document, it was dropped before, the hub is closed, or the log failed; the
                channel is closed.
        """
        try:
            room = self._room(topic, writes=writes)
        except BoardError as fault:
            channel.close(fault.message, code=self._refusal(topic))
            raise
        if not writes:
            await self._quietly(room, channel)
            return
        if is_file_topic(topic):
            await self._serve_file(room, channel, by)
            return
        agent = schema.parse_agent_topic(topic).agent
        self._cut_off(agent, f"{agent} connected again", Closing.REPLACED)
        self._writers[agent] = topic, channel

        def take(update: bytes) -> None:
            if self._writers.get(agent) == (topic, channel):
                self.receive(topic, update)

        try:
            await room.serve(channel, take)
        except BoardError as fault:
            self._books.usable()
            self.note("expelled", agent=agent, why=fault.message)
        finally:
            if self._writers.get(agent) == (topic, channel):
                del self._writers[agent]

    async def seat(self, agent_id: str) -> Seat:
        """Return a connected seat for an agent of this process; the hub serves it until one of them closes.

        Raises:
            BoardError: the id cannot name an agent, or the hub is closed.
        """
        self._is_open()
        seat = Seat(agent_id, self._dial)
        await seat.synced()
        return seat

    def show(self, topic: str, *changes: Change) -> None:
        """Change a document that is only shown: it is in no log, since whoever shows it can make it anew.

        Raises:
            BoardError: the topic is `ctl` or an agent's.
        """
        if topic == schema.CTL or topic.startswith("ag/"):
            raise BoardError(f"{topic} is not only shown")
        document = self._shown.setdefault(topic, Document())
        if (update := document.write(*changes)) != NO_CHANGE:
            self._push(topic, update)

    def resync(self) -> None:
        """Ask every writer for what has not arrived: a state as question, a difference as answer."""
        for room in self._rooms.values():
            for writer in room.writers:
                writer.ask()

    def drop(self, agent: str, *, reason: str = "") -> None:
        """Forget an agent that is gone, closing its channels if it is not; see `Ledger.drop`. What it wrote in files stays."""
        self._cut_off(agent, reason or f"{agent} was dropped", Closing.DROPPED)
        for channel in [channel for channel, by in self._file_writers.items() if author_agent(by) == agent]:
            channel.close(reason or f"{agent} was dropped", code=Closing.DROPPED)
        super().drop(agent, reason=reason)

    async def drained(self, seconds: float = 1.0) -> None:
        """Wait until all who look on have what is there now, but not long."""
        feeds = [feed for room in self._rooms.values() for feed in room.feeds]
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(feed.sent() for feed in feeds), return_exceptions=True)

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

    async def dial_file(self, topic: str, by: str) -> Channel:
        """Return a connection inside this process on which `by` reads and writes a shared file.

        Raises:
            BoardError: the hub is closed.
        """
        self._is_open()
        return await self._dial(topic, by=by)

    async def _dial(self, topic: str, *, by: str = RUN) -> Channel:
        here, there = memory_pair()
        serving = asyncio.create_task(
            self.serve(here, topic, writes=topic != schema.CTL, by=by), name=f"hub for {topic}"
        )
        self._serving.add(serving)
        serving.add_done_callback(self._served)
        return there

    def _room(self, topic: str, *, writes: bool) -> Room:
        """Return where a document is shown.

        Raises:
            BoardError: there is none, or it cannot be written by anybody who connects.
        """
        self._is_open()
        if writes and is_file_topic(topic):
            if not self.files.is_open(topic):
                raise BoardError(f"the file of {topic[:100]!r} is not open for writing")
        elif writes:
            self.join(topic)
        self._books.usable()
        document = self._shown.get(topic) or self._books.documents.get(topic)
        if document is None:
            raise BoardError(f"the board has no document {topic[:100]!r}")
        if topic not in self._rooms:
            decides = topic == schema.CTL
            self._rooms[topic] = Room(
                topic, document, at_once=decides, stall=self._stall,
                # Of an agent's words the log has a record, too; if power is lost before the disk has it, the agent says
                # them again, and what it was told is in `ctl`.
                # Whoever wrote on after somebody else's words cannot say those again.
                persisted=self._books.persisted if decides or is_file_topic(topic) else None,
            )  # fmt: skip
        return self._rooms[topic]

    def _refusal(self, topic: str) -> Closing:
        if self._closed is not None:
            return Closing.GOING_AWAY
        return Closing.DROPPED if self._books.was_dropped(topic) else Closing.NO_DOCUMENT

    async def _serve_file(self, room: Room, channel: Channel, by: str) -> None:
        def take(update: bytes) -> None:
            if channel in self._file_writers:
                self.files.receive(room.topic, update, by)

        self._file_writers[channel] = by
        try:
            await room.serve(channel, take)
        except BoardError as fault:
            self._books.usable()
            self.note("expelled", agent=author_agent(by) or by, file=room.topic, why=fault.message)
            self._restart(room)
        finally:
            self._file_writers.pop(channel, None)

    def _restart(self, room: Room) -> None:
        """Let all who are in a file's room come back to its document, if that had to be made anew from the log."""
        if room.document is not self._books.documents[room.topic]:
            self._rooms.pop(room.topic, None)
            for channel in room.feeds.values():
                self._file_writers.pop(channel, None)
                channel.close("the document was made anew", code=Closing.GOING_AWAY)

    async def _quietly(self, room: Room, channel: Channel) -> None:
        """Serve a reader; what it does wrong is told to it alone."""
        try:
            await room.serve(channel, None)
        except BoardError:
            self._books.usable()

    def _served(self, serving: asyncio.Task[None]) -> None:
        self._serving.discard(serving)
        fault = None if serving.cancelled() else serving.exception()
        if isinstance(fault, Exception) and not isinstance(fault, BoardError):  # of those the seat knows
            self._faults.append(fault)

    def _is_open(self) -> None:
        if self._closed is not None:
            raise BoardError(f"no seat can be taken: {self._closed}")

    def _push(self, topic: str, update: bytes) -> None:
        if update == GONE:
            if (room := self._rooms.pop(topic, None)) is not None:
                room.close(f"{topic} was dropped", Closing.DROPPED)
        elif (room := self._rooms.get(topic)) is not None:
            room.push(update)

    def _cut_off(self, agent: str, reason: str, code: Closing) -> None:
        if (writer := self._writers.pop(agent, None)) is not None:
            writer[1].close(reason, code=code)

    def _close_all(self, reason: str) -> None:
        self._closed = self._closed or reason
        for agent in list(self._writers):
            self._cut_off(agent, reason, Closing.GOING_AWAY)
        for channel in self._file_writers:
            channel.close(reason, code=Closing.GOING_AWAY)
        for room in self._rooms.values():
            room.close(reason, Closing.GOING_AWAY)


@asynccontextmanager
async def open_board(
    log_path: Path | None,
    *,
    clock: Callable[[], float] = time.time,
    now: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Hub]:
    """Open the board whose log is at that path, or one that lives in memory, and close it at the end.

    Raises:
        BoardError: another process writes that log, or it is damaged.
    """
    log: BoardLog = FileLog(log_path) if log_path is not None else MemoryLog()
    try:
        hub = Hub(log, clock, now=now)
        asking = asyncio.create_task(_keep_asking(hub), name="hub asks its writers")
        try:
            yield hub
        finally:
            asking.cancel()
            await hub.close()
    finally:
        log.close()


async def _keep_asking(hub: Hub) -> None:
    while True:
        await asyncio.sleep(_RESYNC)
        hub.resync()
