"""What an attempt can do with shared files: open them, take seats at them and at the board, and ask who wrote what."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.board.files import RUN, agent_author, file_topic
from orchestrator.text.authorship import Authorship
from orchestrator.text.seat import FileSeat

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from orchestrator.board.channel import Channel
    from orchestrator.board.hub import Hub
    from orchestrator.board.seat import Seat
    from orchestrator.model.todo import TaskCard, Todo
    from orchestrator.text.document import FileText

__all__ = ["Followed", "SharedDoor"]


class Followed(Authorship):
    """A file as the hub has it, with whoever wrote each character, at every moment."""

    def missing(self, of: FileText) -> bytes:
        """Return one update with all that a replica has and the hub has not yet."""
        return of.since(self._text.state())

    def bring_up_to_date(self, text: FileText) -> None:
        """Let a replica of this process have all that the hub has, before it comes over the replica's own connection."""
        text.apply(self._text.since(text.state()))


@dataclass(slots=True, kw_only=True)
class SharedDoor:
    """The shared files of one attempt: each attempt has its own, so that a new one begins with what stands in the repository.

    `attempt` is what its documents are named after (`file/<attempt>/<path>`), `card` its task on the board.
    """

    hub: Hub
    attempt: str
    card: TaskCard

    def path(self, path: str) -> str:
        """Return by which path a file's document is known on the board."""
        return f"{self.attempt}/{path}"

    def writer(self, part: str) -> str:
        """Return how a writer is called on the board, and as the author of what it writes."""
        return f"{self.attempt}.{part}"

    def offer(self, *todos: Todo) -> None:
        """Let TODOs of the task be claimed: further ones, and those whose writer is gone.

        Raises:
            BoardError: an id is no name.
        """
        known = {todo.id for todo in self.card.todos}
        new = [todo for todo in todos if todo.id not in known]
        self.card = replace(self.card, todos=(*self.card.todos, *new))
        self.hub.publish_tasks([self.card])
        for todo in todos:
            self.hub.open(f"{self.card.id}/{todo.id}")

    async def seat_at(self, path: str, writer: str | None = None) -> FileSeat:
        """Return a seat at a file that is open; None: that of the run itself, which writes what no agent wrote."""
        author = RUN if writer is None else agent_author(writer)
        topic = self.hub.files.open(self.path(path))
        seat = FileSeat(topic, author, partial(self._dial, author))
        await seat.synced()
        return seat

    @asynccontextmanager
    async def on_the_board(self, writer: str) -> AsyncIterator[Seat]:
        """Sit down at the board as a writer; its connections end with this."""
        seat = await self.hub.seat(writer)
        try:
            yield seat
        finally:
            seat.close()
            self.hub.drop(writer, reason="its part is over")

    def hand_in(self, path: str, author: str, update: bytes) -> None:
        """Let the hub take what an author in this process has written and the author's connection has not brought yet.

        Raises:
            BoardError: it does not fit.
        """
        self.hub.files.receive(file_topic(self.path(path)), update, author)

    def follow(self, path: str) -> Followed:
        """Follow a file as the hub has it."""
        followed = Followed()
        self.hub.files.follow(self.path(path), followed.take)
        return followed

    async def _dial(self, author: str, topic: str) -> Channel:
        return await self.hub.dial_file(topic, author)
