"""What a writer is given: one part of the work, in files that others write at the same time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.agents.base import Assignment
    from orchestrator.model.outcome import Outcome
    from orchestrator.model.together import Part
    from orchestrator.text.seat import FileSeat

__all__ = ["Work", "Writer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A part, and what it is done with.

    `assignment` is that of the whole attempt, with a transcript of this writer's own and with this part's limits; `files` are
    seats at all shared files, by path, each this writer's own; `goal` is the work of all, in words; `write_out` puts the files
    as they stand into the worktree, what this writer has written included.
    """

    part: Part
    assignment: Assignment
    files: Mapping[str, FileSeat]
    goal: str
    write_out: Callable[[], None] = lambda: None


class Writer(Protocol):
    """Something that writes a part."""

    @property
    def model(self) -> str:
        """The model that writes, as `name@version`, for provenance."""
        ...

    async def write(self, work: Work) -> Outcome:
        """Write until done, failed, out of limits, or stopped; every slot that was opened is closed in the end.

        A failure is a returned outcome.
        """
        ...
