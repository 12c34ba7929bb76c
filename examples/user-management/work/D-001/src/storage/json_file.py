"""All records in one JSON file."""

from __future__ import annotations

import json
import os
import tempfile
from functools import partial
from pathlib import Path

from contracts.interfaces.store import IStore
from contracts.types.errors import StoreError
from contracts.types.record import Table
from src.shared.store import CopyingTable, Rows

__all__ = ["JsonFileStore"]

_VERSION = 1


class JsonFileStore(IStore):
    """Writes the whole file on each change: right for hundreds of users and one process at a time.

    The file appears with the first change, is readable by its owner only, and is replaced in one step:
    whatever happens, it holds either the old records or the new ones.
    """

    def __init__(self, path: Path) -> None:
        """Read the file, if it exists.

        Raises:
            StoreError: it is not a file that this class wrote.
        """
        self._path = path.resolve()  # so that a link stays a link
        self._rows = _read(self._path)
        self._tables: dict[str, Table] = {}

    def table(self, name: str) -> Table:
        """Return the table of that name, empty at first."""
        if name not in self._tables:
            self._tables[name] = CopyingTable(self._rows.get(name, {}), save=partial(self._save, name))
        return self._tables[name]

    def _save(self, name: str, rows: Rows) -> None:
        changed = {**self._rows, name: rows}
        text = json.dumps({"version": _VERSION, "tables": changed}, indent=2, sort_keys=True)
        _replace(self._path, text + "\n")
        self._rows = changed


def _read(path: Path) -> dict[str, Rows]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {path}: {error}") from error
    if (
        not isinstance(data, dict)
        or data.get("version") != _VERSION
        or not isinstance(data.get("tables"), dict)
    ):
        raise StoreError(f"{path} is not a store of version {_VERSION}")
    tables: dict[str, Rows] = data["tables"]
    return tables


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
