"""How bytes get from one end of a connection to the other: the seam, and the pair that stays in memory.

A channel is reliable and keeps order; it knows nothing of what it carries. Other carriers (sockets) implement
the same Protocol.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from orchestrator.errors import BoardError

__all__ = ["Channel", "ChannelClosed", "MemoryChannel", "memory_pair"]


class ChannelClosed(BoardError):
    """The channel carries nothing any more; the message is the reason that was given."""


class Channel(Protocol):
    """One end of a connection that carries whole messages, each once, in the order they were sent."""

    async def send(self, data: bytes) -> None:
        """Hand over one message; wait while the other end is too far behind.

        Raises:
            ChannelClosed: one of the ends closed it.
        """
        ...

    async def receive(self) -> bytes:
        """Return the next message; what was sent before the other end closed still arrives.

        Raises:
            ChannelClosed: this end closed it, or the other end did and nothing is left.
        """
        ...

    def close(self, reason: str = "") -> None:
        """End both directions, telling the other end why; closing again does nothing."""
        ...


class _Pipe:
    """One direction: a bounded queue with an end."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._items: deque[bytes] = deque()
        self._moved = asyncio.Event()
        self.closed: str | None = None

    def close(self, reason: str) -> None:
        if self.closed is None:
            self.closed = reason
        self._moved.set()

    async def put(self, data: bytes) -> None:
        while self.closed is None and len(self._items) >= self._room:
            await self._wait()
        if self.closed is not None:
            raise ChannelClosed(self.closed)
        self._items.append(data)
        self._moved.set()

    async def get(self) -> bytes:
        while not self._items:
            if self.closed is not None:
                raise ChannelClosed(self.closed)
            await self._wait()
        self._moved.set()
        return self._items.popleft()

    def clear(self) -> None:
        self._items.clear()

    async def _wait(self) -> None:
        self._moved.clear()
        await self._moved.wait()


class MemoryChannel:
    """One end of a pair inside one event loop; `memory_pair` makes both."""

    def __init__(self, outgoing: _Pipe, incoming: _Pipe) -> None:
        self._outgoing = outgoing
        self._incoming = incoming

    async def send(self, data: bytes) -> None:
        """Hand over one message; wait while the other end is too far behind."""
        await self._outgoing.put(data)

    async def receive(self) -> bytes:
        """Return the next message."""
        return await self._incoming.get()

    def close(self, reason: str = "") -> None:
        """End both directions; the other end still gets what was sent before."""
        why = reason or "the other end closed the channel"
        self._outgoing.close(why)
        self._incoming.close(reason or "the channel was closed")
        self._incoming.clear()


def memory_pair(*, room: int = 64) -> tuple[MemoryChannel, MemoryChannel]:
    """Return the two ends of a new connection; each direction holds up to `room` messages."""
    there, back = _Pipe(room), _Pipe(room)
    return MemoryChannel(there, back), MemoryChannel(back, there)
