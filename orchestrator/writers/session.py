"""Several writers in shared files: from the scaffold to the text that lands.

What can begin begins: the plan's parts, and TODOs that come to stand in the files while others write. Each is claimed on the
board by one writer. What a writer that failed has written goes, and another one takes its part.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.agents.transcript import Transcript
from orchestrator.board.files import agent_author
from orchestrator.model.outcome import Outcome, OutcomeStatus
from orchestrator.model.todo import Todo
from orchestrator.model.together import OUTLINE, REPAIR, Part, files_for
from orchestrator.writers.work import Work

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.agents.base import Assignment
    from orchestrator.model.plan import Plan
    from orchestrator.model.todo_markers import Marker
    from orchestrator.text.seat import FileSeat
    from orchestrator.writers.observer import Observer
    from orchestrator.writers.work import Writer

__all__ = ["Done", "Session"]

_LOOK = 0.1  # seconds between two looks at the files
_REPAIRS = 2  # rounds of mending, each told what is still wrong
_FAULTS = 20  # told at once
_LOOKS = 100  # after the outline, within which its text comes to rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A part that was done: who did it, as the author of what was written, and what it took."""

    part: Part
    author: str
    session: str
    outcome: Outcome


@dataclass(slots=True, kw_only=True)
class Session:
    """One attempt at writing all files together."""

    plan: Plan
    parts: Sequence[Part]
    writers: Mapping[str, Writer]
    observer: Observer
    assignment: Assignment
    jobs: int
    done: list[Done] = field(default_factory=list)
    spent: list[Outcome] = field(default_factory=list)
    failed: str = ""
    _open: dict[str, Part] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)
    _running: dict[asyncio.Task[Done | None], Part] = field(default_factory=dict)

    async def write(self) -> Outcome:
        """Let all parts be written, and what does not fit together be mended; the files are left as they are to land.

        Meanwhile they are put into the worktree again and again, where they outlive a kill.
        """
        writing = asyncio.create_task(self._write())
        try:
            while not writing.done():
                self.observer.mirror(self.assignment.folder)
                await asyncio.wait({writing}, timeout=_LOOK)
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        return writing.result()

    async def _write(self) -> Outcome:
        self._open = {part.id: part for part in self.parts}
        if (outliner := self.plan.crdt.outliner) is not None:
            await self._outline(outliner)
        self._bind(ended=outliner is None)
        try:
            await self._write_parts()
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
        if not self.failed and not self._stopped:
            await self._mend()
        for path in self.observer.files:
            self.observer.level(path)
        if self._stopped:
            return Outcome(status=OutcomeStatus.STOPPED, reason="stopped before it was finished")
        if self.failed:
            return Outcome(status=OutcomeStatus.FAILED, reason=self.failed)
        return Outcome(status=OutcomeStatus.DONE, remarks=tuple(self._remaining()))

    @property
    def _stopped(self) -> bool:
        return self.assignment.stop.is_set()

    async def _outline(self, agent: str) -> None:
        """Let one writer write the scaffold, and let it go when nothing changes any more."""
        task = self.assignment.task
        part = Part(
            id=OUTLINE, task=task.id, title="Outline", agent=agent,
            prompt="Write the scaffold of all that is to be done: imports, types, the parts that others fill in. Where"
            " somebody else is to write, leave a comment `TODO:Name what to write there` on a line of its own.",
        )  # fmt: skip
        found = await self._do(part)
        if found is None:
            return
        self.done.append(found)
        for _ in range(_LOOKS):  # for something not to happen, so no event can tell
            if self.observer.is_quiet():
                return
            await asyncio.sleep(_LOOK)

    async def _write_parts(self) -> None:
        while not self.failed and not self._stopped:
            self._bind(ended=not self._running)
            self._begin()
            if not self._running:
                if self._open:
                    waiting = ", ".join(self._open)
                    self.failed = f"nobody can begin {waiting}: what it needs was not done"
                return
            over, _ = await asyncio.wait(self._running, timeout=_LOOK, return_when=asyncio.FIRST_COMPLETED)
            for task in over:
                del self._running[task]
                if (found := task.result()) is not None:
                    self.done.append(found)

    def _begin(self) -> None:
        """Begin what can be begun, in the plan's order."""
        finished = {found.part.id for found in self.done}
        for part in list(self._open.values()):
            if len(self._running) >= self.jobs:
                return
            if finished.issuperset(part.needs):
                del self._open[part.id]
                self._running[asyncio.create_task(self._do(part), name=part.id)] = part

    def _bind(self, *, ended: bool) -> None:
        """Give TODOs that have come to stand in a file to the parts of that name, or make parts of them."""
        for path, marker, comment in self.observer.found(ended=ended):
            named = next((part for part in self._open.values() if marker.name in part.names), None)
            if named is not None:
                self._open[named.id] = replace(named, path=path, marker=comment)
            elif self.plan.crdt.outliner is not None and not self._is_taken(marker):
                part = self._found_part(path, marker, comment)
                self._open[part.id] = part
        if self.plan.crdt.outliner is not None:  # what it has split up is not to be done once more as a whole
            whole = [
                part.id for part in self._open.values() if part.id == part.task and not part.steps and not part.marker
            ]
            for name in whole if self._known else ():
                del self._open[name]

    def _is_taken(self, marker: Marker) -> bool:
        known = {name for part in self.parts for name in part.names} | self._known
        return marker.name in known

    def _found_part(self, path: str, marker: Marker, comment: str) -> Part:
        self._known.add(marker.name)
        part = Part(
            id=marker.name, task=self.assignment.task.id, title=marker.text[:80] or marker.name, agent=self._implementer(),
            prompt=marker.text, names=(marker.name,), path=path, marker=comment,
        )  # fmt: skip
        self.assignment.shared.offer(Todo(id=part.id, title=part.title))
        return part

    def _implementer(self) -> str:
        """Return who writes TODOs that the plan does not know: the agents of its tasks, in turn."""
        agents = list(dict.fromkeys(task.agent for task in self.plan.tasks))
        return agents[len(self._known) % len(agents)]

    async def _do(self, part: Part) -> Done | None:
        """Let a part be written, by another writer if one fails; None if nobody could."""
        attempts = next((task.attempts for task in self.plan.tasks if task.id == part.task), 2)
        reason = ""
        for number in range(1, attempts + 1):
            writer = self.assignment.shared.writer(part.id if number == 1 else f"{part.id}-{number}")
            outcome, session = await self._write_once(part, writer, reason)
            self.spent.append(outcome)
            if outcome.done:
                return Done(part=part, author=agent_author(writer), session=session, outcome=outcome)
            reason = outcome.reason
            if outcome.status is OutcomeStatus.STOPPED or self._stopped:
                break  # what it has written so far is kept with the attempt
            self.observer.mirror(self.assignment.folder)
            await self.assignment.keep()  # what goes now, `orch recover` brings back
            for path in self.observer.files:
                self.observer.take_back(path, agent_author(writer), part.marker if path == part.path else None)
            self.assignment.transcript.write("part-failed", part=part.id, writer=writer, reason=reason)
            if outcome.final:
                break
        self.failed = self.failed or f"{part.id}: {reason}"
        return None

    async def _write_once(self, part: Part, writer: str, before: str) -> tuple[Outcome, str]:
        """Let one writer write a part; return how that ended, and the writer's session."""
        shared, session = self.assignment.shared, uuid.uuid4().hex[:12]
        place = self.assignment.run_folder / "transcripts" / f"{writer}.jsonl"
        prompt = f"{part.prompt}\n\nAnother writer failed at this: {before}" if before else part.prompt
        async with AsyncExitStack() as stack:
            board = await stack.enter_async_context(shared.on_the_board(writer))
            shared.offer(Todo(id=part.id, title=part.title))
            key = f"{self.assignment.task.id}/{part.id}"
            await board.claim(key)
            transcript = stack.enter_context(Transcript(place))
            transcript.write("briefing", text=prompt)
            seats = {path: await shared.seat_at(path, writer) for path in files_for(part, self.observer.files)}
            for seat in seats.values():
                stack.push_async_callback(seat.close)
            task = next((task for task in self.plan.tasks if task.id == part.task), self.assignment.task)
            given = replace(
                self.assignment, transcript=transcript, session=session, desk=self.assignment.desk_of(board),
                task=self.assignment.task.model_copy(update={"limits": task.limits}),
            )  # fmt: skip
            work = Work(
                part=replace(part, prompt=prompt), assignment=given, files=seats, goal=self.assignment.task.prompt,
                write_out=partial(self._write_out, writer, seats),
            )  # fmt: skip
            try:
                outcome = await self.writers[part.agent].write(work)
            finally:
                for path, seat in seats.items():
                    self.observer.take_in(path, writer, seat)
            transcript.write("outcome", status=outcome.status.value, reason=outcome.reason)
            if outcome.done:
                await board.done(key)
        return outcome, session

    def _write_out(self, writer: str, seats: Mapping[str, FileSeat]) -> None:
        for path, seat in seats.items():
            self.observer.take_in(path, writer, seat)
        self.observer.mirror(self.assignment.folder)

    async def _mend(self) -> None:
        """Let the reconciler mend what does not fit together; what is left is for the gates."""
        agent = self.plan.crdt.reconciler
        for number in range(1, _REPAIRS + 1):
            wrong = list(self._remaining())
            if agent is None or not wrong or self._stopped:
                return
            part = Part(
                id=REPAIR if number == 1 else f"{REPAIR}-{number}", task=self.assignment.task.id, title="Mend", agent=agent,
                prompt="The parts are written, and this does not fit together:\n" + "\n".join(wrong) + "\nMend it.",
            )  # fmt: skip
            if (found := await self._do(part)) is not None:
                self.done.append(found)
        self.failed = ""  # whoever could not mend it has changed nothing; the gates decide

    def _remaining(self) -> list[str]:
        faults = [f"{path}:{fault.line}: {fault.message} ({fault.rule})" for path, fault in self.observer.faults()]
        more = [f"and {len(faults) - _FAULTS} more"] if len(faults) > _FAULTS else []
        return faults[:_FAULTS] + more
