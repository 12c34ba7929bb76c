"""What every agent is to the rest of the program: something that is given an assignment and comes back with an outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from orchestrator.agents.governor import Governor
    from orchestrator.agents.transcript import Transcript
    from orchestrator.board.seat import Seat
    from orchestrator.confine.confinement import Confinement
    from orchestrator.model.boundary import Boundary
    from orchestrator.model.outcome import Outcome
    from orchestrator.model.plan import Task
    from orchestrator.text.door import SharedDoor

__all__ = ["Agent", "Assignment", "Desk"]


class Desk(Protocol):
    """What an agent can do on the shared board, for the one task that it holds."""

    async def claim(self, todo: str) -> None:
        """Claim a TODO of the task.

        Raises:
            ClaimRefused: somebody else holds it, or it is done.
        """
        ...

    async def done(self, todo: str) -> None:
        """Say that a claimed TODO is done.

        Raises:
            ClaimRefused: it was not claimed, or was taken back.
        """
        ...

    async def report(self, text: str) -> None:
        """Say what is going on."""
        ...

    def todos(self) -> Sequence[str]:
        """Return a line for each TODO of the task: where it stands, and who has it."""
        ...

    def open_todos(self) -> Sequence[str]:
        """Return the ids of the task's TODOs that are not done."""
        ...

    def against_writing(self, path: str) -> str:
        """Return why the task may not write a path now, with what it was granted; empty if it may."""
        ...

    def read(self, *, everything: bool = False) -> str:
        """Return what changed on the board since this was asked last; the first time, or for `everything`, where all stands."""
        ...

    def contract(self, path: str | None = None) -> str:
        """Return the text of a contract file; without a path, the names of all.

        Raises:
            ClaimRefused: there is none of that name.
        """
        ...

    async def widen(self, globs: Sequence[str], reason: str) -> None:
        """Ask for a wider scope, until this attempt ends.

        Raises:
            ClaimRefused: a task that is at work may write one of these paths, or nobody may.
        """
        ...

    async def ask(self, text: str, to: str = "person") -> str:
        """Ask a person, or whoever works on another task; return the question's id.

        Raises:
            ClaimRefused: the plan has no such task, or too many questions of this agent are open.
        """
        ...

    async def answer(self, question: str, text: str) -> None:
        """Answer a question that was put to this task.

        Raises:
            ClaimRefused: there is no such question to this task, or it was answered.
        """
        ...

    async def answer_to(self, question: str, wait: float = 0.0) -> str | None:
        """Return the answer to a question of this attempt; None if none came within `wait` seconds (at most 50)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One attempt at one task, with all that an agent may use for it.

    `run_folder` is named as the run is; `folder` is its worktree, the only place it may write; `briefing` is what it is told,
    also in `briefing_file`; `sources` are the plan's own files that script steps name; `on_process` is told of each process
    that is started; `stop` is set when it must end politely; `access` are variables by which its programs find the board's
    tools; `changed` tells whether any file differs from what the worktree began with; `governor` knows which providers take no
    requests now; `confinement` is what all programs are started with; `boundary` is what the task may write as the attempt
    begins; `shared` are its shared files, in mode crdt, and `desk_of` gives whoever sits at the board for a part of it a desk;
    `keep` takes a snapshot of the worktree at once; `ports` are free ones that no other attempt has.
    """

    run_folder: Path
    task: Task
    generation: int
    session: str
    branch: str
    commit: str
    folder: Path
    briefing: str
    briefing_file: Path
    sources: Mapping[str, bytes]
    desk: Desk
    transcript: Transcript
    apply_patch: Callable[[bytes], Awaitable[str]]
    on_process: Callable[[int], None]
    stop: asyncio.Event
    access: Mapping[str, str]
    changed: Callable[[], Awaitable[bool]]
    governor: Governor
    confinement: Confinement
    boundary: Boundary
    shared: SharedDoor
    desk_of: Callable[[Seat], Desk]
    keep: Callable[[], Awaitable[None]]
    ports: tuple[int, ...] = ()


class Agent(Protocol):
    """Something that works on a task."""

    @property
    def model(self) -> str:
        """The model that writes, as `name@version`, for provenance."""
        ...

    @property
    def credential(self) -> str | None:
        """A name for what it shows to a provider; agents with the same one share a quota. None: it shows nothing."""
        ...

    async def work(self, assignment: Assignment) -> Outcome:
        """Work until done, failed, out of limits, or stopped; leave the result as files in the assignment's folder.

        A failure is a returned outcome. If the coroutine is cancelled, every process that it started is killed first.
        """
        ...
