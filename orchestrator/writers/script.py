"""A script as a writer: the steps of its part, written into the shared files at the pace that they name."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.agents.command import run_command
from orchestrator.agents.script import CHARACTERS, chunks_of, steps_of, text_of
from orchestrator.errors import BoardError
from orchestrator.model import plan as p
from orchestrator.model.agent_events import Called, Returned, Turned
from orchestrator.model.outcome import Outcome, OutcomeStatus
from orchestrator.model.todo_markers import markers

if TYPE_CHECKING:
    from orchestrator.text.seat import FileSeat
    from orchestrator.text.slots import Slot
    from orchestrator.writers.work import Work

__all__ = ["ScriptWriter"]

_CALL = "step"  # one is open at a time


class _Failed(Exception):
    """A step could not be carried out; the message says why."""


class _Stopped(Exception):
    """The attempt is to end."""


class ScriptWriter:
    """Writes what the plan says; the same every time, but for where others have written meanwhile."""

    model = "script@1"

    async def write(self, work: Work) -> Outcome:
        """Carry out every step of this generation, up to the first that fails."""
        started, turns = time.monotonic(), 0
        outcome = Outcome(status=OutcomeStatus.DONE)
        for step in steps_of(work.part.steps, work.assignment.generation):
            turns += 1
            work.assignment.transcript.tell(Turned(number=turns))
            ((tool, given),) = step.model_dump(mode="json", by_alias=True, exclude_unset=True).items()
            arguments = given if isinstance(given, dict) else {tool: given}
            work.assignment.transcript.tell(Called(call=_CALL, tool=tool, arguments=arguments))
            try:
                await _carry_out(step, work)
            except (_Failed, BoardError) as failed:
                work.assignment.transcript.tell(Returned(call=_CALL, text=str(failed), failed=True))
                outcome = Outcome(status=OutcomeStatus.FAILED, reason=f"{tool}: {failed}")
                break
            except _Stopped:
                outcome = Outcome(status=OutcomeStatus.STOPPED, reason="stopped before it was finished")
                break
            work.assignment.transcript.tell(Returned(call=_CALL, effect=True))
        return replace(outcome, turns=turns, seconds=time.monotonic() - started)


async def _carry_out(step: p.Step, work: Work) -> None:
    sources = work.assignment.sources
    match step:
        case p.WriteFile(write=file):
            await _stream(_seat(work, file.path), text_of(file, sources), work, marker=None, rate=None)
        case p.StreamFile(stream=file):
            await _stream(_seat(work, file.path), text_of(file, sources), work, marker=file.marker, rate=file.rate)
        case p.RunCommand(run=command):
            work.write_out()
            outcome = await run_command(work.assignment, command, left=work.assignment.task.limits.wall)
            if not outcome.done:
                raise _Failed(outcome.reason)
        case p.Report(report=text):
            await work.assignment.desk.report(text)
        case p.Sleep(sleep=seconds):
            await _pause(work, seconds)
        case p.Fail(fail=reason):
            raise _Failed(reason)
        case _:
            raise _Failed(
                "this step cannot be carried out where files are shared; write, stream, run, report, sleep and fail can"
            )


def _seat(work: Work, path: str) -> FileSeat:
    if (seat := work.files.get(path)) is None:
        raise _Failed(f"{path} is no shared file; name it in the task's `writes` or in `crdt.files`")
    return seat


async def _stream(seat: FileSeat, text: str, work: Work, *, marker: str | None, rate: float | None) -> None:
    """Write a text in the place of a marker (that which was named, or that of this part), or else at the end."""
    slot = _slot(seat, marker, work)
    try:
        for chunk in chunks_of(text):
            await _pause(work, len(chunk) / CHARACTERS / rate if rate else 0)
            slot.append(chunk)
    finally:
        slot.close()


def _slot(seat: FileSeat, marker: str | None, work: Work) -> Slot:
    names = (marker,) if marker else work.part.names
    whole = str(seat.text)
    for found in markers(whole):
        if found.name in names:
            return seat.slots.replace(found.start, found.end)
    begins_line = bool(whole) and not whole.endswith("\n")
    slot, _ = seat.slots.open(len(whole), new_line="before" if begins_line else None)
    return slot


async def _pause(work: Work, seconds: float) -> None:
    """Wait, and let others write; even no time at all lets them."""
    try:
        await asyncio.wait_for(work.assignment.stop.wait(), seconds or 0.0001)
    except TimeoutError:
        return
    raise _Stopped
