"""One replicated document: text values in named maps and arrays, and updates as bytes.

This module and `text.document` are the only ones that touch pycrdt; they keep that library's sharp edges inside:

* Numbers come back as floats and foreign types as objects, so every value is text (JSON, made by `schema`).
* A failing Rust call raises what `except Exception` does not catch; here it becomes a `BoardError`.
* A transaction that fails half-way is still sent. So changes are values, checked before the transaction
  begins; and since they are values, nothing can await, or join in, while it is open.
* An observer that raises surfaces in the writer, so observers only take notes.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pycrdt

from orchestrator.board.wire import encode_number, read_number
from orchestrator.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["NO_CHANGE", "Append", "Change", "Document", "Put", "Remove", "Replica", "check_text", "guarded"]

NO_CHANGE = b"\x00\x00"
"""The update that changes nothing: no blocks, no deletions."""
_ALL = 2**32 - 1  # more changes than one client can make


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """Set one key of a map."""

    map: str
    key: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Take one key out of a map; a key that is not there is no fault."""

    map: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """Add one value at the end of an array; once it holds twice `keep`, only the last `keep` stay.

    Trimming in large steps leaves few marks of the deleted values behind.
    """

    array: str
    value: str
    keep: int


Change = Put | Remove | Append


class Replica:
    """A copy of a document with a client id of its own, never used before: a repeated one diverges for ever, silently.

    Not for threads: one event loop owns it. Each writer's updates must be applied in the order they were made.
    """

    def __init__(self) -> None:
        self._doc: pycrdt.Doc[Any] = pycrdt.Doc()
        self._made: list[bytes] = []
        self._doc.observe(lambda event: self._made.append(event.update))

    @property
    def client_id(self) -> int:
        """The id under which this replica writes."""
        return int(self._doc.client_id)

    def apply(self, *updates: bytes) -> bytes:
        """Take in updates, in this order; return one with what they changed here, `NO_CHANGE` if nothing.

        Raises:
            BoardError: one is not an update, or does not fit; the document must not be trusted any more.
        """
        self._made.clear()
        with guarded("apply an update"), self._doc.transaction():
            for update in updates:
                self._doc.apply_update(update)
        return self._made.pop() if self._made else NO_CHANGE

    def since(self, state: bytes | None) -> bytes:
        """Return one update with all that a replica in that state lacks; everything, if None."""
        with guarded("encode a document"):
            return self._doc.get_update(state)

    def state(self) -> bytes:
        """Return what this replica has, in the form that `since` takes."""
        with guarded("encode a document's state"):
            return self._doc.get_state()

    def writers_in(self, update: bytes) -> set[int]:
        """Return the ids of the clients whose changes an update holds; of several, those that are new here.

        Deletions are nobody's: an update does not say who made them.

        Raises:
            BoardError: it is not an update.
        """
        with guarded("read an update"):
            count, first = _writers(update)
            if count <= 1:
                return {first} if count else set()
            return self.new_writers_in(update)

    def new_writers_in(self, update: bytes) -> set[int]:
        """Return the ids of the clients of whom an update holds changes that are not here yet.

        Raises:
            BoardError: it is not an update.
        """
        found: set[int] = set()
        with guarded("read an update"):
            rest = pycrdt.get_update(update, self._doc.get_state())
            while (header := _writers(rest))[0]:
                if header[1] in found:
                    raise BoardError("an update names one client twice")
                found.add(header[1])
                rest = pycrdt.get_update(rest, encode_number(1) + encode_number(header[1]) + encode_number(_ALL))
        return found


class Document(Replica):
    """Named maps and arrays of text values.

    Such a document has one writer in the whole system; `write` is for that one, `apply` for everybody else.
    """

    def __init__(self) -> None:
        super().__init__()
        self._maps: dict[str, pycrdt.Map[Any]] = {}
        self._arrays: dict[str, pycrdt.Array[Any]] = {}
        self._touched: dict[str, set[str]] = {}

    def write(self, *changes: Change) -> bytes:
        """Make all changes in one transaction; return the update that carries them, `NO_CHANGE` if none.

        Raises:
            BoardError: a value cannot be stored; nothing was changed.
        """
        for change in changes:
            _check_change(change)
        self._made.clear()
        with guarded("write to a document"), self._doc.transaction():
            for change in changes:
                self._make(change)
        return self._made.pop() if self._made else NO_CHANGE

    def get(self, name: str, key: str) -> str | None:
        """Return one value of a map.

        Raises:
            BoardError: it is not text.
        """
        with guarded(f"read {name}"):
            value = self._map(name).get(key)
        if value is not None and not isinstance(value, str):
            raise BoardError(f"{name}[{key[:80]!r}] is not text")
        return value

    def items(self, name: str) -> dict[str, str]:
        """Return a map's values, without those that are not text (a foreign writer may store anything)."""
        with guarded(f"read {name}"):
            # One call into Rust for the whole map; going key by key takes five times as long.
            values = json.loads(str(self._map(name)))
        return {key: value for key, value in values.items() if isinstance(value, str)}

    def entries(self, name: str) -> list[str]:
        """Return an array's values in order, without those that are not text."""
        with guarded(f"read {name}"):
            values = json.loads(str(self._array(name)))
        return [value for value in values if isinstance(value, str)]

    def watch(self, name: str) -> None:
        """From now on take down which keys of a map are set or removed, for `touched`."""
        if name not in self._touched:
            keys = self._touched[name] = set()
            self._map(name).observe(lambda event: keys.update(event.keys))  # type: ignore[attr-defined]

    def touched(self, name: str) -> list[str]:
        """Return the watched map's keys that changed since the last call, sorted."""
        keys = sorted(self._touched[name])
        self._touched[name].clear()
        return keys

    def _make(self, change: Change) -> None:
        match change:
            case Put():
                self._map(change.map)[change.key] = change.value
            case Remove():
                self._map(change.map).pop(change.key, None)
            case Append():
                array = self._array(change.array)
                array.append(change.value)
                if len(array) >= 2 * change.keep:
                    del array[: len(array) - change.keep]

    def _map(self, name: str) -> pycrdt.Map[Any]:
        if name not in self._maps:
            self._maps[name] = self._doc.get(name, type=pycrdt.Map)
        return self._maps[name]

    def _array(self, name: str) -> pycrdt.Array[Any]:
        if name not in self._arrays:
            self._arrays[name] = self._doc.get(name, type=pycrdt.Array)
        return self._arrays[name]


def check_text(text: str) -> None:
    """Do nothing, or raise.

    Raises:
        BoardError: a text is not valid Unicode, so it cannot be stored.
    """
    try:
        text.encode()
    except UnicodeEncodeError as fault:
        raise BoardError(f"{text[:80]!r} cannot be stored: it is not valid Unicode") from fault


def _check_change(change: Change) -> None:
    texts: Iterable[str] = (change.value,) if isinstance(change, Append) else (change.key,)
    if isinstance(change, Put):
        texts = (change.key, change.value)
    for text in texts:
        check_text(text)


def _writers(update: bytes) -> tuple[int, int]:
    """Return of how many clients an update holds changes, and the id of the first: that is how an update begins."""
    count, at = read_number(update, 0)
    if count == 0:
        return 0, 0
    _, at = read_number(update, at)
    return count, read_number(update, at)[0]


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Let what pycrdt raises in here leave as a `BoardError`."""
    try:
        yield
    except BoardError:
        raise
    except (KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError):
        raise
    except BaseException as fault:  # pycrdt's PanicException derives from BaseException alone
        raise BoardError(f"could not {what}: {fault}") from fault
