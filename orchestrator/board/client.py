"""A seat at a board elsewhere: over a WebSocket for each document, again and again until it is left."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI, WebSocketException

from orchestrator.board import schema, snapshot
from orchestrator.board.channel import ChannelClosed, Closing, Interruptible
from orchestrator.board.document import Document
from orchestrator.board.frame import MAX_BODY
from orchestrator.board.link import Backoff, Link
from orchestrator.board.seat import Seat
from orchestrator.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from orchestrator.board.channel import Channel
    from orchestrator.board.snapshot import Snapshot

__all__ = ["Door", "Reader", "Watch", "look_on", "take_seat", "watch"]


class Door:
    """Connects to one board with one token."""

    def __init__(self, url: str, token: str, *, context: ssl.SSLContext | None = None) -> None:
        """Take the URL to which `/<topic>` is added; `context` is for certificates that the system does not know."""
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}
        self._context = context or (ssl.create_default_context() if url.startswith("wss:") else None)
        self._closing: set[asyncio.Task[None]] = set()

    async def dial(self, topic: str) -> Channel:
        """Connect for one document.

        Raises:
            ChannelClosed: it did not work; `final` tells whether it ever will.
        """
        url = f"{self._url}/{quote(topic)}"
        try:
            socket = await connect(
                url, additional_headers=self._headers, max_size=MAX_BODY, compression=None, ssl=self._context,
                open_timeout=10, close_timeout=1, proxy=None,
            )  # fmt: skip
        except InvalidStatus as refused:
            status = refused.response.status_code
            code = Closing.NOT_ALLOWED if status in (401, 403, 404) else Closing.GOING_AWAY
            raise ChannelClosed(f"{self._url} answered {status}", code=code) from refused
        except InvalidURI as fault:
            raise BoardError(
                f"{self._url[:200]} is no URL of a board", hint="It begins with ws:// or wss://."
            ) from fault
        except (OSError, TimeoutError, WebSocketException) as fault:
            raise ChannelClosed(f"{self._url} cannot be reached: {fault}", code=Closing.GOING_AWAY) from fault
        return _SocketChannel(socket, self._closing)

    async def closed(self) -> None:
        """Wait until every connection that was closed has said so to the other end."""
        await asyncio.gather(*self._closing, return_exceptions=True)


class _SocketChannel(Interruptible):
    """One WebSocket of a client as a channel."""

    def __init__(self, socket: ClientConnection, closing: set[asyncio.Task[None]]) -> None:
        super().__init__()
        self._socket = socket
        self._closing = closing

    async def send(self, data: bytes) -> None:
        """Hand over one message; wait while the socket's buffer is full."""
        with self.waiting():
            try:
                await self._socket.send(data)
            except ConnectionClosed as gone:
                raise self._gone(gone) from gone

    async def receive(self) -> bytes:
        """Return the next message."""
        with self.waiting():
            try:
                data = await self._socket.recv()
            except ConnectionClosed as gone:
                raise self._gone(gone) from gone
        if isinstance(data, str):
            raise BoardError("the board sent text; this protocol is binary")
        return data

    def close(self, reason: str = "", *, code: Closing = Closing.NORMAL) -> None:
        """End the connection; the other end is told in the background."""
        if self.interrupt(reason, code):
            task = asyncio.create_task(self._socket.close(code, reason.encode()[:120].decode("utf-8", "ignore")))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _gone(self, gone: ConnectionClosed) -> ChannelClosed:
        code, reason = (gone.rcvd.code, gone.rcvd.reason) if gone.rcvd else (Closing.GOING_AWAY, "")
        self.interrupt(reason or "the connection broke", code)
        return ChannelClosed(reason or "the connection broke", code=code)


@asynccontextmanager
async def take_seat(
    url: str,
    token: str,
    agent_id: str,
    *,
    backoff: Callable[[], Backoff] = Backoff,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[Seat]:
    """Take an agent's seat at the board there, and leave it at the end; it connects again whenever it is cut off.

    Raises:
        BoardError: the id cannot name an agent.
    """
    door = Door(url, token, context=context)
    seat = Seat(agent_id, door.dial, backoff=backoff)
    try:
        yield seat
    finally:
        seat.close()
        await seat.left()
        await door.closed()


class Reader:
    """Follows one document of a board elsewhere."""

    def __init__(
        self, topic: str, door: Door, *, backoff: Backoff | None, changed: asyncio.Event | None = None
    ) -> None:
        """Begin to follow, and set `changed` at each change; without a `backoff` the first end is the last."""
        self.document = Document()
        self.changed = changed or asyncio.Event()
        self._synced = asyncio.Event()
        self.ended: str | None = None
        self._link = Link(
            topic, self.document, door.dial, backoff=backoff, changed=self.changed.set, synced=self._synced.set,
            ended=self._end,
        )  # fmt: skip
        self._task = asyncio.create_task(self._link.run(), name=f"reads {topic}")

    async def synced(self) -> None:
        """Wait until the document is here.

        Raises:
            BoardError: it cannot be had.
        """
        await self._synced.wait()
        if self.ended is not None:
            raise BoardError(f"the board is out of reach: {self.ended}")

    async def close(self) -> None:
        """Stop to follow."""
        self._link.close("this reader was closed")
        await asyncio.gather(self._task, return_exceptions=True)

    def _end(self, reason: str) -> None:
        self.ended = reason
        self._synced.set()
        self.changed.set()


@asynccontextmanager
async def look_on(
    url: str, token: str, topic: str, *, backoff: Backoff | None = None, context: ssl.SSLContext | None = None
) -> AsyncIterator[Reader]:
    """Follow one document of the board there."""
    door = Door(url, token, context=context)
    reader = Reader(topic, door, backoff=backoff)
    try:
        yield reader
    finally:
        await reader.close()
        await door.closed()


class Watch:
    """Follows a whole board: the hub's document, and that of every agent that has asked for something."""

    def __init__(self, door: Door, backoff: Callable[[], Backoff | None]) -> None:
        """Begin to follow."""
        self._door = door
        self._backoff = backoff
        self._changed = asyncio.Event()
        self._readers = {schema.CTL: self._follow(schema.CTL)}

    async def synced(self) -> None:
        """Wait until the board is here.

        Raises:
            BoardError: it cannot be had.
        """
        await self._readers[schema.CTL].synced()
        await self._follow_agents()
        await asyncio.gather(*(r.synced() for t, r in self._readers.items() if t != schema.CTL), return_exceptions=True)
        self._changed.clear()

    async def changed(self) -> None:
        """Wait until something changes.

        Raises:
            BoardError: the board cannot be had any more.
        """
        await self._changed.wait()
        self._changed.clear()
        await self._readers[schema.CTL].synced()
        await self._follow_agents()

    def snapshot(self) -> Snapshot:
        """Return the board as it is here."""
        return snapshot.take({topic: reader.document for topic, reader in self._readers.items()})

    async def close(self) -> None:
        """Stop to follow."""
        for reader in self._readers.values():
            await reader.close()

    async def _follow_agents(self) -> None:
        topics = self._readers[schema.CTL].document.items(schema.ANSWERS).keys()
        for topic in self._readers.keys() - topics - {schema.CTL}:
            await self._readers.pop(topic).close()
        for topic in topics - self._readers.keys():
            self._readers[topic] = self._follow(topic)

    def _follow(self, topic: str) -> Reader:
        return Reader(topic, self._door, backoff=self._backoff(), changed=self._changed)


@asynccontextmanager
async def watch(url: str, token: str, *, again: bool, context: ssl.SSLContext | None = None) -> AsyncIterator[Watch]:
    """Follow the whole board there; `again` means to connect again whenever it is cut off."""
    door = Door(url, token, context=context)
    board = Watch(door, Backoff if again else lambda: None)
    try:
        yield board
    finally:
        await board.close()
        await door.closed()
