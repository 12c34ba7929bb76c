"""The examination: everything that may be left over, in the order in which it is repaired."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from orchestrator.doctor.locks import stale_locks
from orchestrator.doctor.owned import left_by_commands
from orchestrator.doctor.runs import left_by_runs, left_refs, orphaned_processes, set_aside
from orchestrator.doctor.scene import look_around
from orchestrator.doctor.worktrees import worktree_leftovers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.doctor.leftover import Leftover
    from orchestrator.git.repository import Repository

__all__ = ["Found", "Outcome", "examine"]


_SORTS = (
    orphaned_processes, stale_locks, worktree_leftovers, left_by_runs, left_refs, set_aside, left_by_commands,
)  # fmt: skip


class Outcome(StrEnum):
    """What became of a leftover."""

    REPAIRED = "repaired"
    REPAIRABLE = "repairable"  # nothing was changed, as was asked for
    REMAINS = "remains"  # it is for a person to decide, or could not be repaired
    TOLD = "told"  # nothing is wrong with it


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A leftover, and what became of it; `why` says why it could not be repaired."""

    leftover: Leftover
    outcome: Outcome
    why: str = ""

    @property
    def is_wrong(self) -> bool:
        """Tell whether it still has to be repaired."""
        return self.outcome in {Outcome.REPAIRABLE, Outcome.REMAINS}

    @property
    def sentence(self) -> str:
        """What to tell about it."""
        left = self.leftover
        if left.repair is None:
            return f"{left.name}: {left.what}. {left.advice}"
        done = {
            Outcome.REPAIRED: left.deed,
            Outcome.REPAIRABLE: f"would be {left.deed}",
            Outcome.REMAINS: f"it could not be {left.deed}: {self.why}",
        }[self.outcome]
        return f"{left.name}: {left.what}; {done}."


def examine(repository: Repository, home: Path | None, *, dry_run: bool) -> Iterator[Found]:
    """Yield everything that is left over, each after it was repaired, if it can be; with `dry_run` nothing is changed.

    Processes come first, since they hold what follows; each sort is looked for after the one before it was repaired.
    """
    scene = look_around(repository, home)
    for find in _SORTS:
        for leftover in list(find(scene)):
            yield _settle(leftover, dry_run=dry_run)


def _settle(leftover: Leftover, *, dry_run: bool) -> Found:
    if leftover.repair is None:
        return Found(leftover=leftover, outcome=Outcome.TOLD if leftover.harmless else Outcome.REMAINS)
    if dry_run:
        return Found(leftover=leftover, outcome=Outcome.REPAIRABLE)
    try:
        why = leftover.repair()
    except OSError as error:
        why = str(error)
    return Found(leftover=leftover, outcome=Outcome.REMAINS if why else Outcome.REPAIRED, why=why)
