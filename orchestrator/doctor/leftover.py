"""One thing that was left over, as a value: what it is, and what can be done about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Kind", "Leftover"]


class Kind(StrEnum):
    """What sort of thing it is."""

    PROCESS = "process"  # of a run that nobody works on
    LOCK = "lock"  # of git
    DRAFT = "draft"  # of git's record of a worktree
    RECORD = "record"  # git's, of a worktree whose folder is gone, or that was never finished
    TRASH = "trash"  # a worktree that was about to be deleted
    FOLDER = "folder"  # a worktree that was kept
    MOUNT = "mount"  # a worktree that is an overlay, and not mounted
    TEMPORARY = "temporary"  # in a run's folder: what only a running run needs
    RUN = "run"
    REFS = "refs"  # of a run whose folder is gone
    ASIDE = "aside"  # files of the user's that a landing had moved out of its way


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """One thing that was left over, by its path, number or name.

    `repair` does what `deed` says (`removed`), and returns why it could not be done, else an empty text. Without it, `advice`
    is what a person can do. What is `harmless` is told, and is nothing that has to be repaired.
    """

    kind: Kind
    name: str
    what: str
    deed: str = ""
    repair: Callable[[], str] | None = None
    advice: str = ""
    harmless: bool = False
