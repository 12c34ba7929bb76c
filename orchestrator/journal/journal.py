"""The journal of a run: every event, in order, written down before anybody acts on it.

Each record of the file (`record_file`) is one event as JSON, with the time at which it happened. The state of a run is the
fold of its journal; one process at a time may write it, which is what makes a run have one orchestrator.

Beside the journal stands `journal.state`: the state after one of its records, so that only what follows has to be folded. It is
an aid and never trusted: where anything about it does not fit, the state is the fold of all records.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from orchestrator import __version__
from orchestrator.effects import reached
from orchestrator.errors import StoreError, UsageError
from orchestrator.files import delete, write_whole
from orchestrator.journal.record_file import Mark, RecordFile, is_locked, read_after, read_records
from orchestrator.model.events import Resumed, RunEnded, RunStarted, event_as_json, event_from_json
from orchestrator.model.state import RunState, fold
from orchestrator.model.stored_state import layout_of_state, state_as_json, state_from_json
from orchestrator.processes.table import all_processes, paths_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orchestrator.model.events import Event

__all__ = ["Journal", "follow_journal", "is_free", "new_journal", "read_journal", "state_in"]

_MAGIC, _KIND = b"orjrnal1", "journal"
_STATE_VERSION = 1  # raise it when the same events come to another state
_STORED_EVERY = 1000  # events


class Journal:
    """Appends events; one has reached the operating system when `append` returns, and the disk after `sync`.

    `state` is what all of them come to.
    """

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
        self._unstored = 0
        self.state = state_in(path)

    def append(self, event: Event) -> None:
        """Write one event down."""
        line: dict[str, Any] = {"at": round(self._clock(), 3), **event_as_json(event)}
        reached("journal-append")
        self._file.append([json.dumps(line, ensure_ascii=True, separators=(",", ":")).encode("ascii")])
        reached("journal-appended")
        self.state = fold(self.state, event)
        self._unstored += 1
        if self._unstored >= _STORED_EVERY:
            self._store()

    def sync(self) -> None:
        """Force to the disk what was appended; callers that meet here share one write."""
        self._file.sync()

    def close(self) -> None:
        """Store the state and close the file, which lets another process go on with the run."""
        try:
            self._store()
        finally:
            self._file.close()

    def _store(self) -> None:
        """Store the state beside the journal if it has changed since; a full disk is no reason to fail."""
        if self._unstored and self._file.last is not None:
            with contextlib.suppress(OSError):
                write_whole(_state_file(self._file.path), _stored_form(self.state, self._file.last))
            self._unstored = 0


def new_journal(folder: Path) -> Journal:
    """Make a run's folder and open its journal, before anything else is in it; what a kill has left before a run began will do.

    Raises:
        UsageError: there is a run of this name, or another process begins one just now.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if {place.name for place in folder.iterdir()} <= {"plan", "journal"}:
        journal = Journal(folder / "journal")
        if journal.state.started is None:
            delete(folder / "plan")
            return journal
        journal.close()
    raise UsageError(f"There is a run {folder.name} already.", hint="Choose another name with --run, or leave it out.")


def _writer_of(path: Path) -> str:
    """Return the number of the process that has the journal open; whoever has just taken the run over has not yet said so."""
    pids = [event.pid for _, event in read_journal(path) if isinstance(event, RunStarted | Resumed)][-1:]
    openers = [p.pid for p in all_processes() if p.pid != os.getpid() and str(path) in paths_of(p.pid)]
    pid = next(iter([*(pid for pid in pids if pid in openers), *openers, *pids]), None)
    return f" (pid {pid})" if pid is not None else ""


def read_journal(path: Path) -> Iterator[tuple[float, Event]]:
    """Yield each event with its time (seconds since the epoch); one that is only half there is left out.

    Raises:
        StoreError: there is no such journal, or another version of orch wrote it.
    """
    for body in read_records(path, _MAGIC, _KIND):
        yield _decoded(path, body)


def _decoded(path: Path, body: bytes) -> tuple[float, Event]:
    try:
        data = json.loads(body)
        return data["at"], event_from_json(data)
    except (LookupError, TypeError, ValueError) as error:
        raise StoreError(
            f"{path} has an event that this version of orch does not know",
            hint="Another version wrote it. Use that one for this run.",
        ) from error


def follow_journal(path: Path) -> Iterator[tuple[float, Event]]:
    """Yield each event with its time, those to come too, until one says that the run has ended."""
    from watchfiles import watch

    seen = 0
    for _ in itertools.chain([()], watch(path.parent, recursive=False, yield_on_timeout=True, rust_timeout=1000)):
        events = list(read_journal(path))
        yield from events[seen:]
        turns = [event for _, event in events if isinstance(event, RunEnded | Resumed)]
        if events[seen:] and turns and isinstance(turns[-1], RunEnded):  # something may be noticed after that, too
            return
        seen = len(events)


def is_free(path: Path) -> bool:
    """Tell whether no process is working on the run."""
    return not is_locked(path)


def state_in(path: Path) -> RunState:
    """Return the state that a journal tells.

    Raises:
        StoreError: there is no such journal, or another version of orch wrote it.
    """
    state, bodies = _stored(path) or (RunState(), read_records(path, _MAGIC, _KIND))
    for body in bodies:
        state = fold(state, _decoded(path, body)[1])
    return state


def _stored(path: Path) -> tuple[RunState, Iterator[bytes]] | None:
    """Return the stored state of a journal, and the records after it; None if there is none that can be relied on."""
    try:
        head, _, body = _state_file(path).read_bytes().partition(b"\n")
    except OSError:
        return None
    if head != _head(body):
        return None
    data = json.loads(body)
    bodies = read_after(path, _MAGIC, Mark(**data["after"]))
    return None if bodies is None else (state_from_json(data["state"]), bodies)


def _stored_form(state: RunState, after: Mark) -> bytes:
    data = {"after": asdict(after), "state": state_as_json(state)}
    body = json.dumps(data, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return _head(body) + b"\n" + body


def _head(body: bytes) -> bytes:
    """Return the first line of the file: who else wrote it, for another layout or with another body, wrote another line."""
    digest = hashlib.sha256(body).hexdigest()
    return f"orch {__version__} state {_STATE_VERSION} {layout_of_state()} {digest}".encode()


def _state_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.state")
