"""How bytes get from one end of a connection to the other: the seam, and the pair that stays in memory.

A channel is reliable and keeps order; it knows nothing of what it carries. The WebSockets of `server` and `client`
implement the same Protocol.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

from orchestrator.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Channel", "ChannelClosed", "Closing", "Interruptible", "MemoryChannel", "memory_pair"]


class Closing(IntEnum):
    """Why a channel was closed, as a WebSocket says it."""

    NORMAL = 1000
    GOING_AWAY = 1001
    BAD_MESSAGE = 4400
    NO_TOKEN = 4401
    NOT_ALLOWED = 4403
    NO_DOCUMENT = 4404
    TOO_SLOW = 4408
    REPLACED = 4409
    DROPPED = 4410

    @property
    def final(self) -> bool:
        """Tell whether it would be the same after connecting again."""
        return self in _FINAL


_FINAL = frozenset(Closing) - {Closing.NORMAL, Closing.GOING_AWAY, Closing.TOO_SLOW}


class ChannelClosed(BoardError):
    """The channel carries nothing any more; the message is the reason that was given, `code` its kind."""

    def __init__(self, message: str, *, code: int = Closing.NORMAL) -> None:
        super().__init__(message)
        self.code = code

    @property
    def final(self) -> bool:
        """Tell whether it would be the same after connecting again."""
        return self.code in _FINAL


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

    def close(self, reason: str = "", *, code: Closing = Closing.NORMAL) -> None:
        """End both directions, telling the other end why; closing again does nothing."""
        ...


class Interruptible:
    """Waiting that closing ends: what a carrier over somebody else's connection needs."""

    def __init__(self) -> None:
        self.closed: ChannelClosed | None = None  # once it is
        self._waiting: set[asyncio.Task[object]] = set()

    def interrupt(self, reason: str, code: int) -> bool:
        """End all waiting, now and from now on; tell whether this was the first time."""
        if self.closed is not None:
            return False
        self.closed = ChannelClosed(reason or "the channel was closed", code=code)
        current = asyncio.current_task()  # which may wait here itself, and learns it by what is raised next
        for task in self._waiting:
            if task is not current:
                task.cancel()
        return True

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let what is awaited in here end with `ChannelClosed` once the channel is closed."""
        if self.closed is not None:
            raise self.closed
        task = asyncio.current_task()
        assert task is not None, "a channel is used inside a task"
        self._waiting.add(task)
        try:
            yield
        except asyncio.CancelledError:
            closed = self._why()
            if closed is None or task.uncancel() > 0:
                raise  # somebody else cancelled it
            raise closed from None
        finally:
            self._waiting.discard(task)

    def _why(self) -> ChannelClosed | None:
        return self.closed


class _Pipe:
    """One direction: a bounded queue with an end."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._items: deque[bytes] = deque()
        self._moved = asyncio.Event()
        self.closed: ChannelClosed | None = None

    def close(self, reason: str, code: Closing) -> None:
        if self.closed is None:
            self.closed = ChannelClosed(reason, code=code)
        self._moved.set()

    async def put(self, data: bytes) -> None:
        while self.closed is None and len(self._items) >= self._room:
            await self._wait()
        if self.closed is not None:
            raise self.closed
        self._items.append(data)
        self._moved.set()

    async def get(self) -> bytes:
        while not self._items:
            if self.closed is not None:
                raise self.closed
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

    def close(self, reason: str = "", *, code: Closing = Closing.NORMAL) -> None:
        """End both directions; the other end still gets what was sent before."""
        self._outgoing.close(reason or "the other end closed the channel", code)
        self._incoming.close(reason or "the channel was closed", code)
        self._incoming.clear()


def memory_pair(*, room: int = 64) -> tuple[MemoryChannel, MemoryChannel]:
    """Return the two ends of a new connection; each direction holds up to `room` messages."""
    there, back = _Pipe(room), _Pipe(room)
    return MemoryChannel(there, back), MemoryChannel(back, there)
