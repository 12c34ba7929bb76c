"""One document kept in step with the hub's, over one connection after another."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.board.channel import Channel, ChannelClosed, Closing, Interruptible
from orchestrator.board.feed import Feed
from orchestrator.board.frame import MAX_BODY
from orchestrator.board.room import converse
from orchestrator.board.wire import Kind
from orchestrator.errors import BoardError

if TYPE_CHECKING:
    from orchestrator.board.document import Replica

__all__ = ["Backoff", "Dial", "Link"]

Dial = Callable[[str], Awaitable[Channel]]
"""Connects to the hub for one document."""

_RESYNC = 15.0  # seconds between two questions whether all has arrived


@dataclass(slots=True)
class Backoff:
    """Pauses that double from `first` to `most` seconds, each cut by chance, so that many do not come at once."""

    first: float = 0.1
    most: float = 10.0
    chance: random.Random = field(default_factory=random.Random)
    _tries: int = 0

    def reset(self) -> None:
        """Begin with the shortest pause again."""
        self._tries = 0

    def next(self) -> float:
        """Return the seconds to wait before the next try."""
        longest: float = min(self.most, self.first * 2 ** min(self._tries, 30))
        self._tries += 1
        return longest * self.chance.uniform(0.5, 1.0)


class Link:
    """Keeps one replica and the hub's in step: what was written while it was cut off goes out when it is back."""

    def __init__(
        self,
        topic: str,
        document: Replica,
        dial: Dial,
        *,
        backoff: Backoff | None = None,
        changed: Callable[[], None] | None = None,
        synced: Callable[[], None] = lambda: None,
        ended: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        """Begin cut off; `run` connects.

        With `changed` the hub's document is followed, and `changed` is called after each update; without, the document
        is written here. `synced` is called each time that all has arrived, here or there. Without a `backoff` the
        first end of a connection is the last; `ended` is called with the reason when there will be no other.
        """
        self.topic = topic
        self._document = document
        self._dial = dial
        self._backoff = backoff
        self._changed = changed
        self._on_synced = synced
        self._on_ended = ended
        self._feed: Feed | None = None
        self._channel: Channel | None = None
        self._pauses = Interruptible()
        self._ended: str | None = None

    @property
    def connected(self) -> bool:
        """Tell whether there is a connection just now."""
        return self._feed is not None

    def push(self, update: bytes) -> None:
        """Send an update that was just made; while cut off, the next connection will."""
        if self._feed is not None:
            self._feed.push(update)

    async def sent(self) -> None:
        """Wait until all that was pushed is on its way, or, if others will follow, until there is no connection.

        Raises:
            BoardError: the last connection has ended.
        """
        try:
            if self._feed is not None:
                await self._feed.sent()
        except ChannelClosed:
            if self._backoff is None:
                raise
        if self._ended is not None:
            raise BoardError(f"the board is out of reach: {self._ended}")

    async def run(self) -> None:
        """Connect, again and again if there is a `backoff`, until `close`."""
        reason = "this link was stopped"
        try:
            while self._ended is None:
                try:
                    with self._pauses.waiting():
                        channel = await self._dial(self.topic)
                    await self._talk(channel)
                except ChannelClosed as closed:
                    if self._backoff is None or closed.final:
                        reason = closed.message
                        return
                    with suppress(ChannelClosed), self._pauses.waiting():
                        await asyncio.sleep(self._backoff.next())
        except BoardError as fault:
            reason = fault.message
        except Exception as bug:
            reason = f"it failed with {bug!r}"
            raise
        finally:
            self.close(reason)

    def close(self, reason: str) -> None:
        """End the connection, and let none follow; closing again does nothing."""
        if self._ended is None:
            self._ended = reason
            self._pauses.interrupt(reason, Closing.NORMAL)
            if self._channel is not None:
                self._channel.close(reason)
            self._on_ended(reason)

    async def _talk(self, channel: Channel) -> None:
        """Use one connection until it ends.

        Raises:
            ChannelClosed: always, with the reason for its end.
            BoardError: the hub sent what cannot be read.
        """
        if self._ended is not None:
            channel.close(self._ended)
        feed = Feed(self._document, channel)
        self._feed, self._channel = feed, channel
        feed.ask()
        tasks = [asyncio.create_task(feed.run()), asyncio.create_task(_keep_asking(feed))]
        try:
            await converse(channel, feed, self._take, limit=MAX_BODY)
        except ChannelClosed:
            raise
        except BoardError as fault:
            channel.close(fault.message, code=Closing.BAD_MESSAGE)
            raise
        finally:
            self._feed = self._channel = None
            channel.close("the client has ended this connection")
            feed.stop("the connection has ended")
            tasks[1].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _take(self, kind: Kind, update: bytes) -> None:
        self._document.apply(update)
        if self._changed is not None:
            self._changed()
        if kind is Kind.STEP2:  # the hub asks before it answers, so what it lacks is on its way, too
            if self._backoff is not None:
                self._backoff.reset()
            self._on_synced()


async def _keep_asking(feed: Feed) -> None:
    while True:
        await asyncio.sleep(_RESYNC)
        feed.ask()
