"""How worktrees are made: the fastest way that this machine offers and the repository is worth.

* `overlay`: one worktree is written out, as a template; each attempt gets a mount that shows it, and its changes go to a
  folder of its own. The larger the repository, the more it saves (measured, 57,000 files: 15 ms and not 2,600).
* `pool`: an attempt's worktree, once all in it is kept, is moved to the commit of the next attempt (5 to 8 times as fast).
* `plain`: every file is written for every attempt.

Copying files by reference was measured, too: for files as small as those of most repositories it saves nothing.
"""

from __future__ import annotations

import os
from enum import StrEnum
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.worktrees.mounts import why_no_overlay

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LARGE", "Technique", "demanded_technique", "fastest_technique", "techniques_here"]

LARGE = 2000
"""Files; in a repository with fewer, writing them out takes no longer than looking after mounts is worth."""
_VARIABLE = "ORCH_WORKTREES"


class Technique(StrEnum):
    """A way of making worktrees."""

    OVERLAY = "overlay"
    POOL = "pool"
    PLAIN = "plain"


def demanded_technique(home: Path) -> Technique | None:
    """Return the technique that `$ORCH_WORKTREES` asks for, for worktrees below `home`; None if it asks for none.

    Raises:
        UsageError: there is none of that name, or it does not work here.
    """
    named = os.environ.get(_VARIABLE)
    if not named:
        return None
    if named not in list(Technique):
        raise UsageError(
            f"{_VARIABLE}={named} is no way of making worktrees.",
            hint=f"Set it to {', '.join(Technique)}, or leave it out.",
        )
    technique = Technique(named)
    if technique is Technique.OVERLAY and (why := why_no_overlay(_nearest(home))):
        raise UsageError(f"{_VARIABLE}=overlay does not work here: {why}.", hint="Leave it out.")
    return technique


def fastest_technique(home: Path, files: int) -> Technique:
    """Return the fastest technique for worktrees of so many files below `home`."""
    return Technique.OVERLAY if files >= LARGE and not why_no_overlay(_nearest(home)) else Technique.POOL


def techniques_here(home: Path) -> tuple[Technique, str]:
    """Return the fastest technique for a large repository with worktrees below `home`, and why no faster one works."""
    why = why_no_overlay(_nearest(home))
    return (Technique.POOL, why) if why else (Technique.OVERLAY, "")


def _nearest(home: Path) -> Path:
    return next(place for place in (home, *home.parents) if place.is_dir())
