"""An append-only file of records that a kill at any instant leaves readable.

The file begins with eight bytes that name the format. Each record is `length u32 | crc32 u32 | sequence u64 | body`;
numbers are big-endian, the length is the body's, the checksum is over sequence and body, and sequences count from 1
without a gap. A killed writer leaves whole records and at most one torn one at the end, which the next opening cuts off.
An append reaches the operating system before it returns; `sync` forces it to the disk. One thread appends; any may sync.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import threading
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.disk_faults import HINT
from orchestrator.errors import DiskError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["Mark", "RecordFile", "is_locked", "read_after", "read_records"]

_HEAD = struct.Struct(">IIQ")
_SEQUENCE = struct.Struct(">Q")
_LONGEST_BODY = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """By what one record is known again: its number, the offset at which it begins, and its checksum."""

    sequence: int
    start: int
    checksum: int


class RecordFile:
    """One such file, which one process at a time may write."""

    def __init__(self, path: Path, magic: bytes, kind: str) -> None:
        """Open the file, make it if there is none, and cut off a torn last record; `kind` is what to call it.

        Raises:
            StoreError: another process writes it, it has another format, or it is damaged before its end.
        """
        self.path = path
        self._magic = magic
        self._kind = kind
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._open = True
        self._fault: DiskError | None = None
        self._synced = True
        self._syncing = threading.Lock()
        try:
            self._lock()
            self._end, self._last = self._repair()
        except BaseException:
            self.close()
            raise

    @property
    def last(self) -> Mark | None:
        """The newest record; None if there is none."""
        return self._last

    def replay(self) -> Iterator[bytes]:
        """Yield the body of every record that was there at the last append, in order."""
        for body, _ in _records(self.path.read_bytes()[: self._end], len(self._magic)):
            yield body

    def append(self, bodies: Sequence[bytes]) -> None:
        """Write these in one go, all of them or none.

        Raises:
            DiskError: the file took only a part; that part is cut off again and the file is closed.
        """
        self._refuse_after_fault()
        if not self._open:
            raise StoreError(f"{self.path} is closed; nothing can be appended")
        before = self._last.sequence if self._last else 0
        records = [_record(body, before + n) for n, body in enumerate(bodies, start=1)]
        try:
            _write_all(self._file, b"".join(records))
        except OSError as fault:
            with contextlib.suppress(OSError):  # if the part stays, the next opening cuts it off
                os.ftruncate(self._file, self._end)
            self.close()
            self._fault = DiskError(f"{self.path} could not be written: {fault.strerror}.", hint=HINT)
            raise self._fault from fault
        for record in records:
            self._last = _mark(record, 0, self._end)
            self._end += len(record)
        self._synced = False

    def sync(self) -> None:
        """Force what was appended to the disk; does nothing if all of it is there.

        Raises:
            DiskError: the disk did not take it, or somebody has deleted the file; so it is from then on, whoever asks.
        """
        with self._syncing:  # whoever comes while another waits for the disk waits too, and finds it done
            self._refuse_after_fault()  # also who waited meanwhile must not go on as if it were on the disk
            if self._synced or not self._open:
                return
            self._synced = True  # what is appended from now on sets it back, and is synced by its own caller
            try:
                getattr(os, "fdatasync", os.fsync)(self._file)  # macOS has no fdatasync
            except OSError as fault:
                self._fault = DiskError(f"{self.path} could not be written: {fault.strerror}.", hint=HINT)
                raise self._fault from fault
            if not os.fstat(self._file).st_nlink:  # else all would go on, and be written down for nobody
                self._fault = DiskError(f"{self.path} was deleted.")
                raise self._fault

    def close(self) -> None:
        """Close the file, which lets another process write it; closing again does nothing."""
        if self._open:
            self._open = False
            os.close(self._file)

    def _refuse_after_fault(self) -> None:
        if self._fault is not None:
            raise DiskError(self._fault.message, hint=self._fault.hint)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            raise StoreError(f"another process writes {self.path}") from fault

    def _repair(self) -> tuple[int, Mark | None]:
        """Return where the whole records end, and the last of them, after what follows was cut off."""
        data = self.path.read_bytes()
        if len(data) < len(self._magic) and self._magic.startswith(data):
            os.ftruncate(self._file, 0)
            _write_all(self._file, self._magic)
            return len(self._magic), None
        _check_magic(self.path, data, self._magic, self._kind)
        end, last = len(self._magic), None
        for body, after in _records(data, end):
            end, last = after, after - len(body) - _HEAD.size
        mark = None if last is None else _mark(data, last, last)
        if end < len(data):
            _refuse_damage(self.path, data, end, mark.sequence if mark else 0)
            os.ftruncate(self._file, end)
        return end, mark


def is_locked(path: Path) -> bool:
    """Tell whether a process has the file open for writing; nothing is changed."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def read_records(path: Path, magic: bytes, kind: str) -> Iterator[bytes]:
    """Yield the body of each whole record as the file is now; nothing is changed or locked.

    Raises:
        StoreError: there is no such file, it has another format, or it is damaged; what is before the damage comes first.
    """
    try:
        data = path.read_bytes()
    except OSError as fault:
        raise StoreError(f"{path} cannot be read: {fault.strerror or fault}") from fault
    if len(data) < len(magic) and magic.startswith(data):
        return
    _check_magic(path, data, magic, kind)
    yield from _told(path, data, len(magic))


def read_after(path: Path, magic: bytes, mark: Mark) -> Iterator[bytes] | None:
    """Return the body of each whole record after a known one; None if the file does not hold that one where it was.

    Reading it raises StoreError where the file is damaged.
    """
    try:
        with path.open("rb") as file:
            head = file.read(len(magic))
            file.seek(mark.start)
            data = file.read()
    except OSError:
        return None
    known = _intact(data, 0, mark.sequence)
    if head != magic or known is None or _mark(data, 0, mark.start) != mark:
        return None
    return _told(path, data, _HEAD.size + len(known), sequence=mark.sequence, before=mark.start)


def _told(path: Path, data: bytes, at: int, *, sequence: int = 0, before: int = 0) -> Iterator[bytes]:
    """Yield the body of each whole record from `at`, after that of `sequence`; `before` bytes of the file are not in `data`."""
    for body, end in _records(data, at, sequence):
        at, sequence = end, sequence + 1
        yield body
    _refuse_damage(path, data, at, sequence, before)


def _refuse_damage(path: Path, data: bytes, at: int, sequence: int, before: int = 0) -> None:
    if at < len(data) and _damaged(data, at, sequence):
        raise StoreError(
            f"{path} is damaged at byte {before + at}, and whole records follow",
            hint="Nothing was changed. Restore the file, or move it away.",
        )


def _check_magic(path: Path, data: bytes, magic: bytes, kind: str) -> None:
    if not data.startswith(magic):
        raise StoreError(f"{path} is not a {kind} of this version")


def _record(body: bytes, sequence: int) -> bytes:
    return _HEAD.pack(len(body), _checksum(sequence, body), sequence) + body


def _mark(data: bytes, at: int, start: int) -> Mark:
    """Return the mark of the record at `at` in these bytes, which begins at `start` in its file."""
    _, checksum, sequence = _HEAD.unpack_from(data, at)
    return Mark(sequence=sequence, start=start, checksum=checksum)


def _checksum(sequence: int, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(_SEQUENCE.pack(sequence)))


def _records(data: bytes, start: int, sequence: int = 0) -> Iterator[tuple[bytes, int]]:
    """Yield each whole record after that of `sequence`, with the offset of its end, up to the first not whole or not next."""
    while (body := _intact(data, start, sequence + 1)) is not None:
        start, sequence = start + _HEAD.size + len(body), sequence + 1
        yield body, start


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

    The rest is searched, so that nothing whole is ever cut off: power loss leaves zeros or rubbish. If a record's head is whole
    and says that it reaches beyond the file's end, it is torn, which is what a kill leaves, or its length is what was damaged.
    What a torn one holds may look like records; only what was written after a damaged one reaches to the very end.
    """
    torn = False
    if start + _HEAD.size <= len(data):
        length, _, found = _HEAD.unpack_from(data, start)
        torn = found == sequence + 1 and length <= _LONGEST_BODY and start + _HEAD.size + length > len(data)
    most = sequence + len(data)
    found_at = (at for at in range(start, len(data) - _HEAD.size) if _intact(data, at, sequence + 1, most) is not None)
    return any(not torn or _all_whole(data, at) for at in found_at)


def _all_whole(data: bytes, start: int) -> bool:
    """Tell whether from `start`, where a whole record begins, there are whole records to the end."""
    _, _, sequence = _HEAD.unpack_from(data, start)
    *_, end = (end for _, end in _records(data, start, sequence - 1))
    return end == len(data)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
