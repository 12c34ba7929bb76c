"""The board's memory: every update, in the order it was made, appended before anybody else sees it.

The file begins with eight bytes that name the format. Each record is `length u32 | crc32 u32 | sequence u64 |
body`, the body as in `frame`; numbers are big-endian, the length is the body's, the checksum is over sequence
and body, and sequences count from 1 without a gap.

Killing the writer at any instant leaves whole records and at most one torn one at the end, which nobody has
seen. An append reaches the operating system before it returns; it is not forced to the disk, so losing
*power* may cost the last records. `Hub.open(at_least=…)` keeps generations growing even then.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import zlib
from typing import TYPE_CHECKING, Protocol

from orchestrator.board.document import Document
from orchestrator.board.frame import GONE, MAX_BODY, Frame, decode_body, encode_body
from orchestrator.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["BoardLog", "FileLog", "MemoryLog", "read_board", "replay"]

MAGIC = b"orboard1"
_HEAD = struct.Struct(">IIQ")
_SEQUENCE = struct.Struct(">Q")


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

    def close(self) -> None:
        """Nothing is held open."""


class FileLog:
    """Remembers in one append-only file that one process at a time may write."""

    def __init__(self, path: Path) -> None:
        """Open the file, make it if there is none, and cut off a torn last record.

        Raises:
            BoardError: another process writes it, it is no board log, or it is damaged before its end.
        """
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._open = True
        try:
            self._lock()
            self._end, self._sequence = self._repair()
        except BaseException:
            self.close()
            raise

    def replay(self) -> Iterator[Frame]:
        """Yield all that the file holds, in order."""
        for frame, _ in _records(self._path.read_bytes()[: self._end]):
            yield frame

    def append(self, frames: Sequence[Frame]) -> None:
        """Write these in one go.

        Raises:
            BoardError: the file took only a part; that part is cut off again and the log is closed.
        """
        if not self._open:
            raise BoardError(f"{self._path} is closed; nothing can be appended")
        records = b"".join(_record(frame, self._sequence + n) for n, frame in enumerate(frames, start=1))
        try:
            _write_all(self._file, records)
        except OSError as fault:
            with contextlib.suppress(OSError):  # if the part stays, the next opening cuts it off
                os.ftruncate(self._file, self._end)
            self.close()
            raise BoardError(f"{self._path} could not be written: {fault}") from fault
        self._end += len(records)
        self._sequence += len(frames)

    def close(self) -> None:
        """Close the file, which lets another process write it."""
        if self._open:
            self._open = False
            os.close(self._file)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            raise BoardError(
                f"another process writes {self._path}",
                hint="A board has one hub. End the other run first, or look on with `orch board`.",
            ) from fault

    def _repair(self) -> tuple[int, int]:
        data = self._path.read_bytes()
        if len(data) < len(MAGIC) and MAGIC.startswith(data):
            os.ftruncate(self._file, 0)
            _write_all(self._file, MAGIC)
            return len(MAGIC), 0
        _check_magic(self._path, data)
        ends = [end for _, end in _records(data)]
        end, sequence = ends[-1] if ends else len(MAGIC), len(ends)
        if end < len(data):
            if _damaged(data, end, sequence):
                raise BoardError(
                    f"{self._path} is damaged at byte {end}, and whole records follow",
                    hint="Nothing was changed. Restore the file, or move it away to begin a new board.",
                )
            os.ftruncate(self._file, end)
        return end, sequence


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
    try:
        data = path.read_bytes()
    except OSError as fault:
        raise BoardError(f"there is no board to read at {path}: {fault}") from fault
    if len(data) < len(MAGIC) and MAGIC.startswith(data):
        return {}
    _check_magic(path, data)
    return replay(frame for frame, _ in _records(data))


def _check_magic(path: Path, data: bytes) -> None:
    if not data.startswith(MAGIC):
        raise BoardError(f"{path} is not a board log of this version")


def _record(frame: Frame, sequence: int) -> bytes:
    body = encode_body(frame)
    return _HEAD.pack(len(body), _checksum(sequence, body), sequence) + body


def _checksum(sequence: int, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(_SEQUENCE.pack(sequence)))


def _records(data: bytes) -> Iterator[tuple[Frame, int]]:
    """Yield each whole record with the offset of its end, up to the first that is not whole or not next."""
    start, sequence = len(MAGIC), 0
    while (body := _intact(data, start, sequence + 1)) is not None:
        start, sequence = start + _HEAD.size + len(body), sequence + 1
        yield decode_body(body), start


def _intact(data: bytes, start: int, least: int, most: int | None = None) -> bytes | None:
    """Return the body of the record at `start` if it is whole and its sequence is from `least` to `most`."""
    if start + _HEAD.size > len(data):
        return None
    length, checksum, sequence = _HEAD.unpack_from(data, start)
    end = start + _HEAD.size + length
    if not least <= sequence <= (most or least) or end > len(data):
        return None
    body = data[start + _HEAD.size : end]
    return body if _checksum(sequence, body) == checksum else None


def _damaged(data: bytes, start: int, sequence: int) -> bool:
    """Tell a damaged record, with whole ones after it, from a torn last one, which may be cut off.

    A record whose head is whole and that would reach beyond the file's end is torn: that is what a kill
    leaves. Otherwise (power loss leaves zeros or rubbish) the rest is searched, so that nothing whole is ever
    cut off.
    """
    if start + _HEAD.size <= len(data):
        length, _, found = _HEAD.unpack_from(data, start)
        if found == sequence + 1 and length <= MAX_BODY and start + _HEAD.size + length > len(data):
            return False
    most = sequence + len(data)
    places = range(start, len(data) - _HEAD.size)
    return any(_intact(data, at, sequence + 1, most) is not None for at in places)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
