"""Start, stream and stop a child process with all its descendants.

Each child leads a session, so the whole group can be stopped: politely (interrupt), then firmly (terminate), then for
good (kill). When the leader ends, the rest of its group is killed, and so is what has left the group (`orphans`): nothing
an agent started outlives its attempt.
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
from typing import IO, TYPE_CHECKING, Any

from orchestrator.effects import reached
from orchestrator.errors import ProcessError
from orchestrator.processes.orphans import belonging_to, end_orphans, remember, untouchable
from orchestrator.processes.table import Process, all_processes, environment, find, start_time, user_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = [
    "Ending",
    "Exit",
    "Ladder",
    "clean_environment",
    "end_group_of",
    "marked_processes",
    "marks_of",
    "run_group",
]

_CHUNK = 65536
_MARKS = ("ORCH_RUN_FOLDER", "ORCH_TASK", "ORCH_GENERATION")  # of an attempt, in the environment of its processes


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


def marks_of(run_folder: Path) -> dict[str, str]:
    """Return what every process of a run has in its environment: the run's name, and its folder, which no other run has."""
    return {"ORCH_RUN": run_folder.name, "ORCH_RUN_FOLDER": str(run_folder)}


async def run_group(
    command: Sequence[str] | str,
    *,
    cwd: Path,
    env: Mapping[str, str],
    on_output: Callable[[bytes], None],
    stdin: bytes | int = b"",
    errors: IO[bytes] | None = None,
    wall: float | None = None,
    stall: float | None = None,
    stop: asyncio.Event | None = None,
    ladder: Ladder | None = None,
    on_start: Callable[[int], None] = lambda _pid: None,
) -> Exit:
    """Run a command (a string goes to `/bin/sh`) to its end, and return how it ended.

    `on_start` gets the number of the process, which is also its group's; `on_output` gets stdout and stderr as they come.
    `stdin` is what it can read, or the descriptor that it reads from. With `errors`, stderr goes there instead.
    `wall` and `stall` are seconds. If this coroutine is cancelled, the group is killed at once. Whatever else works in `cwd`
    and comes from here is taken for what the command has left, and is killed in the end. So is all of it at once if one of the
    two callbacks raises.

    Raises:
        ProcessError: the program cannot be started.
    """
    argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
    reached("process-start")
    child = _Child.start(argv, cwd, env, stdin, errors)
    reached("process-spawned")
    marks = (
        [f"{name}={env[name]}" for name in _MARKS] if env.keys() >= set(_MARKS) else []
    )  # a gate has not all of them
    belongs = belonging_to(cwd, marks, child.output)
    reader = asyncio.create_task(_read(child, on_output))
    try:
        on_start(child.pid)
        reached("process-started")
        ending = await _wait(child, wall, stall, stop, reader)
        if ending is not Ending.EXITED:
            await _descend(child, ladder or Ladder())
    finally:
        reached("process-end")
        _signal(child.pid, signal.SIGKILL)  # descendants, and the child itself if we were cancelled
        code = await child.exited
        await end_orphans(belongs)
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
    def start(
        cls, argv: list[str], cwd: Path, env: Mapping[str, str], stdin: bytes | int, errors: IO[bytes] | None
    ) -> _Child:
        with tempfile.TemporaryFile() as told:  # a file, not a pipe: a child need not read what it is told
            if isinstance(stdin, bytes):
                told.write(stdin)
                told.seek(0)
            try:
                process = remember(
                    lambda: subprocess.Popen(
                        argv, cwd=cwd, env=dict(env), start_new_session=True,
                        stdin=told if isinstance(stdin, bytes) else stdin, stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT if errors is None else errors,
                    )
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


async def _wait(
    child: _Child, wall: float | None, stall: float | None, stop: asyncio.Event | None, reader: asyncio.Task[None]
) -> Ending:
    stopped = asyncio.create_task((stop or asyncio.Event()).wait())
    either: set[asyncio.Future[Any]] = {child.exited, stopped, reader}
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
            if reader.done():
                reader.result()  # raises if what it printed could not be kept: it must not go on unheard
                either.discard(reader)
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


def marked_processes(runs_folder: Path) -> dict[Process, str]:
    """Return the processes that carry the mark of a run in this folder in their environment, each with its run's name (Linux).

    Those of a run that is being worked on are among them; those that are `untouchable` are not.
    """
    processes = all_processes()
    wanted = os.fsencode(f"ORCH_RUN_FOLDER={runs_folder}/")
    found = {}
    for process in set(processes) - untouchable(processes):
        marks = [mark for mark in environment(process.pid) if mark.startswith(wanted)]
        if marks and user_of(process.pid) == os.getuid():
            found[process] = os.fsdecode(marks[0].removeprefix(wanted))
    return found


async def end_group_of(pid: int, started: int | None, *, patience: float = 3.0) -> bool:
    """End a process that somebody else started, and its group; return False if it does not run any more, or is not ours to end.

    Its start time must be the recorded one, or the number may by now be another's.
    """
    process = find(pid)
    if process is None or process.ended or process.started != started:
        return False
    if user_of(pid) != os.getuid() or process in untouchable(all_processes()):
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
