"""Everything that can stop this program, as one tree, with exit codes in one place.

::

    OrchestratorError            exit 1   some work did not land, or something was found
    ├── UsageError               exit 2   what was asked for cannot be done like this
    ├── PlanError                exit 3   the plan is invalid; carries every problem found
    ├── BaseBranchError          exit 1   the base branch cannot be landed on as things stand
    ├── GitError                 exit 70  a git process failed where it must not
    ├── ProcessError             exit 1   a child process could not be started
    ├── WorkspaceError           exit 1   an attempt's work could not be kept as it must
    ├── StoreError               exit 70  a file that a run keeps is damaged
    │   └── DiskError            exit 1   the disk does not take what must be written, or has lost it
    ├── BoardError               exit 70  the shared board was misused
    │   └── ClaimRefused         exit 1   somebody else holds what was asked for, or the generation is stale
    └── LandingError             exit 70  a promise of landing would have been broken
        └── TreeChangedAfterGate exit 70  the tree about to land is not the tree that was tested

A failing agent is *not* in this tree: it is a value (`model.outcome.Outcome`).
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = [
    "FAULTS_OF_OTHERS",
    "BaseBranchError",
    "BoardError",
    "ClaimRefused",
    "DiskError",
    "ExitCode",
    "GitError",
    "LandingError",
    "OrchestratorError",
    "PlanError",
    "ProcessError",
    "StoreError",
    "TreeChangedAfterGate",
    "UsageError",
    "WorkspaceError",
    "reason_of",
    "was_killed",
]


class ExitCode(IntEnum):
    """What the process says to its caller when it ends."""

    LANDED = 0
    NOT_LANDED = 1
    USAGE = 2
    PLAN = 3
    BUG = 70
    INTERRUPTED = 130


class OrchestratorError(Exception):
    """A promise could not be kept; the message says which, the hint says what to do."""

    exit_code: ExitCode = ExitCode.NOT_LANDED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(OrchestratorError):
    """What was asked for cannot be done like this."""

    exit_code = ExitCode.USAGE


class PlanError(OrchestratorError):
    """The plan is invalid; `problems` holds one printable sentence for each fault found."""

    exit_code = ExitCode.PLAN

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
        super().__init__(f"{source} is not a valid plan: {count}.", hint="Nothing was changed.")
        self.source = source
        self.problems = tuple(problems)


class BaseBranchError(OrchestratorError):
    """The base branch cannot be landed on as things stand (dirty checkout, missing branch, moved away)."""


class GitError(OrchestratorError):
    """A git process ended with an exit code that its caller did not expect."""

    exit_code = ExitCode.BUG

    def __init__(self, command: Sequence[str], cwd: Path | str, code: int, stderr: str) -> None:
        said = stderr.strip() or "it said nothing"
        super().__init__(f"`{' '.join(command)}` in {cwd} ended with {code}: {said}")
        self.command = tuple(command)
        self.cwd = str(cwd)
        self.code = code
        self.stderr = stderr


class ProcessError(OrchestratorError):
    """A child process could not be started."""


class WorkspaceError(OrchestratorError):
    """An attempt's work could not be kept as it must; its folder stays where it is."""


class StoreError(OrchestratorError):
    """A file that a run keeps is damaged."""

    exit_code = ExitCode.BUG


class DiskError(StoreError):
    """The disk does not take what must be written, or has lost it: a fault of the machine, and no bug."""

    exit_code = ExitCode.NOT_LANDED


class BoardError(OrchestratorError):
    """The shared board was misused: a second writer, or an update that does not fit."""

    exit_code = ExitCode.BUG


class ClaimRefused(BoardError):
    """Somebody else holds what was asked for, or the generation is stale."""

    exit_code = ExitCode.NOT_LANDED


class LandingError(OrchestratorError):
    """A promise of landing would have been broken, so nothing was moved."""

    exit_code = ExitCode.BUG


class TreeChangedAfterGate(LandingError):
    """The tree about to land is not the tree that was tested."""


FAULTS_OF_OTHERS = (BaseBranchError, GitError, ProcessError, WorkspaceError, OSError)
"""Faults of the machine, or of what others did to it: no bug, and no fault of the work that they keep from landing."""


def reason_of(error: Exception) -> str:
    """Return an error in one line for whoever reads the report: what it says, and the remedy if it knows one."""
    return f"{error} {error.hint}".strip() if isinstance(error, OrchestratorError) else str(error)


def was_killed(error: Exception) -> bool:
    """Tell whether a git that was killed, as the system does when memory is short, is all that went wrong."""
    return isinstance(error, GitError) and error.code < 0
