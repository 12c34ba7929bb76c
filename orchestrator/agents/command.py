"""The command agent: any program that reads a prompt, works in its folder, and exits with 0 when it is done."""

from __future__ import annotations

import shlex
from collections import deque
from typing import TYPE_CHECKING

from orchestrator.errors import ProcessError
from orchestrator.model.outcome import Outcome, OutcomeStatus
from orchestrator.process import Ending, clean_environment, marks_of, run_group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.agents.base import Assignment

__all__ = ["CommandAgent", "run_command"]

_NO_COMMAND = (126, 127)  # what a shell exits with when a command may not be run, or does not exist
_STATUS = {
    Ending.TIMED_OUT: OutcomeStatus.TIMED_OUT,
    Ending.STALLED: OutcomeStatus.STALLED,
    Ending.STOPPED: OutcomeStatus.STOPPED,
}


class CommandAgent:
    """Runs one program for the whole task.

    It gets the briefing on its standard input and in the file `$ORCH_PROMPT`, runs in the worktree, and its exit code
    decides. Since it knows nothing of the board, the TODOs of its task are claimed before it starts and done when it ends well.
    """

    def __init__(self, command: str | Sequence[str], model: str) -> None:
        self._command = command
        self.model = model

    async def work(self, assignment: Assignment) -> Outcome:
        """Run the program to its end."""
        for todo in assignment.task.todos:
            await assignment.desk.claim(todo.id)
        outcome = await run_command(
            assignment, self._command, left=assignment.task.limits.wall, stdin=assignment.briefing.encode()
        )
        if outcome.done:
            for todo in assignment.task.todos:
                await assignment.desk.done(todo.id)
        return outcome


async def run_command(
    assignment: Assignment, command: str | Sequence[str], *, left: float, stdin: bytes = b""
) -> Outcome:
    """Run a program in the worktree, its output in the transcript, for at most `left` seconds."""
    shown = command if isinstance(command, str) else shlex.join(command)
    assignment.transcript.write("command", command=shown)
    last: deque[bytes] = deque(maxlen=16)

    def keep(chunk: bytes) -> None:
        last.append(chunk)
        assignment.transcript.output(chunk)

    try:
        ended = await run_group(
            command, cwd=assignment.folder, env=_environment(assignment), on_output=keep, stdin=stdin,
            wall=max(left, 0.0), stall=assignment.task.limits.stall, stop=assignment.stop, on_start=assignment.on_process,
        )  # fmt: skip
    except ProcessError as error:
        return Outcome(status=OutcomeStatus.FAILED, reason=error.message, turns=1, final=True)
    assignment.transcript.write("exit", code=ended.code, ending=ended.ending.value)
    if ended.ending is Ending.EXITED and ended.code == 0:
        return Outcome(status=OutcomeStatus.DONE, seconds=ended.seconds, turns=1)
    return Outcome(
        status=_STATUS.get(ended.ending, OutcomeStatus.FAILED),
        reason=_why(ended.ending, ended.code, assignment, b"".join(last)),
        seconds=ended.seconds,
        turns=1,
        final=ended.ending is Ending.EXITED and ended.code in _NO_COMMAND,
    )


def _why(ending: Ending, code: int, assignment: Assignment, output: bytes) -> str:
    limits = assignment.task.limits
    if ending is Ending.TIMED_OUT:
        return f"the time limit of {limits.wall:g} s is used up"
    if ending is Ending.STALLED:
        return f"it printed nothing for {limits.stall:g} s"
    if ending is Ending.STOPPED:
        return "stopped before it was finished"
    said = output.decode("utf-8", "replace").strip()[-2000:]
    how = f"ended with exit code {code}" if code >= 0 else f"was ended by signal {-code}"
    return f"{how}; its last words:\n{said}" if said else f"{how} and printed nothing"


def _environment(assignment: Assignment) -> dict[str, str]:
    return clean_environment(
        {
            **marks_of(assignment.run_folder),
            "ORCH_TASK": assignment.task.id,
            "ORCH_GENERATION": str(assignment.generation),
            "ORCH_BRANCH": assignment.branch,
            "ORCH_BASE": assignment.commit,
            "ORCH_PROMPT": str(assignment.briefing_file),
            **assignment.access,
            **{f"ORCH_PORT_{number}" if number else "ORCH_PORT": str(p) for number, p in enumerate(assignment.ports)},
        }
    )
