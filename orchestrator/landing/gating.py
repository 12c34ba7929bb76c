"""Where gates run: some folders, each holding one candidate at a time, and what the gates say of the base itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from orchestrator.checks.gate import Subject, run_gates, run_on_base
from orchestrator.checks.gate_cache import GateCache
from orchestrator.errors import TreeChangedAfterGate, WorkspaceError
from orchestrator.git import query
from orchestrator.model import events as happened
from orchestrator.model.gates import said_of_base

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from orchestrator.context import RunContext
    from orchestrator.git.parse import CommitId, TreeId
    from orchestrator.model.finding import CheckResult
    from orchestrator.model.gates import GateOutcome
    from orchestrator.model.plan import Gate, MergePolicy
    from orchestrator.worktrees.gate_folder import GateFolder

__all__ = ["Gating", "slots_for"]

_T = TypeVar("_T")
_LOST = 2  # folders that agents may take away while one commit is judged
_MEMORY = 512 * 1024 * 1024  # bytes that must be free for each gate that runs beside another


def slots_for(policy: MergePolicy, processors: int, memory: int) -> int:
    """Return how many gates may run at once: what the plan says, else one a processor, as far as there is memory for it.

    `memory` is how many bytes are free. One may always run.
    """
    return max(1, min(policy.window, policy.slots or min(processors, memory // _MEMORY)))


def _free_memory() -> int:
    """Return how many bytes of memory new programs can have (Linux); where the system does not tell, plenty."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return sys.maxsize
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), sys.maxsize)


class Gating:
    """Runs the gates of one run's plan on candidates and, once, on the base branch as the run found it."""

    def __init__(self, context: RunContext) -> None:
        self.slots = slots_for(context.loaded.plan.merge, os.cpu_count() or 1, _free_memory())
        self._context = context
        self._gates = context.loaded.plan.gates
        self._cache = GateCache(context.repository.runs_folder / ".gate-cache")
        self._idle: asyncio.Queue[GateFolder | None] = asyncio.Queue()
        for _ in range(self.slots + 1):  # one more for the base, which must not wait for candidates that wait for it
            self._idle.put_nowait(None)
        self._folders = AsyncExitStack()
        self._tidying: set[asyncio.Task[None]] = set()
        self._base: asyncio.Task[dict[str, GateOutcome]] | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Gating]:
        """Begin with the base branch as it is now; at the end, all folders go, for nothing in them is anybody's work."""
        async with self._folders:
            if self._gates:
                self._base = asyncio.create_task(self._run_on_base(self._context.base.tip()))
            try:
                yield self
            finally:
                if self._base is not None:
                    self._base.cancel()
                    await asyncio.wait([self._base])
                if self._tidying:
                    await asyncio.wait(self._tidying)

    async def run(self, label: str, commit: CommitId, tree: TreeId, stop: asyncio.Event) -> tuple[CheckResult, ...]:
        """Run the gates on a candidate, up to the first that does not pass.

        Raises:
            TreeChangedAfterGate: a gate folder does not hold the candidate's tree.
        """
        if not self._gates:
            return ()

        async def judge(place: GateFolder) -> tuple[CheckResult, ...]:
            subject = self._subject(place, label, commit, tree, stop)
            return await run_gates(self._gates, subject, base=self._on_base, tell=lambda _result: None)

        return await self._in_folder(commit, judge)

    def _subject(self, place: GateFolder, label: str, commit: CommitId, tree: TreeId, stop: asyncio.Event) -> Subject:
        async def hold() -> Path:
            held = await place.hold(commit)
            if held != tree:
                raise TreeChangedAfterGate(f"The gates would run on tree {held}, but {label} would land {tree}.")
            return place.folder

        return Subject(tree=tree, label=label, hold=hold, run_folder=self._context.folder, stop=stop, cache=self._cache)

    async def _on_base(self, gate: Gate) -> GateOutcome | None:
        """Return how a gate ended on the base; only a gate that is judged by it waits for it."""
        if self._base is None or gate.baseline == "must-pass":
            return None
        return (await asyncio.shield(self._base)).get(gate.name)

    async def _run_on_base(self, commit: CommitId) -> dict[str, GateOutcome]:
        def tell(gate: Gate, outcome: GateOutcome) -> None:
            if text := said_of_base(gate, outcome):
                self._context.emit(happened.Noticed(text=text))

        tree = await asyncio.to_thread(query.tree_of, self._context.repository.objects, commit)

        async def judge(place: GateFolder) -> dict[str, GateOutcome]:
            subject = self._subject(place, "base", commit, tree, self._context.stop_gates)
            return await run_on_base(self._gates, subject, tell)

        return await self._in_folder(commit, judge)

    async def _in_folder(self, commit: CommitId, judge: Callable[[GateFolder], Awaitable[_T]]) -> _T:
        """Judge a commit in a folder that is lent for it; in another one, if an agent has taken that away."""
        for _ in range(_LOST):
            with contextlib.suppress(WorkspaceError):
                return await self._judge(commit, judge)
        return await self._judge(commit, judge)

    async def _judge(self, commit: CommitId, judge: Callable[[GateFolder], Awaitable[_T]]) -> _T:
        place = await self._idle.get()
        try:
            if place is None:
                place = await self._folders.enter_async_context(self._context.worktrees.gates(commit))
            return await judge(place)
        except WorkspaceError:
            place = None  # it goes at the end, as far as it is there; the next one who needs a folder has a new one
            raise
        finally:
            self._tidying.add(task := asyncio.create_task(self._give_back(place, commit)))
            task.add_done_callback(self._tidying.discard)

    async def _give_back(self, place: GateFolder | None, commit: CommitId) -> None:
        if place is not None:
            await place.tidy(commit)
        self._idle.put_nowait(place)
