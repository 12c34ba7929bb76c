"""The command agent: any program that reads a prompt, works in its folder, and exits with 0 when it is done."""

from __future__ import annotations

import shlex
from collections import deque
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from orchestrator.errors import ProcessError
from orchestrator.model.agent_events import Called, Returned, Turned
from orchestrator.model.outcome import Outcome, OutcomeStatus
from orchestrator.processes.process import Ending, Exit, marks_of, run_group

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import IO

    from orchestrator.agents.base import Assignment

__all__ = ["CommandAgent", "reason_of", "run_command", "run_in_worktree", "status_of"]

_CALL = "run"  # only one of these calls is open at a time
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
        self.credential = None

    async def work(self, assignment: Assignment) -> Outcome:
        """Run the program to its end."""
        for todo in assignment.task.todos:
            await assignment.desk.claim(todo.id)
        assignment.transcript.tell(Turned(number=1))
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
    assignment.transcript.tell(Called(call=_CALL, tool="run", arguments={"command": shown}))
    last: deque[bytes] = deque(maxlen=16)
    try:
        ended = await run_in_worktree(
            assignment, command, wall=max(left, 0.0), stall=assignment.task.limits.stall, stdin=stdin, on_output=last.append
        )  # fmt: skip
    except ProcessError as error:
        assignment.transcript.tell(Returned(call=_CALL, text=error.message, failed=True))
        return Outcome(status=OutcomeStatus.FAILED, reason=error.message, turns=1, final=True)
    done = ended.ending is Ending.EXITED and ended.code == 0
    said = f"{ended.ending}, exit code {ended.code}"
    assignment.transcript.tell(Returned(call=_CALL, text=said, failed=not done, effect=True))
    if done:
        return Outcome(status=OutcomeStatus.DONE, seconds=ended.seconds, turns=1)
    return Outcome(
        status=status_of(ended.ending),
        reason=reason_of(ended.ending, ended.code, assignment, b"".join(last)),
        seconds=ended.seconds,
        turns=1,
        final=ended.ending is Ending.EXITED and ended.code in _NO_COMMAND,
    )


async def run_in_worktree(
    assignment: Assignment,
    command: str | Sequence[str],
    *,
    wall: float,
    on_output: Callable[[bytes], object],
    stall: float | None = None,
    stdin: bytes | int = b"",
    errors: IO[bytes] | None = None,
    extra: Mapping[str, str] | None = None,
) -> Exit:
    """Run a program in the worktree with the attempt's variables and with `extra`; return how it ended.

    What it prints goes to the transcript and to `on_output`. `wall` and `stall` are seconds; `stdin` and `errors` are those
    of `run_group`.

    Raises:
        ProcessError: it cannot be started.
    """

    def keep(chunk: bytes) -> None:
        on_output(chunk)
        assignment.transcript.output(chunk)

    env = {**_environment(assignment), **(extra or {})}
    try:
        confined = assignment.confinement.command(command, _ports(assignment))
    except OSError as error:
        raise ProcessError(f"nothing can be started in the worktree: {error.strerror or error}.") from error
    return await run_group(
        confined, cwd=assignment.folder, env=env, on_output=keep, stdin=stdin, errors=errors,
        wall=wall, stall=stall, stop=assignment.stop, on_start=assignment.on_process,
    )  # fmt: skip


def status_of(ending: Ending) -> OutcomeStatus:
    """Return how an attempt has ended whose program did not end well."""
    return _STATUS.get(ending, OutcomeStatus.FAILED)


def reason_of(ending: Ending, code: int, assignment: Assignment, output: bytes) -> str:
    """Return why a program ended, with the last of its `output`."""
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
    environment = assignment.confinement.environment()
    environment.update(
        {
            **marks_of(assignment.run_folder),
            "ORCH_TASK": assignment.task.id,
            "ORCH_GENERATION": str(assignment.generation),
            "ORCH_BRANCH": assignment.branch,
            "ORCH_BASE": assignment.commit,
            "ORCH_PROMPT": str(assignment.briefing_file),
            "PYTHONDONTWRITEBYTECODE": "1",  # to look at what Python writes beside a module is nobody's task
            **assignment.access,
            **{f"ORCH_PORT_{number}" if number else "ORCH_PORT": str(p) for number, p in enumerate(assignment.ports)},
        }
    )
    return environment


def _ports(assignment: Assignment) -> list[int]:
    """Return the ports that an attempt may always reach: its own, and those of the services that it is given."""
    offered = (urlsplit(value).port for name, value in assignment.access.items() if name.endswith("_URL"))
    return [*assignment.ports, *(port for port in offered if port)]
