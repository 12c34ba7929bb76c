"""The journal of a run: every event, in order, written down before anybody acts on it. One JSON object a line."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from orchestrator.model.events import event_as_json, event_from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orchestrator.model.events import Event

__all__ = ["Journal", "read_journal"]


class Journal:
    """Appends events to a file; each line has reached the operating system when `append` returns."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = path.open("ab", buffering=0)
        self._clock = clock

    def append(self, event: Event) -> None:
        """Write one event down."""
        line: dict[str, Any] = {"at": round(self._clock(), 3), **event_as_json(event)}
        self._file.write(json.dumps(line, ensure_ascii=True).encode("ascii") + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_journal(path: Path) -> Iterator[tuple[float, Event]]:
    """Yield each event with its time (seconds since the epoch); a torn last line, and what it held, is left out."""
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            data = json.loads(line)
        except ValueError:
            return
        yield data["at"], event_from_json(data)
