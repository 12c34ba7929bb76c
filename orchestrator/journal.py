"""The journal of a run: every event, in order, written down before anybody acts on it.

Each record of the file (`record_file`) is one event as JSON, with the time at which it happened. The state of a run is the
fold of its journal; one process at a time may write it, which is what makes a run have one orchestrator.
"""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING, Any

from orchestrator.effects import reached
from orchestrator.errors import StoreError, UsageError
from orchestrator.model.events import Resumed, RunEnded, RunStarted, event_as_json, event_from_json
from orchestrator.model.state import RunState, fold
from orchestrator.record_file import RecordFile, is_locked, read_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orchestrator.model.events import Event

__all__ = ["Journal", "follow_journal", "is_free", "read_journal", "state_in"]

_MAGIC, _KIND = b"orjrnal1", "journal"


class Journal:
    """Appends events; one has reached the operating system when `append` returns, and the disk after `sync`."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        """Open the journal for writing, and repair a torn end.

        Raises:
            UsageError: another process is working on this run.
            StoreError: the file is damaged.
        """
        try:
            self._file = RecordFile(path, _MAGIC, _KIND)
        except StoreError as error:
            if "another process" not in error.message:
                raise
            raise UsageError(
                f"The run {path.parent.name} is being worked on by another process{_writer_of(path)}.",
                hint="Look on with `orch log --follow`, or end that process first.",
            ) from error
        self._clock = clock

    def append(self, event: Event) -> None:
        """Write one event down."""
        line: dict[str, Any] = {"at": round(self._clock(), 3), **event_as_json(event)}
        reached("journal-append")
        self._file.append([json.dumps(line, ensure_ascii=True, separators=(",", ":")).encode("ascii")])
        reached("journal-appended")

    def sync(self) -> None:
        """Force to the disk what was appended; callers that meet here share one write."""
        self._file.sync()

    def close(self) -> None:
        """Close the file, which lets another process go on with the run."""
        self._file.close()


def _writer_of(path: Path) -> str:
    pids = [event.pid for _, event in read_journal(path) if isinstance(event, RunStarted | Resumed)]
    return f" (pid {pids[-1]})" if pids else ""


def read_journal(path: Path) -> Iterator[tuple[float, Event]]:
    """Yield each event with its time (seconds since the epoch); one that is only half there is left out.

    Raises:
        StoreError: there is no such journal.
    """
    for body in read_records(path, _MAGIC, _KIND):
        data = json.loads(body)
        yield data["at"], event_from_json(data)


def follow_journal(path: Path) -> Iterator[tuple[float, Event]]:
    """Yield each event with its time, those to come too, until one says that the run has ended."""
    from watchfiles import watch

    seen = 0
    for _ in itertools.chain([()], watch(path.parent, recursive=False, yield_on_timeout=True, rust_timeout=1000)):
        events = list(read_journal(path))
        yield from events[seen:]
        if events[seen:] and isinstance(events[-1][1], RunEnded):
            return
        seen = len(events)


def is_free(path: Path) -> bool:
    """Tell whether no process is working on the run."""
    return not is_locked(path)


def state_in(path: Path) -> RunState:
    """Return the state that a journal tells."""
    state = RunState()
    for _, event in read_journal(path):
        state = fold(state, event)
    return state
