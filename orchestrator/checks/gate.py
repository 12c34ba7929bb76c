"""A gate: one command of the plan that must succeed on the tree that is about to land."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import ProcessError
from orchestrator.files import open_new
from orchestrator.model.finding import CheckResult, ConflictKind, Violation
from orchestrator.process import Ending, clean_environment, run_group

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from orchestrator.model.plan import Gate

__all__ = ["is_missing", "run_gate"]

_OUTPUT_LIMIT = 8 * 1024 * 1024
_NO_COMMAND = (126, 127)  # what a shell exits with when a command may not be run, or does not exist
_MISSING = "gate-missing"
_SHOWN = 3000  # characters of a failing gate's output that the next generation is told


async def run_gate(gate: Gate, *, run: str, folder: Path, output: Path, shown: str, stop: asyncio.Event) -> CheckResult:
    """Run a gate in a folder, keep its output in a file that reports call `shown`, and return its verdict."""
    written, tail = 0, b""
    with open_new(output) as file:

        def keep(chunk: bytes) -> None:
            nonlocal written, tail
            tail = (tail + chunk)[-_SHOWN:]
            if written < _OUTPUT_LIMIT:
                written += file.write(chunk[: _OUTPUT_LIMIT - written])

        # PYTHONDONTWRITEBYTECODE: compiled files of one candidate must not be found by the next.
        env = clean_environment({"ORCH_RUN": run, "ORCH_GATE": gate.name, "PYTHONDONTWRITEBYTECODE": "1"})
        try:
            ended = await run_group(gate.run, cwd=folder, env=env, on_output=keep, wall=gate.timeout, stop=stop)
        except ProcessError as error:
            return _failed(gate, error.message, shown, 0.0)
    if ended.ending is Ending.EXITED and ended.code == 0:
        return CheckResult(name=f"gate:{gate.name}", seconds=ended.seconds, output=shown)
    if ended.ending is Ending.EXITED and ended.code in _NO_COMMAND:
        return _failed(
            gate, f"`{gate.run}`: the command does not exist, or may not be run", shown, ended.seconds, _MISSING
        )
    how = {
        Ending.EXITED: f"`{gate.run}` ended with exit code {ended.code}",
        Ending.TIMED_OUT: f"`{gate.run}` did not end within {gate.timeout:g} s",
    }.get(ended.ending, f"`{gate.run}` was stopped")
    said = tail.decode("utf-8", "replace").strip()
    return _failed(gate, f"{how}; its last words:\n{said}" if said else how, shown, ended.seconds)


def is_missing(result: CheckResult) -> bool:
    """Tell whether a gate failed because its command cannot be run, which no other work would mend."""
    return any(violation.kind == _MISSING for violation in result.violations)


def _failed(gate: Gate, message: str, shown: str, seconds: float, kind: str = "gate") -> CheckResult:
    violation = Violation(kind=kind, path=".", message=message, conflict=ConflictKind.BEHAVIORAL)
    return CheckResult(name=f"gate:{gate.name}", violations=(violation,), seconds=seconds, output=shown)
