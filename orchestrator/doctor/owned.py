"""What comparisons, probes and architects have left that were killed: folders that nobody holds any more."""

from __future__ import annotations

import os
import shlex
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.confine.confinement import delete_scratch, scratch_left
from orchestrator.doctor.leftover import Kind, Leftover
from orchestrator.errors import StoreError, UsageError
from orchestrator.git.repository import Repository
from orchestrator.journal.journal import state_in
from orchestrator.leftovers.owned_folder import ARCHITECT, COMPARISON, PROBE, delete_left, left_in, runs_below
from orchestrator.worktrees.home import worktrees_home

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.doctor.scene import Scene

__all__ = ["left_by_commands"]


def left_by_commands(scene: Scene) -> Iterator[Leftover]:
    """Yield such folders; nothing in one of a comparison or a cut-off probe is anybody's work, what an architect wrote may be."""
    for folder in left_in(Path(tempfile.gettempdir()), COMPARISON):
        what = "left by an `orch compare` that was killed, perhaps with a trial that goes on"
        yield _deletable(folder, what, [])
    runs_folder = scene.repository.runs_folder
    for folder in left_in(runs_folder, PROBE):
        if _has_ended(folder):
            yield _told(folder, "left by a probe that was not passed", "")
        else:
            yield _deletable(folder, "left by a probe that was killed", _homes(folder))
    for folder in left_in(runs_folder, ARCHITECT):
        for run in runs_below(folder):  # in the system's folder for temporary files
            alone = scene.run(str(run.relative_to(runs_folder))).alone
            for scratch in scratch_left(run):
                repair = alone(partial(_delete_scratch, scratch))
                what = "left by an `orch plan` that was killed"
                yield Leftover(kind=Kind.TEMPORARY, name=str(scratch), what=what, deed="removed", repair=repair)
        what = "left by an `orch plan` that was killed, or has got no plan"
        yield _told(folder, what, "`orch recover` lists what was written. ")


def _told(folder: Path, what: str, way: str) -> Leftover:
    places = shlex.join(str(place) for place in (folder, *_homes(folder)) if place.exists())
    advice = f"{way}Once nobody needs it: rm -r {places}"
    return Leftover(kind=Kind.TEMPORARY, name=str(folder), what=what, advice=advice, harmless=True)


def _delete_scratch(folder: Path) -> str:
    delete_scratch(folder)
    return f"not all of {folder} could be deleted" if os.path.lexists(folder) else ""


def _deletable(folder: Path, what: str, homes: list[Path]) -> Leftover:
    return Leftover(
        kind=Kind.TEMPORARY, name=str(folder), what=what, deed="removed", repair=partial(delete_left, folder, homes)
    )


def _has_ended(folder: Path) -> bool:
    try:
        return any(state_in(run / "journal").ended is not None for run in runs_below(folder))
    except StoreError:
        return False


def _homes(folder: Path) -> list[Path]:
    """Return where the worktrees of the repositories in a folder are."""
    try:
        return [worktrees_home(Repository.open(run.parents[1])) for run in runs_below(folder)]
    except UsageError:  # it is half made, or no worktree can be made now
        return []
