"""The script agent: the steps that a plan spells out, run in order. No model, no network; the same every time."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.agents.command import run_command
from orchestrator.errors import ClaimRefused
from orchestrator.files import Elsewhere, place_in, text_in, write_in
from orchestrator.model import plan as p
from orchestrator.model.agent_events import Called, Returned, Turned
from orchestrator.model.budget import turns_used_up
from orchestrator.model.outcome import Outcome, OutcomeStatus
from orchestrator.model.todo_markers import markers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from orchestrator.agents.base import Assignment
    from orchestrator.model.plan_steps import StreamedText

__all__ = ["CHARACTERS", "ScriptAgent", "chunks_of", "parted_at", "steps_of", "text_of"]

CHARACTERS = 4
"""What a token is, roughly."""
_CALL = "step"  # one is open at a time
_LOOK = 1.0  # seconds between two looks at whether the attempt is to end, while an answer is waited for


@dataclass(frozen=True, slots=True)
class _StepFailed(Exception):
    """A step could not be carried out; ends the attempt as failed."""

    reason: str
    status: OutcomeStatus = OutcomeStatus.FAILED
    final: bool = False


class ScriptAgent:
    """Runs the task's steps; each one is a turn."""

    model = "script@1"
    credential = None

    async def work(self, assignment: Assignment) -> Outcome:
        """Run every step of this generation, up to the first that fails."""
        started = time.monotonic()
        turns, summary = 0, ""
        outcome = Outcome(status=OutcomeStatus.DONE)
        for step in steps_of(assignment.task.steps, assignment.generation):
            try:
                _check_limits(assignment, turns, time.monotonic() - started)
                turns += 1
                assignment.transcript.tell(Turned(number=turns))
                await _tell_and_carry_out(step, assignment, started)
            except _StepFailed as failed:
                outcome = Outcome(status=failed.status, reason=failed.reason, final=failed.final)
                break
            summary = step.report if isinstance(step, p.Report) else summary
        seconds = time.monotonic() - started
        return replace(outcome, summary=summary, turns=turns, seconds=seconds)


def steps_of(steps: Iterable[p.Step], generation: int) -> Iterator[p.Step]:
    """Yield the steps that a generation runs, those under a fitting `when` in their place."""
    for step in steps:
        if not isinstance(step, p.OnlyWhen):
            yield step
        elif step.when.generation == generation:
            yield from steps_of(step.when.do, generation)


def _check_limits(assignment: Assignment, turns: int, seconds: float) -> None:
    limits = assignment.task.limits
    if assignment.stop.is_set():
        raise _StepFailed("stopped before it was finished", OutcomeStatus.STOPPED)
    if limits.turns is not None and turns >= limits.turns:
        raise _StepFailed(turns_used_up(limits.turns))
    if seconds >= limits.wall:
        raise _out_of_time(assignment)


def _out_of_time(assignment: Assignment) -> _StepFailed:
    return _StepFailed(f"the time limit of {assignment.task.limits.wall:g} s is used up", OutcomeStatus.TIMED_OUT)


async def _tell_and_carry_out(step: p.Step, assignment: Assignment, started: float) -> None:
    if isinstance(step, p.RunCommand):  # run_command() tells of it
        await _carry_out(step, assignment, started)
        return
    ((tool, arguments),) = step.model_dump(mode="json", by_alias=True, exclude_unset=True).items()
    given = arguments if isinstance(arguments, dict) else {tool: arguments}
    assignment.transcript.tell(Called(call=_CALL, tool=tool, arguments=given))
    try:
        await _carry_out(step, assignment, started)
    except _StepFailed as failed:
        assignment.transcript.tell(Returned(call=_CALL, text=failed.reason, failed=True))
        raise
    assignment.transcript.tell(Returned(call=_CALL, effect=True))


async def _carry_out(step: p.Step, assignment: Assignment, started: float) -> None:
    match step:
        case p.WriteFile(write=file):
            content = file.text.encode() if file.text is not None else assignment.sources[file.source or ""]
            _write(assignment.folder, file.path, content)
        case p.StreamFile(stream=streamed):
            await _stream(assignment, streamed, started)
        case p.DeleteFile(delete=path):
            _delete(assignment.folder, path)
        case p.ApplyPatch(patch=source):
            await _patch(assignment, source)
        case p.RunCommand(run=command):
            await _run(assignment, command, started)
        case p.ClaimTodo() | p.FinishTodo():
            await _claim_or_finish(step, assignment)
        case p.Report(report=text):
            await assignment.desk.report(text)
        case p.WidenScope(widen=globs):
            try:
                await assignment.desk.widen(globs, "a step of the plan")
            except ClaimRefused as refused:
                raise _StepFailed(refused.message) from refused
        case p.AskPerson(ask=question):
            await _ask(assignment, question, started)
        case p.Sleep(sleep=seconds):
            await _sleep(assignment, seconds, started)
        case p.Fail(fail=reason):
            raise _StepFailed(reason)


async def _claim_or_finish(step: p.ClaimTodo | p.FinishTodo, assignment: Assignment) -> None:
    desk = assignment.desk
    what, todo, act = (
        ("claim", step.claim, desk.claim) if isinstance(step, p.ClaimTodo) else ("done", step.done, desk.done)
    )
    try:
        await act(todo)
    except ClaimRefused as refused:
        raise _StepFailed(f"{what} {todo}: {refused.message}") from refused


async def _ask(assignment: Assignment, text: str, started: float) -> None:
    question = await assignment.desk.ask(text)
    while (answer := await assignment.desk.answer_to(question, _LOOK)) is None:
        _check_limits(assignment, 0, time.monotonic() - started)
    assignment.transcript.write("answer", question=question, text=answer)


def _write(folder: Path, path: str, content: bytes) -> None:
    try:
        write_in(folder, path, content)
    except Elsewhere as elsewhere:
        raise _StepFailed(str(elsewhere)) from elsewhere
    except OSError as error:
        raise _StepFailed(f"write {path}: {error.strerror}") from error


async def _stream(assignment: Assignment, streamed: StreamedText, started: float) -> None:
    """Write on in a file as a model writes, at its marker or at its end; whoever reads meanwhile sees a part."""
    try:
        text = text_in(assignment.folder, streamed.path)
    except (Elsewhere, UnicodeDecodeError) as wrong:
        raise _StepFailed(f"stream {streamed.path}: {wrong}") from wrong
    before, after = parted_at(text, streamed.marker)
    written = ""
    for chunk in chunks_of(text_of(streamed, assignment.sources)):
        await _sleep(assignment, len(chunk) / CHARACTERS / streamed.rate, started)
        written += chunk
        _write(assignment.folder, streamed.path, f"{before}{written}{after}".encode())


def text_of(file: p.FileText, sources: Mapping[str, bytes]) -> str:
    """Return the text of a step, which stands in the plan or in a file beside it."""
    return file.text if file.text is not None else sources[file.source or ""].decode("utf-8")


def chunks_of(text: str) -> Iterator[str]:
    """Yield a text in tokens."""
    return (text[start : start + CHARACTERS] for start in range(0, len(text), CHARACTERS))


def parted_at(text: str, marker: str | None) -> tuple[str, str]:
    """Return what stands before and after the place of a streamed text: its marker, or the end, on a line of its own."""
    for found in markers(text) if marker is not None else ():
        if found.name == marker:
            return text[: found.start], text[found.end :]
    return (text if not text or text.endswith("\n") else f"{text}\n"), ""


def _delete(folder: Path, path: str) -> None:
    try:
        place_in(folder, path).unlink()
    except Elsewhere as elsewhere:
        raise _StepFailed(str(elsewhere)) from elsewhere
    except OSError as error:
        raise _StepFailed(f"delete {path}: {error.strerror}") from error


async def _patch(assignment: Assignment, source: str) -> None:
    patch = assignment.sources[source]
    if patch.strip() and (against := await assignment.apply_patch(patch)):
        raise _StepFailed(f"patch {source}: {against}")


async def _run(assignment: Assignment, command: str, started: float) -> None:
    outcome = await run_command(assignment, command, left=assignment.task.limits.wall - (time.monotonic() - started))
    if not outcome.done:
        raise _StepFailed(f"run {command!r}: {outcome.reason}", outcome.status, outcome.final)


async def _sleep(assignment: Assignment, seconds: float, started: float) -> None:
    left = assignment.task.limits.wall - (time.monotonic() - started)
    try:
        await asyncio.wait_for(assignment.stop.wait(), min(seconds, max(left, 0)))
    except TimeoutError:
        if seconds > left:
            raise _out_of_time(assignment) from None
        return
    raise _StepFailed("stopped before it was finished", OutcomeStatus.STOPPED)
