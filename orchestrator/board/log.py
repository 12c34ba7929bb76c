"""The board's memory: every update, in the order it was made, appended before anybody else sees it.

Each record of the file (`record_file`) is one update, its body as in `frame`.

Killing the writer at any instant leaves whole records and at most one torn one at the end, which nobody has
seen. An append reaches the operating system before it returns; `sync` forces all that was appended to the disk, and is
called before anything of it leaves the hub.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol

from orchestrator.board.document import Document
from orchestrator.board.frame import GONE, Frame, decode_body, encode_body
from orchestrator.effects import reached
from orchestrator.errors import BoardError, StoreError
from orchestrator.journal.record_file import RecordFile, read_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["BoardLog", "FileLog", "MemoryLog", "read_board", "read_history", "read_topics", "replay"]

MAGIC, _KIND = b"orboard1", "board log"


class BoardLog(Protocol):
    """Remembers updates in order."""

    def replay(self) -> Iterator[Frame]:
        """Yield all that was appended before, in order."""
        ...

    def append(self, frames: Sequence[Frame]) -> None:
        """Remember these, all of them or none.

        Raises:
            BoardError: it could not; nothing more can be appended.
        """
        ...

    def sync(self) -> None:
        """Force what was appended to the disk; may be called from another thread.

        Raises:
            BoardError: the disk did not take it.
        """
        ...

    def close(self) -> None:
        """Let go of what is held open; closing again does nothing."""
        ...


class MemoryLog:
    """Remembers as long as the object lives; a second hub may be opened on it when the first is gone."""

    def __init__(self) -> None:
        self._frames: list[Frame] = []

    def replay(self) -> Iterator[Frame]:
        """Yield all that was appended before, in order."""
        yield from tuple(self._frames)

    def append(self, frames: Sequence[Frame]) -> None:
        """Remember these."""
        self._frames.extend(frames)

    def sync(self) -> None:
        """Nothing is left to do."""

    def close(self) -> None:
        """Nothing is held open."""


class FileLog:
    """Remembers in one append-only file that one process at a time may write."""

    def __init__(self, path: Path) -> None:
        """Open the file, make it if there is none, and cut off a torn last record.

        Raises:
            BoardError: another process writes it, it is no board log, or it is damaged before its end.
        """
        with _as_board_error():
            self._file = RecordFile(path, MAGIC, _KIND)

    def replay(self) -> Iterator[Frame]:
        """Yield all that the file holds, in order."""
        return (decode_body(body) for body in self._file.replay())

    def append(self, frames: Sequence[Frame]) -> None:
        """Write these in one go.

        Raises:
            BoardError: the file took only a part; that part is cut off again and the log is closed.
        """
        reached("board-append")
        with _as_board_error():
            self._file.append([encode_body(frame) for frame in frames])
        reached("board-appended")

    def sync(self) -> None:
        """Force what was appended to the disk.

        Raises:
            BoardError: the disk did not take it.
        """
        with _as_board_error():
            self._file.sync()

    def close(self) -> None:
        """Close the file, which lets another process write it."""
        self._file.close()


@contextlib.contextmanager
def _as_board_error() -> Iterator[None]:
    try:
        yield
    except StoreError as fault:
        hint = "A board has one hub. End the other run first, or look on with `orch board`."
        raise BoardError(
            fault.message, hint=fault.hint or (hint if "another process" in fault.message else "")
        ) from fault


def replay(frames: Iterable[Frame]) -> dict[str, Document]:
    """Return the documents, by topic, that these updates build.

    Raises:
        BoardError: an update does not fit; the log was not written by a hub.
    """
    updates: dict[str, list[bytes]] = {}
    for frame in frames:
        if frame.update == GONE:
            updates.pop(frame.topic, None)
        else:
            updates.setdefault(frame.topic, []).append(frame.update)
    documents: dict[str, Document] = {}
    for topic, made in updates.items():
        document = documents[topic] = Document()
        document.apply(*made)
    return documents


def read_board(path: Path) -> dict[str, Document]:
    """Return a board's documents, by topic, as its log tells them now; nothing is changed or locked.

    While a hub writes, this is the board a moment ago: a record that is only half there is left out.

    Raises:
        BoardError: there is no such file, or it is no board log.
    """
    with _as_board_error():
        return replay(decode_body(body) for body in read_records(path, MAGIC, _KIND))


def read_topics(path: Path) -> list[str]:
    """Return the names of all documents that a log tells of, in the order in which they began.

    Raises:
        BoardError: there is no such file, or it is no board log.
    """
    with _as_board_error():
        return list(dict.fromkeys(decode_body(body).topic for body in read_records(path, MAGIC, _KIND)))


def read_history(path: Path, topic: str) -> Iterator[Frame]:
    """Yield the updates of one document in the order in which the hub took them, as far as the log goes now.

    Those of a shared file tell who made them, and when.

    Raises:
        BoardError: there is no such file, or it is no board log.
    """
    with _as_board_error():
        for body in read_records(path, MAGIC, _KIND):
            if (frame := decode_body(body)).topic == topic:
                yield frame
