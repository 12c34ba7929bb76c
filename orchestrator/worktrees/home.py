"""Where the worktrees of a repository's runs are made: a place outside it that agents' programs do not take for a part of it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.git.repository import Repository

__all__ = ["worktrees_home"]


def worktrees_home(repository: Repository) -> Path:
    """Return the folder for this repository's worktrees: outside it, and inside no other worktree.

    `$ORCH_HOME`, else `$XDG_STATE_HOME/orch`, else `~/.local/state/orch`, else a folder beside the repository.

    Raises:
        UsageError: every one of them lies inside a git worktree, or `$ORCH_HOME` cannot be used.
    """
    named = os.environ.get("ORCH_HOME")
    if named and not (Path(named).is_absolute() and not _in_worktree(Path(named)) and _can_write(Path(named))):
        raise UsageError(
            f"ORCH_HOME={named} cannot hold the agents' worktrees.",
            hint="Set it to an absolute path outside every git repository where you may write.",
        )
    name = f"{(repository.work_tree or repository.common_dir).name}-{_short(str(repository.common_dir))}"
    beside = (repository.work_tree or repository.common_dir).parent / ".orch-worktrees"
    state, home = os.environ.get("XDG_STATE_HOME"), os.environ.get("HOME")
    places = [
        Path(named) if named else None,
        Path(state) / "orch" if state else None,
        Path(home) / ".local/state/orch" if home else None,
        beside,
    ]
    for place in places:
        if place is not None and place.is_absolute() and not _in_worktree(place) and _can_write(place):
            return place.resolve() / name
    raise UsageError(
        "There is no folder for the agents' worktrees that lies outside every git repository.",
        hint="Set ORCH_HOME to an absolute path that does.",
    )


def _in_worktree(place: Path) -> bool:
    return any((folder / ".git").exists() for folder in [place, *place.resolve().parents])


def _can_write(place: Path) -> bool:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(place, os.W_OK)


def _short(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]
