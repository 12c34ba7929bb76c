"""A program that is talked with: what we write is its input, what it prints is for us, and it ends with the conversation."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import replace
from typing import IO, TYPE_CHECKING

from orchestrator.agents.command import reason_of, run_in_worktree, status_of
from orchestrator.errors import ProcessError
from orchestrator.model.outcome import Outcome, OutcomeStatus
from orchestrator.processes.process import Ending

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from typing import Any

    from orchestrator.agents.base import Assignment
    from orchestrator.processes.process import Exit

__all__ = ["PATIENCE", "STOPPED", "against_path", "converse"]

PATIENCE = 3.0
"""Seconds for a program to end its turn after it was told to, and to exit after its input has ended."""
STOPPED = Outcome(status=OutcomeStatus.STOPPED, reason="stopped before it was finished")
_LONGEST = 16 << 20  # bytes of one message
_LAST = 4000  # bytes of its stderr in a reason


async def converse(
    assignment: Assignment,
    command: str | Sequence[str],
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, Outcome]],
    *,
    extra: Mapping[str, str] | None = None,
) -> Outcome:
    """Run a program in the worktree and talk with it; return what the talk returns, or why it was cut off.

    The limits of time are kept. `talk` looks after `assignment.stop` itself, so that it can be polite. Once it is over, the
    program's input ends, and so does the program, with its whole group. `extra` are variables of its environment.
    """
    limits, own = assignment.task.limits, replace(assignment, stop=asyncio.Event())
    heard = asyncio.StreamReader(limit=_LONGEST)
    from_us, to_it = os.pipe()
    with os.fdopen(from_us, "rb") as its_input, (assignment.confinement.scratch / "stderr").open("w+b") as errors:
        writer = await _writer(to_it)
        running = asyncio.create_task(
            run_in_worktree(
                own, command, wall=limits.wall, stall=limits.stall, on_output=heard.feed_data,
                stdin=its_input.fileno(), errors=errors, extra=extra,
            )
        )  # fmt: skip
        talking = asyncio.create_task(talk(heard, writer))
        stopping = asyncio.create_task(_stop_late(assignment.stop, own.stop))
        try:
            await asyncio.wait({running, talking}, return_when=asyncio.FIRST_COMPLETED)
            writer.close()  # it has nothing more to hear
            await asyncio.wait({running}, timeout=PATIENCE)
            own.stop.set()
            try:
                ended = await running
            except ProcessError as error:
                return Outcome(status=OutcomeStatus.FAILED, reason=error.message, final=True)
            heard.feed_eof()
            await asyncio.wait({talking}, timeout=PATIENCE)
            return _outcome(talking, ended, assignment, _tail(errors))
        finally:
            for task in (talking, running, stopping):
                task.cancel()
            await asyncio.gather(talking, running, stopping, return_exceptions=True)
            writer.close()


def against_path(assignment: Assignment, path: str) -> str:
    """Return why a path that a program names may not be written, with what it was granted; empty if it may."""
    root = os.path.realpath(assignment.folder)
    real = os.path.realpath(assignment.folder / path)  # where a link leads is what would be written
    if not real.startswith(f"{root}/"):
        return f"{path} is outside the worktree"
    inside = real.removeprefix(f"{root}/")
    why = assignment.desk.against_writing(inside)
    return f"{inside}: {why}; if the task cannot be done without it, ask with the board's scope_request" if why else ""


async def _stop_late(outer: asyncio.Event, inner: asyncio.Event) -> None:
    """Stop the program some time after the attempt was told to stop: the talk can be polite, or may have hung itself up."""
    await outer.wait()
    await asyncio.sleep(2 * PATIENCE)
    inner.set()


async def _writer(descriptor: int) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), os.fdopen(descriptor, "wb", buffering=0)
    )
    return asyncio.StreamWriter(transport, protocol, None, loop)


def _outcome(talk: asyncio.Task[Outcome], ended: Exit, assignment: Assignment, said: bytes) -> Outcome:
    """Return how the attempt ended: as the talk did, unless the program's end cut it off."""
    fault = talk.exception() if talk.done() and not talk.cancelled() else None
    if talk.done() and not talk.cancelled() and fault is None:
        return talk.result()
    if assignment.stop.is_set():
        return STOPPED
    if ended.ending in (Ending.TIMED_OUT, Ending.STALLED):
        return Outcome(status=status_of(ended.ending), reason=reason_of(ended.ending, ended.code, assignment, said))
    why = reason_of(Ending.EXITED, ended.code, assignment, said)
    if fault is not None and ended.ending is Ending.STOPPED:  # by us, since the talk could not go on
        why = f"the conversation with it failed: {fault}"
    return Outcome(status=OutcomeStatus.FAILED, reason=why)


def _tail(errors: IO[bytes]) -> bytes:
    with contextlib.suppress(OSError):
        errors.seek(max(errors.seek(0, os.SEEK_END) - _LAST, 0))
        return errors.read()
    return b""
