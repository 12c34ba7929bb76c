"""The board of a run that is over, shown from its log; nobody writes it any more."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from orchestrator.board import schema
from orchestrator.board.channel import Closing
from orchestrator.board.document import NO_CHANGE, Document
from orchestrator.board.files import is_file_topic
from orchestrator.board.log import read_board
from orchestrator.board.room import Room
from orchestrator.errors import BoardError

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.board.channel import Channel
    from orchestrator.board.document import Change

__all__ = ["Archive"]


class Archive:
    """The documents of a board as its log tells them."""

    def __init__(self, log_path: Path) -> None:
        """Read the log.

        Raises:
            BoardError: there is no such file, or it is no board log.
        """
        documents = read_board(log_path)
        self._documents = documents
        self._rooms = {topic: _room(topic, document) for topic, document in documents.items()}

    def show(self, topic: str, *changes: Change) -> None:
        """Show a document that is in no log, or change it."""
        document = self._documents.setdefault(topic, Document())
        room = self._rooms.setdefault(topic, _room(topic, document))
        if (update := document.write(*changes)) != NO_CHANGE:
            room.push(update)

    async def serve(self, channel: Channel, topic: str, *, writes: bool = False, by: str = "") -> None:  # noqa: ARG002
        """Serve one connection until it ends; see `Hub.serve`. Nothing may be written, but whoever wrote a file may read it."""
        room = self._rooms.get(topic)
        writes = writes and not is_file_topic(topic)
        if writes or room is None:
            why = (
                "this board is over; it can only be looked at"
                if writes
                else f"the board has no document {topic[:100]!r}"
            )
            channel.close(why, code=Closing.NOT_ALLOWED if writes else Closing.NO_DOCUMENT)
            return
        with suppress(BoardError):  # the connection was told
            await room.serve(channel, None)

    def close(self, reason: str) -> None:
        """End all connections."""
        for room in self._rooms.values():
            room.close(reason, Closing.GOING_AWAY)


def _room(topic: str, document: Document) -> Room:
    return Room(topic, document, at_once=topic == schema.CTL)
