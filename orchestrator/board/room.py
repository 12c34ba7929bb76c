"""All who look at one document, and those who may write it: of a shared file many, of an agent's only that agent."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.board.channel import ChannelClosed, Closing
from orchestrator.board.feed import STALL, Feed
from orchestrator.board.presence import Presence
from orchestrator.board.wire import Kind, decode
from orchestrator.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from orchestrator.board.channel import Channel
    from orchestrator.board.document import Replica

__all__ = ["LONGEST_MESSAGE", "Room", "converse"]

LONGEST_MESSAGE = 1024 * 1024
"""Bytes that a client's message may have; an agent's update is a few hundred."""
_LONGEST_WINDOW = 0.05
_WINDOW_OF_ONE = 0.00025  # seconds a reader: so many that sending to all takes a small part of the time
_WINDOW_OF_WRITER = 0.001  # of a file, where each writer has all the others to read
_DIFFERENCES = 8


class Room:
    """One document and the connections on which it is shown; see `serve`."""

    def __init__(
        self,
        topic: str,
        document: Replica,
        *,
        at_once: bool,
        persisted: Callable[[], Awaitable[None]] | None = None,
        stall: float = STALL,
    ) -> None:
        """Begin with nobody; `at_once` means that changes never wait to be sent together, the rest is as for `Feed`."""
        self.topic = topic
        self.document = document
        self.presence = Presence()
        self.feeds: dict[Feed, Channel] = {}
        self.writers: set[Feed] = set()
        self._speaking: Feed | None = None  # whose update is being taken in just now
        self._at_once = at_once
        self._persisted = persisted
        self._stall = stall
        self._differences: dict[bytes, bytes] = {}

    def push(self, update: bytes) -> None:
        """Show a change to all who look on."""
        self._differences.clear()
        for feed in self.feeds:
            if feed is not self._speaking:
                feed.push(update)

    def close(self, reason: str, code: Closing) -> None:
        """End the connections of all who only look on."""
        for feed, channel in self.feeds.items():
            if feed not in self.writers:
                channel.close(reason, code=code)

    def window(self) -> float:
        """Return the least seconds between two messages to one reader: none for a few, up to 50 ms for many."""
        if self._at_once:
            return 0.0
        one = _WINDOW_OF_ONE if len(self.writers) <= 1 else _WINDOW_OF_WRITER
        return min(_LONGEST_WINDOW, one * len(self.feeds))

    async def serve(self, channel: Channel, take: Callable[[bytes], None] | None) -> None:
        """Serve one connection until it ends; `take` is called with what it writes, None if it may not write.

        Raises:
            BoardError: what it sent cannot be read or must not be sent; the channel was closed with the reason.
        """
        feed = Feed(
            self.document, channel, since=self._difference, pace=self.window, persisted=self._persisted,
            presence=self.presence, stall=self._stall,
        )  # fmt: skip
        self.feeds[feed] = channel
        if take is not None:
            self.writers.add(feed)
            feed.ask()
        feed.tell(self.presence.present())
        sender = asyncio.create_task(feed.run(), name=f"hub sends {self.topic}")
        try:
            await converse(channel, feed, self._writer(feed, take) if take else _refuse, partial(self._hear, feed))
        except ChannelClosed:
            return
        except BoardError as fault:
            channel.close(
                fault.message, code=Closing.NOT_ALLOWED if isinstance(fault, _Refused) else Closing.BAD_MESSAGE
            )
            raise
        finally:
            channel.close("the hub has ended this connection")
            del self.feeds[feed]
            self._tell(self.presence.leave(feed))
            self.writers.discard(feed)
            feed.stop("the connection has ended")
            await sender

    def _writer(self, feed: Feed, take: Callable[[bytes], None]) -> _Writer:
        def speak(update: bytes) -> None:
            self._speaking = feed  # who has it already
            try:
                take(update)
            finally:
                self._speaking = None

        return _Writer(speak)

    def _hear(self, feed: Feed, content: bytes | None) -> None:
        if content is None:
            feed.tell(self.presence.present())
        else:
            # The speaker hears itself, too: a stock client that hears nothing for 30 seconds takes the connection for dead.
            self._tell(self.presence.hear(feed, content))

    def _tell(self, clients: set[int]) -> None:
        for feed in self.feeds:
            feed.tell(clients)

    def _difference(self, state: bytes) -> bytes:
        """Return what a replica in that state lacks, made once for all who are equally far."""
        if state not in self._differences:
            if len(self._differences) >= _DIFFERENCES:
                self._differences.clear()
            self._differences[state] = self.document.since(state)
        return self._differences[state]


class _Writer:
    """Takes updates only once the writer has said all that it has.

    A stock client sends what it changes now before it is asked for what it changed while it was cut off. Updates of
    one client out of their order lose values (measured), and its answer holds them anyway.
    """

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._caught_up = False

    def __call__(self, kind: Kind, update: bytes) -> None:
        self._caught_up = self._caught_up or kind is Kind.STEP2
        if self._caught_up:
            self._take(update)


class _Refused(BoardError):
    """A connection wrote where it may only read."""


def _refuse(_kind: Kind, update: bytes) -> None:
    if not update.startswith(b"\x00"):  # it holds changes, and not only deletions that everybody knows
        raise _Refused("this connection may not write this document")


async def converse(
    channel: Channel,
    feed: Feed,
    take: Callable[[Kind, bytes], None],
    hear: Callable[[bytes | None], None] = lambda _said: None,
    *,
    limit: int = LONGEST_MESSAGE,
) -> None:
    """Read messages and do what they ask, until the channel is closed; `hear` gets None when it is asked who is there.

    Raises:
        ChannelClosed: the channel is closed.
        BoardError: a message cannot be read, or `take` refused it.
    """
    while True:
        data = await channel.receive()
        if len(data) > limit:
            raise BoardError(f"a message has {len(data)} bytes; at most {limit} are taken")
        message = decode(data)
        match message.kind:
            case Kind.STEP1:
                feed.answer(message.content)
            case Kind.STEP2 | Kind.UPDATE:
                take(message.kind, message.content)
            case Kind.AWARENESS:
                hear(message.content)
            case Kind.QUERY_AWARENESS:
                hear(None)
        await asyncio.sleep(0)  # a client that sends without pause must not keep the others waiting
