"""Start, stream and stop a child process with all its descendants.

Each child leads a session, so the whole group can be stopped: politely (interrupt), then firmly (terminate), then for
good (kill). A group is always emptied when its leader ends: nothing an agent started in it outlives its attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from orchestrator.effects import reached
from orchestrator.errors import ProcessError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Ending", "Exit", "Ladder", "clean_environment", "end_group_of", "processes_of", "run_group", "start_time"]

_CHUNK = 65536


class Ending(StrEnum):
    """Why a process is over."""

    EXITED = "exited"  # by itself
    TIMED_OUT = "timed-out"  # it used up its wall time
    STALLED = "stalled"  # it printed nothing for too long
    STOPPED = "stopped"  # it was asked to


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a process ended: its exit code (negative: the signal that ended it), why, and after how many seconds."""

    code: int
    ending: Ending
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """Seconds between interrupt, terminate and kill."""

    interrupt: float = 5.0
    terminate: float = 5.0


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without git's variables, and with `extra`.

    An outer git exports `GIT_DIR`, `GIT_INDEX_FILE` and more to its hooks; a child that inherited them would work on
    the wrong repository.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    return {**kept, **(extra or {})}


async def run_group(
    command: Sequence[str] | str,
    *,
    cwd: Path,
    env: Mapping[str, str],
    on_output: Callable[[bytes], None],
    stdin: bytes = b"",
    wall: float | None = None,
    stall: float | None = None,
    stop: asyncio.Event | None = None,
    ladder: Ladder | None = None,
    on_start: Callable[[int], None] = lambda _pid: None,
) -> Exit:
    """Run a command (a string goes to `/bin/sh`) to its end, and return how it ended.

    `on_start` gets the number of the process, which is also its group's; `on_output` gets stdout and stderr as they come.
    `wall` and `stall` are seconds. If this coroutine is cancelled, the group is killed at once.

    Raises:
        ProcessError: the program cannot be started.
    """
    argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
    reached("process-start")
    child = _Child.start(argv, cwd, env, stdin)
    on_start(child.pid)
    reached("process-started")
    reader = asyncio.create_task(_read(child, on_output))
    try:
        ending = await _wait(child, wall, stall, stop)
        if ending is not Ending.EXITED:
            await _descend(child, ladder or Ladder())
    finally:
        _signal(child.pid, signal.SIGKILL)  # descendants, and the child itself if we were cancelled
        code = await child.exited
        await _drain(reader)
    reached("process-ended")
    return Exit(code=code, ending=ending, seconds=time.monotonic() - child.started)


@dataclass(slots=True)
class _Child:
    """A started process; `exited` gets its exit code, `heard` is when it last printed something."""

    pid: int
    output: IO[bytes]
    exited: asyncio.Future[int]
    started: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)

    @classmethod
    def start(cls, argv: list[str], cwd: Path, env: Mapping[str, str], stdin: bytes) -> _Child:
        with tempfile.TemporaryFile() as told:  # a file, not a pipe: a child need not read what it is told
            told.write(stdin)
            told.seek(0)
            try:
                process = subprocess.Popen(
                    argv, cwd=cwd, env=dict(env), start_new_session=True,
                    stdin=told, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                )  # fmt: skip
            except OSError as error:
                raise ProcessError(f"{argv[0]} cannot be started: {error.strerror or error}.") from error
        assert process.stdout is not None
        loop = asyncio.get_running_loop()
        exited: asyncio.Future[int] = loop.create_future()

        def tell(code: int) -> None:
            if not exited.done():
                exited.set_result(code)

        def collect() -> None:
            # asyncio's own process.wait() also waits for the pipe, which a descendant may hold open for ever.
            code = process.wait()
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(tell, code)

        threading.Thread(target=collect, name=f"wait for {argv[0]}", daemon=True).start()
        return cls(pid=process.pid, output=process.stdout, exited=exited)


async def _read(child: _Child, on_output: Callable[[bytes], None]) -> None:
    stream = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), child.output)
    try:
        while chunk := await stream.read(_CHUNK):
            child.heard = time.monotonic()
            on_output(chunk)
    finally:
        transport.close()


async def _wait(child: _Child, wall: float | None, stall: float | None, stop: asyncio.Event | None) -> Ending:
    stopped = asyncio.create_task((stop or asyncio.Event()).wait())
    either: set[asyncio.Future[Any]] = {child.exited, stopped}
    try:
        while True:
            now = time.monotonic()
            if wall is not None and now >= child.started + wall:
                return Ending.TIMED_OUT
            if stall is not None and now >= child.heard + stall:
                return Ending.STALLED
            ends = [end - now for end in (_end(child.started, wall), _end(child.heard, stall)) if end is not None]
            await asyncio.wait(either, timeout=min(ends, default=None), return_when=asyncio.FIRST_COMPLETED)
            if child.exited.done():
                return Ending.EXITED
            if stopped.done():
                return Ending.STOPPED
    finally:
        stopped.cancel()


def _end(start: float, seconds: float | None) -> float | None:
    return None if seconds is None else start + seconds


async def _descend(child: _Child, ladder: Ladder) -> None:
    for number, patience in ((signal.SIGINT, ladder.interrupt), (signal.SIGTERM, ladder.terminate)):
        _signal(child.pid, number)
        done, _ = await asyncio.wait({child.exited}, timeout=patience)
        if done:
            return


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left in the group
        os.killpg(group, number)


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if it does not run, or the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def processes_of(name: str, value: str) -> dict[int, int]:
    """Return number and start time of each process that was started with this in its environment (Linux; else nothing)."""
    wanted, found = f"{name}={value}".encode(), {}
    for place in Path("/proc").glob("[0-9]*/environ"):
        pid = int(place.parent.name)
        try:
            told = wanted in place.read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended, or is not ours to look at
        if told and pid != os.getpid() and (started := start_time(pid)) is not None:
            found[pid] = started
    return found


async def end_group_of(pid: int, started: int | None, *, patience: float = 3.0) -> bool:
    """End a process that somebody else started, and its group; return False if it does not run any more.

    Its start time must be the recorded one, or the number may by now be another's.
    """
    if started is None or start_time(pid) != started:
        return False
    _signal_one(pid, signal.SIGTERM)
    until = time.monotonic() + patience
    while start_time(pid) == started and time.monotonic() < until:  # noqa: ASYNC110 - see below
        await asyncio.sleep(0.02)  # it is not our child: nothing tells us when it ends
    _signal_one(pid, signal.SIGKILL)
    return True


def _signal_one(pid: int, number: signal.Signals) -> None:
    _signal(pid, number)  # the group that it leads, if it leads one
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


async def _drain(reader: asyncio.Task[None]) -> None:
    # A descendant that left the group may still hold the pipe; what it prints from now on is nobody's.
    done, _ = await asyncio.wait({reader}, timeout=1.0)
    if not done:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        return
    reader.result()
