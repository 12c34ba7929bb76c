"""A writer's place at a shared file: a replica that is kept in step with the hub's, over one connection after another."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from orchestrator.board.link import Link
from orchestrator.errors import BoardError
from orchestrator.text.document import FileText
from orchestrator.text.slots import Slots

if TYPE_CHECKING:
    from orchestrator.board.link import Backoff, Dial

__all__ = ["FileSeat"]


class FileSeat:
    """One writer at one file; made inside a running event loop.

    What is written while it is cut off goes out when it is back. Without a `backoff` the first end of a connection is
    the last.
    """

    def __init__(self, topic: str, author: str, dial: Dial, *, backoff: Backoff | None = None) -> None:
        """Begin to connect; `dial` must connect as `author`."""
        self.text = FileText(self._push)
        self.slots = Slots(self.text, author)
        self.changed = asyncio.Event()
        self._synced = asyncio.Event()
        self.ended: str | None = None
        """Why there will be no other connection, once that is so."""
        self._link = Link(
            topic, self.text, dial, backoff=backoff, changed=self.changed.set, synced=self._synced.set, ended=self._end
        )
        self._task = asyncio.create_task(self._link.run(), name=f"{author} writes {topic}")

    async def synced(self) -> None:
        """Wait until the text is here.

        Raises:
            BoardError: there will be no connection.
        """
        await self._synced.wait()
        if self.ended is not None:
            raise BoardError(f"the shared file is out of reach: {self.ended}")

    async def sent(self) -> None:
        """Wait until all that was written is on its way, or, if others will follow, until there is no connection.

        Raises:
            BoardError: there will be no connection.
        """
        await self._link.sent()

    async def close(self) -> None:
        """Leave; what is not sent yet is not sent any more."""
        self._link.close("this seat was left")
        await asyncio.gather(self._task, return_exceptions=True)

    def _push(self, update: bytes) -> None:
        self._link.push(update)

    def _end(self, reason: str) -> None:
        self.ended = reason
        self._synced.set()
        self.changed.set()
