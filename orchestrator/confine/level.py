"""How far the programs of an attempt are kept in, and what of it this machine offers.

* `landlock`: they write only where the task may, and in a folder that is thrown away (Linux 6.2 and newer).
* `bubblewrap`: besides, they do not see the user's files, other worktrees, or the run's folder (needs `bwrap`).
* `audit`: nothing is in their way; what they left is looked at afterwards, as it is at every level.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

from orchestrator.confine.landlock import version
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.model.plan import AgentSpec, Gate

__all__ = [
    "Level",
    "best_level",
    "demanded_level",
    "gate_level",
    "level_of",
    "said_of_levels",
    "signals_held",
    "why_not",
]

_VARIABLE = "ORCH_CONFINE"
_TRUNCATES, _PORTS, _SIGNALS = 3, 4, 6  # versions of Landlock; with an older one than 3 any file can be emptied


class Level(StrEnum):
    """What stands between an agent's program and the machine."""

    LANDLOCK = "landlock"
    BUBBLEWRAP = "bubblewrap"
    AUDIT = "audit"


def best_level() -> Level:
    """Return the level that an agent has if nobody asks for one."""
    return Level.AUDIT if why_not(Level.LANDLOCK) else Level.LANDLOCK


@cache
def why_not(level: Level) -> str:
    """Return why a level cannot be had here, or an empty text."""
    if level is Level.LANDLOCK:
        found = version()
        return (
            "" if found >= _TRUNCATES else f"this system has no Landlock of version {_TRUNCATES} or newer (Linux 6.2)"
        )
    return _why_no_bubblewrap() if level is Level.BUBBLEWRAP else ""


def _why_no_bubblewrap() -> str:
    program = shutil.which("bwrap")
    if program is None:
        return "the program bwrap (bubblewrap) was not found"
    trial = [program, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-pid", "true"]
    try:
        said = subprocess.run(trial, capture_output=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as fault:
        return f"bwrap does not work: {fault}"
    words = said.stderr.decode(errors="replace").strip().splitlines()
    return f"bwrap does not work: {words[0] if words else said.returncode}" if said.returncode else ""


def gate_level(gate: Gate) -> Level:
    """Return the level at which a gate runs here: it sees what its user sees.

    Raises:
        UsageError: this machine does not offer what the plan or `$ORCH_CONFINE` demands.
    """
    demanded = demanded_level()
    if demanded is Level.AUDIT or (demanded is None and gate.confine == "audit"):
        return Level.AUDIT
    if gate.confine == "landlock" and (why := why_not(Level.LANDLOCK)):
        raise UsageError(
            f"The gate {gate.name} cannot be confined as the plan demands: {why}.", hint="Leave its 'confine' out."
        )
    return best_level()


def signals_held() -> bool:
    """Tell whether Landlock keeps programs from sending signals to others."""
    return version() >= _SIGNALS


def said_of_levels() -> list[str]:
    """Return what this machine offers, a sentence for each level that is more than `audit`."""
    if why := why_not(Level.LANDLOCK):
        first = f"agents and gates are not confined here, since {why}; what they leave is looked at afterwards"
    else:
        held = ["files", *["TCP ports"] * (version() >= _PORTS), *["signals"] * signals_held()]
        first = f"agents and gates are confined by Landlock (version {version()}: {', '.join(held)})"
    why = why_not(Level.BUBBLEWRAP)
    return [first, f"bubblewrap, which hides files as well, {f'cannot be had: {why}' if why else 'can be had'}"]


def demanded_level() -> Level | None:
    """Return the level that `$ORCH_CONFINE` asks for, for all agents; None if it asks for none.

    Raises:
        UsageError: there is none of that name, or this machine does not offer it.
    """
    named = os.environ.get(_VARIABLE)
    if not named:
        return None
    if named not in list(Level):
        raise UsageError(
            f"{_VARIABLE}={named} is no way of confining agents.",
            hint=f"Set it to {', '.join(Level)}, or leave it out.",
        )
    if why := why_not(Level(named)):
        raise UsageError(f"{_VARIABLE}={named} cannot be had here: {why}.", hint="Leave it out.")
    return Level(named)


def level_of(name: str, spec: AgentSpec) -> Level:
    """Return the level at which the programs of the plan's agent of this name run here.

    Raises:
        UsageError: this machine does not offer what the plan or `$ORCH_CONFINE` demands.
    """
    level = demanded_level() or (best_level() if spec.confine == "auto" else Level(spec.confine))
    if why := why_not(level):
        raise UsageError(
            f"The agent {name} cannot be confined as the plan demands ({level}): {why}.",
            hint="`orch doctor` says what this machine offers. Demand less with 'confine', or leave it out.",
        )
    if spec.network != "open" and (level is Level.AUDIT or version() < _PORTS):
        raise UsageError(
            f"The agent {name} is to reach some ports only, and nothing here can hold it to that.",
            hint=f"That needs Landlock of version {_PORTS} or newer (Linux 6.7), and a level other than {Level.AUDIT}.",
        )
    return level
