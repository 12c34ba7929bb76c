"""The script agent: the steps that a plan spells out, run in order. No model, no network; the same every time."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.agents.command import run_command
from orchestrator.errors import ClaimRefused
from orchestrator.model import plan as p
from orchestrator.model.agent_events import Called, Returned, Turned
from orchestrator.model.outcome import Outcome, OutcomeStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from orchestrator.agents.base import Assignment

__all__ = ["ScriptAgent"]

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
        raise _StepFailed(f"the limit of {limits.turns} turns is used up")
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
        case p.DeleteFile(delete=path):
            _delete(assignment.folder, path)
        case p.ApplyPatch(patch=source):
            await _patch(assignment, source)
        case p.RunCommand(run=command):
            await _run(assignment, command, started)
        case p.ClaimTodo(claim=todo):
            try:
                await assignment.desk.claim(todo)
            except ClaimRefused as refused:
                raise _StepFailed(f"claim {todo}: {refused.message}") from refused
        case p.FinishTodo(done=todo):
            try:
                await assignment.desk.done(todo)
            except ClaimRefused as refused:
                raise _StepFailed(f"done {todo}: {refused.message}") from refused
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


async def _ask(assignment: Assignment, text: str, started: float) -> None:
    question = await assignment.desk.ask(text)
    while (answer := await assignment.desk.answer_to(question, _LOOK)) is None:
        _check_limits(assignment, 0, time.monotonic() - started)
    assignment.transcript.write("answer", question=question, text=answer)


def _place(folder: Path, path: str) -> Path:
    """Return where a path of the plan lies in the worktree, or fail if a link on the way leads out of it."""
    place = folder / path
    if folder.is_symlink() or not place.parent.resolve().is_relative_to(folder.resolve()):
        raise _StepFailed(f"{path} leads out of the worktree through a symbolic link")
    return place


def _write(folder: Path, path: str, content: bytes) -> None:
    place = _place(folder, path)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_symlink():
            place.unlink()  # the link is replaced, as git does, and not what it points at
        place.write_bytes(content)
    except OSError as error:
        raise _StepFailed(f"write {path}: {error.strerror}") from error


def _delete(folder: Path, path: str) -> None:
    try:
        _place(folder, path).unlink()
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
