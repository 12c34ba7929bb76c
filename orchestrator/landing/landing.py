"""Landing: submitted work becomes landed work. What is tested is, object for object, what lands.

The merge train (`model.train`) decides what is merged on top of what, gated, landed or given back; here its orders are carried
out, many at once, and answered. Whatever it orders: the base branch moves by compare-and-swap, to a commit whose tree passed.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import FAULTS_OF_OTHERS, ClaimRefused, reason_of, was_killed
from orchestrator.git.gc_lock import no_gc
from orchestrator.landing.candidate import Candidates
from orchestrator.model import events as happened
from orchestrator.model import train as merge_train
from orchestrator.model import train_values as t
from orchestrator.model.claims import GrantState
from orchestrator.model.feedback import feedback_on, first_error
from orchestrator.model.gates import GateFinding, has
from orchestrator.model.graph import topological_order
from orchestrator.model.verdict import verdict_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

    from orchestrator.context import RunContext
    from orchestrator.landing.candidate import Merged
    from orchestrator.landing.gating import Gating
    from orchestrator.model.finding import CheckResult
    from orchestrator.model.plan import Task
    from orchestrator.model.state import RunState

__all__ = ["Landing"]

_TRIES = 20  # a branch that others move this often in a row is not ours to land on
_ALL = 1000  # finished tasks, tried together where there is no gate: nothing that fails has cost anything
_SLOW = 30.0  # seconds of gates after which independent work may pass by


@dataclass(slots=True)
class _Waiting:
    """An item that is in the train: who waits for its end, and when it came."""

    item: t.Item
    done: asyncio.Future[None]
    started: float


class Landing:
    """Lands the tasks of one run."""

    def __init__(self, context: RunContext, gating: Gating, state: Callable[[], RunState]) -> None:
        plan = context.loaded.plan
        self._context = context
        self._gating = gating
        self._state = state
        self._candidates = Candidates(context)
        self._rules = t.Rules(
            place={task: place for place, task in enumerate(topological_order({x.id: x.needs for x in plan.tasks}))},
            independent=context.independence.holds,
            window=plan.merge.window if plan.gates else _ALL, slots=gating.slots, batch=plan.merge.batch,
        )  # fmt: skip
        landed = [task_id for task_id, task in state().tasks.items() if task.landed]
        self._train = merge_train.begin(self._rules, context.base.tip(), landed)
        self._waiting: dict[t.Key, _Waiting] = {}
        self._merged: dict[int, Merged] = {}
        self._checked: dict[int, asyncio.Task[tuple[CheckResult, ...]]] = {}
        self._results: dict[int, tuple[CheckResult, ...]] = {}
        self._stops: dict[int, asyncio.Event] = {}
        self._first: dict[t.Key, int] = {}  # the first candidate of each item whose gates were run
        self._arrived: list[t.Item] = []  # and not yet told to the train
        self._moves = 0  # of the base branch by others, in a row
        self._told_of = ""
        self._deeds: asyncio.TaskGroup = asyncio.TaskGroup()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Landing]:
        """Carry orders out for as long as this lasts."""
        async with self._deeds:
            watch = self._deeds.create_task(self._stop_when_told())
            try:
                yield self
            finally:
                watch.cancel()
                for stop in self._stops.values():
                    stop.set()

    async def land(self, task: Task) -> None:
        """Land a task's submitted work; it ends in a `Landed`, a `Refused` or (the run is stopped) a `Submitted` event."""
        now = self._state().tasks[task.id]
        assert now.submitted is not None, "decide() lands only what was submitted"
        item = t.Item(task=task.id, generation=now.generation, commit=now.submitted, needs=frozenset(task.needs))
        waiting = _Waiting(item, asyncio.get_running_loop().create_future(), time.monotonic())
        self._waiting[item.key] = waiting
        self._arrived.append(item)
        if len(self._arrived) == 1:
            await asyncio.sleep(0)  # what else is handed in at this moment comes along
            self._enqueue()
        await waiting.done

    def _enqueue(self) -> None:
        """Tell the train of all that was handed in at once."""
        items, self._arrived = tuple(self._arrived), []
        self._look_at_base()
        self._tell(t.Enqueued(items))
        if self._train.stopped:
            self._put_all_back()

    @property
    def train(self) -> t.Train:
        """The merge train as it is now."""
        return self._train

    # What the train is told.

    def _tell(self, event: t.Event) -> None:
        self._train, orders = merge_train.step(self._rules, self._train, event)
        for order in orders:
            self._carry_out(order)

    def _carry_out(self, order: t.Order) -> None:
        match order:
            case t.Build(number, item, onto, _):
                self._start((item.key,), self._build(number, item, onto))
            case t.Gate(candidate):
                self._stops[candidate.number] = asyncio.Event()
                lot = [(self._train.candidates[key].number, self._waiting[key].item) for key in candidate.lot]
                self._start((candidate.key,), self._gate(candidate, lot))
            case t.Cancel(number):
                self._stops[number].set()
            case t.Land(old, candidates):
                self._start(tuple(c.key for c in candidates), self._advance(old, candidates))
            case t.Refuse(item, kind, _, number):
                self._refuse(item, kind, number)

    def _start(self, keys: tuple[t.Key, ...], deed: Coroutine[None, None, None]) -> None:
        self._deeds.create_task(self._guarded(keys, deed), name=f"land {keys[-1].task}")

    async def _guarded(self, keys: tuple[t.Key, ...], deed: Coroutine[None, None, None]) -> None:
        """Do what the train ordered; a fault of the machine costs these items and not the whole run."""
        try:
            await deed
        except FAULTS_OF_OTHERS as error:
            self._give_up(keys, reason_of(error), final=not was_killed(error))

    def _look_at_base(self) -> None:
        """Tell the train, and the user once, if the branch is not where this run last moved it."""
        tip, known = self._context.base.find_tip(), self._state().base_commit
        if tip is None:
            self._context.stop_without_base()
            return
        if tip not in (known, self._told_of):
            self._told_of = tip
            text = f"Somebody else moved {self._context.base.name} to {tip[:12]}; what lands is tested on top of that"
            self._context.emit(happened.Noticed(text=f"{text} (git log {known[:12]}..{tip[:12]})."))
        if tip != self._train.base and not self._train.landing:
            self._tell(t.BaseMoved(tip))

    async def _stop_when_told(self) -> None:
        """Start nothing more once the run is to end: what has not landed goes back among the submitted."""
        await self._context.stop_gates.wait()
        for stop in self._stops.values():
            stop.set()
        self._tell(t.Stopped())
        self._put_all_back()

    # What the train orders.

    async def _build(self, number: int, item: t.Item, onto: str) -> None:
        merged = self._candidates.take(item, onto)
        if merged is None:
            async with no_gc(self._context.repository.common_dir):
                merged = await asyncio.to_thread(self._candidates.build, item, onto, self._behind(item))
        self._merged[number] = merged
        self._tell(t.Built(number, merged.commit) if merged.commit else t.Conflicted(number))

    def _behind(self, item: t.Item) -> list[t.Item]:
        """Return the items that stand behind one in line and were not merged yet."""
        line = self._train.line
        return [x for x in line[line.index(item) + 1 :] if x.key not in self._train.candidates] if item in line else []

    async def _gate(self, candidate: t.Candidate, lot: Sequence[tuple[int, t.Item]]) -> None:
        """Check and gate a candidate; `lot` are the numbers and items of all that its tree adds to the base branch."""
        number, merged = candidate.number, self._merged[candidate.number]
        assert merged.commit is not None, "only what was merged is gated"
        slow = asyncio.get_running_loop().call_later(_SLOW, lambda: self._tell(t.Slow(number)))
        verdict = t.Verdict.STOPPED
        try:
            results = await self._checks(lot)
            if all(result.passed for result in results):  # what may not land is not worth a gate
                stop = self._stops[number]
                results += await self._gating.run(self._label(candidate), merged.commit, merged.tree, stop)
            self._results[number] = results
            verdict = verdict_of(results)
        except FAULTS_OF_OTHERS as error:
            self._give_up((candidate.key,), reason_of(error), final=not was_killed(error))
        finally:
            slow.cancel()
        self._tell(t.Gated(number, verdict))  # in any case: the train waits for it
        del self._stops[number]

    async def _checks(self, lot: Sequence[tuple[int, t.Item]]) -> tuple[CheckResult, ...]:
        """Check a candidate, and each below it that was not checked yet: a pass counts for all that it contains."""
        found: tuple[CheckResult, ...] = ()
        there = set(self._train.landed)
        for number, item in lot:
            there.add(item.task)
            if number not in self._checked:
                self._checked[number] = asyncio.create_task(
                    self._candidates.checked(item, self._merged[number], frozenset(there))
                )
            found = await asyncio.shield(self._checked[number])
            if not all(result.passed for result in found):
                break
        return found

    def _label(self, candidate: t.Candidate) -> str:
        """Return what the outputs of the gates on a candidate are called; each candidate of an item has a name of its own."""
        first = self._first.setdefault(candidate.key, candidate.number)
        again = f".{candidate.number}" if candidate.number != first else ""
        return f"{candidate.key.task}.gen-{candidate.key.generation}{again}"

    async def _advance(self, old: str, candidates: Sequence[t.Candidate]) -> None:
        """Move the base branch to the last of these commits, and say what has landed."""
        merged = [self._merged[c.number] for c in candidates]
        commits = tuple(m.commit for m in merged if m.commit)
        for candidate in candidates:
            try:
                self._context.hub.fence(candidate.key.task, candidate.key.generation)
            except ClaimRefused as error:
                self._give_up((candidate.key,), error.message)
                return
        tasks = tuple(c.key.task for c in candidates)
        self._context.emit(happened.BaseMoving(tasks=tasks, commits=commits, old=old))
        await self._context.settle()
        packs = {str(m.commit): m.pack for m in merged if m.pack}
        async with no_gc(self._context.repository.common_dir):
            moved = await asyncio.to_thread(self._context.base.advance, merged[0].onto, commits[-1], packs)
        if not moved:
            self._not_moved(tuple(c.key for c in candidates))
            return
        self._moves = 0
        for candidate, made in zip(candidates, merged, strict=True):
            self._landed(candidate, made)
        self._tell(t.Landed())

    def _not_moved(self, keys: tuple[t.Key, ...]) -> None:
        self._moves += 1
        self._candidates.forget_ready()
        if self._context.stop_without_base() or self._moves < _TRIES:
            self._answer_not_moved()
        else:
            self._give_up(keys, f"{self._context.base.name} was moved by somebody else {_TRIES} times")

    def _answer_not_moved(self) -> None:
        """Say that nothing was landed, and where the base branch is."""
        self._tell(t.BaseMoved(self._context.base.find_tip() or self._train.base))
        if self._train.stopped:
            self._put_all_back()

    # How an item's story ends.

    def _landed(self, candidate: t.Candidate, merged: Merged) -> None:
        assert merged.commit is not None, "only what was merged lands"
        task, generation = candidate.key
        self._tell_checks(
            candidate.key, self._results.get(candidate.number) or self._checked[candidate.number].result()
        )
        seconds = time.monotonic() - self._waiting[candidate.key].started
        self._context.emit(
            happened.Landed(task=task, generation=generation, commit=merged.commit, tree=merged.tree, seconds=seconds)
        )
        self._context.hub.release(task, GrantState.DONE, commit=merged.commit)
        self._candidates.landed(merged)
        self._context.radar.forget(task)
        self._end(candidate.key)

    def _refuse(self, item: t.Item, kind: t.RefuseKind, number: int | None) -> None:
        """Give work back: what was found on top of the base branch itself is what its next generation is told."""
        if kind is t.RefuseKind.CONFLICT and number is not None:
            self._start((item.key,), self._refuse_conflict(item, self._merged[number]))
            return
        if kind is t.RefuseKind.NEED or number is None:
            self._context.refuse(item.task, item.generation, "a task that it needs did not land", final=True)
        else:
            results = self._results[number]
            self._tell_checks(item.key, results)
            failed = [result for result in results if not result.passed]
            reason = f"check {failed[0].name} failed on the merged tree: {first_error(failed[0])}"
            final = has(failed, GateFinding.MISSING)
            self._context.refuse(item.task, item.generation, reason, feedback_on(failed), final=final)
        self._end(item.key)

    async def _refuse_conflict(self, item: t.Item, merged: Merged) -> None:
        found, reason, feedback = await asyncio.to_thread(self._candidates.conflict, item, merged)
        if item.key in self._waiting:  # else it was put back meanwhile: the run is to end
            self._tell_checks(item.key, (found,))
            self._context.refuse(item.task, item.generation, reason, feedback)
            self._end(item.key)

    def _give_up(self, keys: tuple[t.Key, ...], reason: str, *, final: bool = True) -> None:
        """Take items off the train for a fault; if `final`, no other generation would mend it, unless their work is gone."""
        landing = self._train.landing
        for key in () if self._context.stop_without_base() else keys:  # then all are put back
            if key in self._waiting:
                gone = self._candidates.is_gone(self._waiting[key].item)
                why = "its branch was deleted, and its work is not in the repository any more" if gone else reason
                self._context.refuse(key.task, key.generation, why, stopped=gone, final=final and not gone)
                self._tell(t.Withdrawn(key))
                self._end(key)
        if landing and set(keys) & set(landing):
            self._answer_not_moved()

    def _put_all_back(self) -> None:
        for key in [key for key in self._waiting if key not in self._train.landing]:
            self._put_back(key)

    def _put_back(self, key: t.Key) -> None:
        """Let an item wait among the submitted: it was not landed, and nothing is wrong with it."""
        kept = self._state().tasks[key.task].kept
        commit = self._waiting[key].item.commit
        files = kept.files if kept else 0
        event = happened.Submitted(task=key.task, generation=key.generation, commit=commit, files=files)
        self._context.emit(event)
        self._end(key)

    def _end(self, key: t.Key) -> None:
        self._candidates.let_go(key.task)
        self._waiting.pop(key).done.set_result(None)

    def _tell_checks(self, key: t.Key, results: Sequence[CheckResult]) -> None:
        for result in results:
            self._context.emit(
                happened.Checked(task=key.task, generation=key.generation, stage="landing", result=result)
            )
