"""A store in memory, and the table that other stores build on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from copy import deepcopy
from typing import TypeAlias

from contracts.interfaces.store import IStore
from contracts.types.record import Record, Table

__all__ = ["CopyingTable", "MemoryStore", "Rows"]

Rows: TypeAlias = Mapping[str, Record]


class CopyingTable(MutableMapping[str, Record]):
    """A table that hands out copies and calls `save` before each change; if that raises, nothing changes."""

    def __init__(self, rows: Rows, *, save: Callable[[Rows], None]) -> None:
        self._rows = dict(rows)
        self._save = save

    def __getitem__(self, key: str) -> Record:
        return deepcopy(self._rows[key])

    def __setitem__(self, key: str, record: Record) -> None:
        self._commit({**self._rows, key: deepcopy(record)})

    def __delitem__(self, key: str) -> None:
        rows = dict(self._rows)
        del rows[key]
        self._commit(rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def _commit(self, rows: dict[str, Record]) -> None:
        self._save(rows)
        self._rows = rows


class MemoryStore(IStore):
    """Keeps records as long as the process lives."""

    def __init__(self) -> None:
        self._tables: dict[str, Table] = {}

    def table(self, name: str) -> Table:
        """Return the table of that name, empty at first."""
        return self._tables.setdefault(name, CopyingTable({}, save=lambda _: None))
