"""Simulated landing: the real merge train, and its orders carried out as the real landing does, with nothing real done.

Merges, gates and moves of the base branch go on side by side. Whoever plays chooses which of them is answered next, and
how; but what merges, and which tree passes, is decided by the content alone.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from orchestrator.model import events as happened
from orchestrator.model import train_values as t
from orchestrator.model.state import TaskStatus
from tests.support.world import Commit, Move, Waits

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Sequence

    from tests.support.simulated import SimulatedRun
    from tests.support.world import Routine

__all__ = ["Fits", "SimulatedLanding", "Verdict"]

_TRIES = 3  # at landing on a branch that others move


class Verdict(Enum):
    """How gates end: what the train is told, and what is said of it. Whether a tree passes is not up to them."""

    PASSED = (t.Verdict.PASSED, "")
    FLAKED = (t.Verdict.FLAKED, "")
    FAILED = (t.Verdict.FAILED, "a gate fails")
    TIMED_OUT = (t.Verdict.TIMED_OUT, "a gate takes too long")
    NO_GATE = (t.Verdict.FAILED, "a gate cannot be started")
    STOPPED = (t.Verdict.STOPPED, "")
    FAULT = (t.Verdict.STOPPED, "a fault of the machine")

    @property
    def passes(self) -> bool:
        """Tell whether the tree counts as passed."""
        return self in {Verdict.PASSED, Verdict.FLAKED}

    @property
    def of_the_tree(self) -> bool:
        """Tell whether this says something about the tree."""
        return self not in {Verdict.STOPPED, Verdict.FAULT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fits:
    """What merges, and which trees pass the gates: a chance, but the same for the same content, however often it is asked."""

    salt: int = 0
    fails: float = 0.0

    def merges(self, holds: Collection[str], work: str) -> bool:
        """Tell whether work merges with a tree that holds this."""
        return self._chance(work, *sorted(holds)) >= self.fails

    def passes(self, holds: Collection[str]) -> bool:
        """Tell whether a tree that holds this passes the gates; one more thing in it may mend what is broken."""
        return self._chance("gates:", *sorted(holds)) >= self.fails

    def _chance(self, *content: str) -> float:
        return zlib.crc32(f"{self.salt} {' '.join(content)}".encode()) / 2**32


class SimulatedLanding:
    """Lands the tasks of one run, for as long as its orchestrator lives: all that it knows is gone with that."""

    def __init__(self, world: SimulatedRun) -> None:
        landed = world.state.with_status(TaskStatus.LANDED)
        self.world = world
        self.train = world.policy.begin(world.rules, world.base[-1].name, landed)
        self.waiting: dict[t.Key, t.Item] = {}
        self.gates: dict[int, Routine] = {}
        self.stopped = False
        self._merged: dict[int, Commit] = {}
        self._found: dict[int, Verdict] = {}
        self._moves = 0  # of the base branch by others, in a row

    # What the train is told.

    def land(self, task: str) -> Generator[Waits, Any, None]:
        """Let a task's submitted work wait in the train."""
        yield Waits.TURN
        now = self.world.state.tasks[task]
        assert now.submitted is not None, "only submitted work is landed"
        needs = frozenset(self.world.witness.needs[task])
        item = t.Item(task=task, generation=now.generation, commit=now.submitted, needs=needs)
        self.waiting[item.key] = item
        if self.stopped:
            self._put_back(item.key)
            return
        tip = self.world.base[-1].name
        if tip != self.train.base and not self.train.landing:
            self.tell(t.BaseMoved(tip))
        self.tell(t.Enqueued((item,)))

    def stop(self) -> Generator[Waits, Any, None]:
        """Start nothing more; what is not landing goes back among the submitted."""
        yield Waits.TURN
        self.stopped = True
        for routine in self.gates.values():
            routine.unwanted = True
        self.tell(t.Stopped())
        self._put_all_back()

    def tell(self, event: t.Event) -> None:
        """Tell the train something, and carry out what it orders."""
        self.train, orders = self.world.policy.step(self.world.rules, self.train, event)
        for order in orders:
            self.world.witness.train_orders(order)
            self._carry_out(order)

    def _carry_out(self, order: t.Order) -> None:
        match order:
            case t.Build(number, item, onto):
                self.world.begin(f"merge {item.task} on {onto}", self._build(number, item, onto))
            case t.Gate(candidate):
                name = f"gates on {candidate.commit}"
                self.gates[candidate.number] = self.world.begin(name, self._gate(candidate))
            case t.Cancel(number):
                if number in self.gates:
                    self.gates[number].unwanted = True
            case t.Land(_, candidates):
                self.world.begin(f"land {' '.join(c.commit for c in candidates)}", self._advance(candidates))
            case t.Refuse(item, kind, _, number):
                found = self._found.get(number or 0)
                reason = found.value[1] if found and kind is not t.RefuseKind.CONFLICT else kind.value
                final = found is Verdict.NO_GATE or kind is t.RefuseKind.NEED
                self.world.refuse(item.task, item.generation, reason, final=final)
                del self.waiting[item.key]

    # What the train orders.

    def _build(self, number: int, item: t.Item, onto: str) -> Generator[Waits, Any, None]:
        fault = yield Waits.MERGE
        if fault:
            if any(candidate.number == number for candidate in self.train.candidates.values()):
                self._give_up((item.key,), Verdict.FAULT.value[1])
            return
        holds = self.world.commits[onto].holds
        if not self.world.fits.merges(holds, item.commit):
            self.tell(t.Conflicted(number))
            return
        name = f"{item.task}-{self.world.number()}"
        made = Commit(name, onto, holds | {item.commit}, item.task, item.generation, item.commit)
        self.world.commits[name] = self._merged[number] = made
        self.tell(t.Built(number, name))

    def _gate(self, candidate: t.Candidate) -> Generator[Waits, Any, None]:
        number, made = candidate.number, self._merged[candidate.number]
        verdict: Verdict = yield Waits.GATES
        unwanted = self.gates.pop(number).unwanted
        passes = self.world.fits.passes(made.holds)
        if verdict.of_the_tree and verdict.passes != passes:
            verdict = Verdict.PASSED if passes else Verdict.FAILED
        if verdict is Verdict.FAULT and not unwanted:
            self._give_up((candidate.key,), verdict.value[1])
        self._found[number] = verdict
        self.world.witness.gated(made, passed=verdict.passes, failed=verdict.of_the_tree and not verdict.passes)
        self.tell(t.Gated(number, verdict.value[0]))

    def _advance(self, candidates: Sequence[t.Candidate]) -> Generator[Waits, Any, None]:
        yield Waits.TURN
        commits = tuple(self._merged[candidate.number] for candidate in candidates)
        keys = tuple(candidate.key for candidate in candidates)
        for key in keys:
            if not self.world.policy.is_current(self.world.board.get(key.task), key.generation):
                self.world.witness.refused_as_stale(key.task, key.generation)
                self._give_up((key,), "stale")
                return
        how = yield from self.world.move(tuple(key.task for key in keys), commits)
        self._moves = self._moves + 1 if how is Move.ELSEWHERE else 0
        if how is Move.DONE:
            for key, commit in zip(keys, commits, strict=True):
                self.world.landed_as(key.task, key.generation, commit.name)
                del self.waiting[key]
            self.tell(t.Landed())
        elif how is Move.IN_THE_WAY or self._moves == _TRIES:
            self._give_up(keys, "the branch cannot be moved")
        else:
            self._answer_not_moved()

    def _answer_not_moved(self) -> None:
        self.tell(t.BaseMoved(self.world.base[-1].name))
        if self.stopped:
            self._put_all_back()

    # How an item's story ends otherwise.

    def _give_up(self, keys: Sequence[t.Key], reason: str) -> None:
        """Take items off the train for a fault that no other generation would mend."""
        landing = set(keys) & set(self.train.landing)
        for key in keys:
            self.world.refuse(key.task, key.generation, reason, final=True)
            self.tell(t.Withdrawn(key))
            del self.waiting[key]
        if landing:
            self._answer_not_moved()

    def _put_all_back(self) -> None:
        for key in [key for key in self.waiting if key not in self.train.landing]:
            self._put_back(key)

    def _put_back(self, key: t.Key) -> None:
        work = self.waiting.pop(key).commit
        self.world.emit(happened.Submitted(task=key.task, generation=key.generation, commit=work, files=1))
