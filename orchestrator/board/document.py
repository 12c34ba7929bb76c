"""One replicated document: text values in named maps and arrays, and updates as bytes.

This is the only module that touches pycrdt; it keeps that library's sharp edges inside:

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

from orchestrator.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["NO_CHANGE", "Append", "Change", "Document", "Put", "Remove"]

NO_CHANGE = b"\x00\x00"
"""The update that changes nothing: no blocks, no deletions."""


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


class Document:
    """A replica with a client id of its own, never used before: a repeated one diverges for ever, silently.

    Not for threads: one event loop owns it. A document has one writer in the whole system; `write` is for
    that one, `apply` for everybody else, and each writer's updates must be applied in the order they were
    made.
    """

    def __init__(self) -> None:
        self._doc: pycrdt.Doc[Any] = pycrdt.Doc()
        self._made: list[bytes] = []
        self._maps: dict[str, pycrdt.Map[Any]] = {}
        self._arrays: dict[str, pycrdt.Array[Any]] = {}
        self._touched: dict[str, set[str]] = {}
        self._doc.observe(lambda event: self._made.append(event.update))

    def write(self, *changes: Change) -> bytes:
        """Make all changes in one transaction; return the update that carries them, `NO_CHANGE` if none.

        Raises:
            BoardError: a value cannot be stored; nothing was changed.
        """
        for change in changes:
            _check_text(change)
        self._made.clear()
        with _guarded("write to a document"), self._doc.transaction():
            for change in changes:
                self._make(change)
        return self._made.pop() if self._made else NO_CHANGE

    def apply(self, *updates: bytes) -> bytes:
        """Take in updates, in this order; return one with what they changed here, `NO_CHANGE` if nothing.

        Raises:
            BoardError: one is not an update, or does not fit; the document must not be trusted any more.
        """
        self._made.clear()
        with _guarded("apply an update"), self._doc.transaction():
            for update in updates:
                self._doc.apply_update(update)
        return self._made.pop() if self._made else NO_CHANGE

    def since(self, state: bytes | None) -> bytes:
        """Return one update with all that a replica in that state lacks; everything, if None."""
        with _guarded("encode a document"):
            return self._doc.get_update(state)

    def state(self) -> bytes:
        """Return what this replica has, in the form that `since` takes."""
        with _guarded("encode a document's state"):
            return self._doc.get_state()

    def get(self, name: str, key: str) -> str | None:
        """Return one value of a map.

        Raises:
            BoardError: it is not text.
        """
        with _guarded(f"read {name}"):
            value = self._map(name).get(key)
        if value is not None and not isinstance(value, str):
            raise BoardError(f"{name}[{key[:80]!r}] is not text")
        return value

    def items(self, name: str) -> dict[str, str]:
        """Return a map's values, without those that are not text (a foreign writer may store anything)."""
        with _guarded(f"read {name}"):
            # One call into Rust for the whole map; going key by key takes five times as long.
            values = json.loads(str(self._map(name)))
        return {key: value for key, value in values.items() if isinstance(value, str)}

    def entries(self, name: str) -> list[str]:
        """Return an array's values in order, without those that are not text."""
        with _guarded(f"read {name}"):
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


def _check_text(change: Change) -> None:
    texts: Iterable[str] = (change.value,) if isinstance(change, Append) else (change.key,)
    if isinstance(change, Put):
        texts = (change.key, change.value)
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as fault:
            raise BoardError(f"{text[:80]!r} cannot be stored: it is not valid Unicode") from fault


@contextmanager
def _guarded(what: str) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError):
        raise
    except BaseException as fault:  # pycrdt's PanicException derives from BaseException alone
        raise BoardError(f"could not {what}: {fault}") from fault
