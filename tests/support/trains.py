"""A world for the merge train: work that merges or not, gates that pass or not, and somebody who watches every order.

A commit is its own content: `base+a+b` is the work of a and b on top of `base`. So what a tree holds can be read off it, and
every order of the train is checked against what is really so.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

from orchestrator.model import train as merge_train
from orchestrator.model import train_values as value
from orchestrator.model.train_values import Key, RefuseKind, Verdict

if TYPE_CHECKING:
    from random import Random

__all__ = [
    "MEDDLERS",
    "PASSING",
    "Step",
    "Work",
    "World",
    "begun",
    "label",
    "one_by_one",
    "play",
    "random_rules",
    "random_work",
    "told",
    "wander",
]

MEDDLERS = ("x", "y", "z")  # what somebody else puts on the base branch
PASSING = (Verdict.PASSED, Verdict.FLAKED)
Step = Callable[[value.Rules, value.Train, value.Event], tuple[value.Train, tuple[value.Order, ...]]]
Pairs = frozenset[frozenset[str]]


def label(key: Key) -> str:
    """Return how an item's work shows in a commit: `a`, of a later generation `a2`."""
    return key.task if key.generation == 1 else f"{key.task}{key.generation}"


@dataclass(frozen=True, kw_only=True)
class Work:
    """What there is to land, in the plan's order, and how it fits together.

    Two of `conflicts` do not merge. A tree with all of one set of `broken` fails the gates. With a `salt`, so does whatever
    chance says of the work of one lane (tasks on different lanes never interact), whether or not a part of it passes.
    """

    needs: dict[str, frozenset[str]]
    conflicts: Pairs = frozenset()
    broken: Pairs = frozenset()
    independent: Pairs = frozenset()
    lanes: dict[str, int] = field(default_factory=dict)
    salt: int | None = None

    def merges(self, commit: str, name: str) -> bool:
        return not any(frozenset({name, other}) in self.conflicts for other in commit.split("+"))

    def passes(self, commit: str) -> bool:
        there = frozenset(commit.split("+"))
        if self.salt is not None:
            for lane in set(self.lanes.values()):
                here = sorted(name for name in there if self.lanes.get(name) == lane)
                if here and zlib.crc32(f"{self.salt} {here}".encode()) % 3 == 0:
                    return False
        return not any(group <= there for group in self.broken)

    def item(self, task: str, generation: int = 1) -> value.Item:
        key = Key(task, generation)
        return value.Item(task=task, generation=generation, commit=label(key), needs=self.needs[task])

    def rules(self, *, window: int = 8, slots: int = 8, batch: int = 1) -> value.Rules:
        return value.Rules(
            place={task: index for index, task in enumerate(self.needs)},
            independent=lambda a, b: frozenset({a, b}) in self.independent,
            window=window,
            slots=slots,
            batch=batch,
        )


def one_by_one(work: Work) -> list[str]:
    """Return what lands if each task in the plan's order is merged with the base branch, gated, and only then landed."""
    base = "base"
    for task, needs in work.needs.items():
        candidate = f"{base}+{task}"
        if needs <= set(base.split("+")) and work.merges(base, task) and work.passes(candidate):
            base = candidate
    return base.split("+")[1:]


@dataclass
class World:
    """Holds what the train ordered until it is answered, and knows the truth."""

    work: Work
    rules: value.Rules
    step: Step = merge_train.step
    tip: str = "base"
    enqueued: list[Key] = field(default_factory=list)
    building: dict[int, value.Build] = field(default_factory=dict)
    gating: dict[int, value.Candidate] = field(default_factory=dict)
    cancelled: set[int] = field(default_factory=set)
    land: value.Land | None = None
    proved: set[str] = field(default_factory=set)  # commits whose gates passed
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    landed: list[Key] = field(default_factory=list)
    refused: dict[Key, RefuseKind] = field(default_factory=dict)
    withdrawn: set[Key] = field(default_factory=set)
    lands: int = 0
    gate_runs: int = 0
    stopped: bool = False
    windows: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.train = merge_train.begin(self.rules, self.tip)

    def tell(self, event: value.Event) -> tuple[value.Order, ...]:
        """Tell the train something, and check whatever it orders."""
        match event:
            case value.Enqueued(items):
                self.enqueued.extend(item.key for item in items)
            case value.Withdrawn(key):
                self.withdrawn.add(key)
            case value.Stopped():
                self.stopped = True
        self.train, orders = self.step(self.rules, self.train, event)
        self.windows.append(self.train.window)
        for order in orders:
            self._ordered(order)
        if self.stopped:
            assert self.cancelled == set(self.gating), "gates go on after the stop"
        return orders

    def _ordered(self, order: value.Order) -> None:
        assert not self.stopped or isinstance(order, value.Cancel), "an order after the stop"
        match order:
            case value.Build():
                assert order.onto == "+".join([self.train.base, *(label(key) for key in order.chain)])
                self._in_window(order.item.key)
                self.building[order.number] = order
            case value.Gate(candidate):
                self._in_window(candidate.key)
                self.gating[candidate.number] = candidate
                self.gate_runs += 1
                assert len(self.gating) <= self.rules.slots, "more gates than slots"
            case value.Cancel(number):
                assert number in self.gating
                assert number not in self.cancelled
                self.cancelled.add(number)
            case value.Land():
                self._landing(order)
            case value.Refuse():
                self._refusing(order)

    def _in_window(self, key: Key) -> None:
        assert key in self._ready()[: self.train.window], "outside the window"
        assert self.train.window <= self.rules.window

    def _ready(self) -> list[Key]:
        """Return the line without those that wait for something to be submitted."""
        known = {done.task for done in self.landed}
        ready: list[Key] = []
        for item in self.train.line:
            if item.needs <= known:
                known.add(item.task)
                ready.append(item.key)
        return ready

    def _in_turn(self, lot: tuple[Key, ...]) -> None:
        """Check that everything that goes before one of these is settled, is one of these, or is independent of it."""
        place = self.rules.place
        for key in lot:
            ahead = {k.task for k in self._ready() if k not in lot and place[k.task] < place[key.task]}
            apart = {task for task in ahead if self.rules.independent(task, key.task)} - self.work.needs[key.task]
            assert ahead == apart, f"{label(key)} is not in its turn: {ahead - apart}"

    def _landing(self, order: value.Land) -> None:
        assert self.land is None
        commits = [candidate.commit for candidate in order.candidates]
        assert commits[-1] in self.proved, "a tree that was not gated is to land"
        if self.rules.batch == 1:
            assert set(commits) <= self.proved, "a tree that was not gated alone is to land"
        names = [label(candidate.key) for candidate in order.candidates]
        assert commits[-1] == "+".join([order.old, *names]), "what is to land is not what it says"
        there = {key.task for key in self.landed}
        for candidate in order.candidates:
            assert candidate.verdict is self.verdicts.get(candidate.number), "a verdict is lost: was it flaky?"
            assert candidate.key.task not in there, "lands twice"
            assert self.work.needs[candidate.key.task] <= there, "lands before its needs"
            assert candidate.key not in self.withdrawn | set(self.refused)
            there.add(candidate.key.task)
        self._in_turn(tuple(candidate.key for candidate in order.candidates))
        self.land = order

    def _refusing(self, order: value.Refuse) -> None:
        item, base = order.item, order.base
        assert item.key not in {*self.refused, *self.landed, *self.withdrawn}
        match order.kind:
            case RefuseKind.CONFLICT:
                assert not self.work.merges(base, item.commit), "refused, but it merges"
                self._in_turn((item.key,))
            case RefuseKind.FAILED | RefuseKind.TIMED_OUT:
                assert not self.work.passes(f"{base}+{item.commit}"), "refused, but it passes"
                self._in_turn((item.key,))
            case RefuseKind.NEED:
                waiting = {other.task for other in self.train.line}
                assert not item.needs <= {key.task for key in self.landed} | waiting, (
                    "refused, but its needs may still land"
                )
        self.refused[item.key] = order.kind

    def questions(self) -> list[value.Order]:
        """Return every order that waits for an answer, oldest first."""
        gates = [value.Gate(candidate) for candidate in self.gating.values()]
        return [*self.building.values(), *gates, *([self.land] if self.land else [])]

    def answer(self, question: value.Order, *, verdict: Verdict | None = None) -> tuple[value.Order, ...]:
        """Answer an order truthfully; `verdict` says how a gate fails, or that it was stopped or flaky."""
        match question:
            case value.Build(number, item, onto):
                del self.building[number]
                merges = self.work.merges(onto, item.commit)
                return self.tell(value.Built(number, f"{onto}+{item.commit}") if merges else value.Conflicted(number))
            case value.Gate(candidate):
                return self._gate(candidate, verdict)
            case value.Land(old, candidates):
                self.land = None
                if old != self.tip:
                    return self.tell(value.BaseMoved(self.tip))
                self.tip = candidates[-1].commit
                self.landed.extend(candidate.key for candidate in candidates)
                self.lands += 1
                return self.tell(value.Landed())
        raise AssertionError(f"{question} has no answer")

    def _gate(self, candidate: value.Candidate, verdict: Verdict | None) -> tuple[value.Order, ...]:
        del self.gating[candidate.number]
        passes = self.work.passes(candidate.commit)
        if verdict is None or (verdict is not Verdict.STOPPED and (verdict in PASSING) != passes):
            verdict = Verdict.PASSED if passes else Verdict.FAILED
        if verdict in PASSING:
            self.proved.add(candidate.commit)
        if verdict is not Verdict.STOPPED:
            self.verdicts[candidate.number] = verdict
        self.cancelled.discard(candidate.number)
        return self.tell(value.Gated(candidate.number, verdict))

    def decline(self, key: Key) -> None:
        """Answer an order to land: this item must not, so nothing was landed."""
        assert self.land is not None
        self.land = None
        self.tell(value.Withdrawn(key))
        self.tell(value.BaseMoved(self.tip))

    def rounds(self) -> int:
        """Answer everything until nothing is left to answer; return how many times all running gates ended together."""
        rounds = 0
        while questions := self.questions():
            quick = [question for question in questions if not isinstance(question, value.Gate)]
            for question in quick or questions:
                self.answer(question)
            rounds += not quick
        return rounds


def random_work(random: Random, *, salted: bool = False, meddled: bool = False) -> Work:
    """Return up to nine tasks with needs, conflicts and faults; every pair that shares none of these may be independent.

    If it is `meddled` with, some of them do not go together with what somebody else puts on the base branch.
    """
    names = [chr(ord("a") + n) for n in range(random.randint(1, 9))]
    chance = random.choice([0.0, 0.1, 0.3])
    needs = {
        name: frozenset(other for other in names[:index] if random.random() < chance / 2)
        for index, name in enumerate(names)
    }
    pairs = [frozenset(pair) for pair in combinations(names, 2)]
    lanes = {name: random.randint(1, 2) for name in names}
    if salted:
        apart = frozenset(pair for pair in pairs if len({lanes[name] for name in pair}) == 2)
        return Work(needs=needs, independent=apart, lanes=lanes, salt=random.randint(0, 1 << 16))
    conflicts = frozenset(pair for pair in pairs if random.random() < chance / 3)
    groups = [
        frozenset(random.sample(names, min(len(names), random.randint(1, 3)))) for _ in range(random.randint(0, 3))
    ]
    if meddled:
        conflicts |= {frozenset({random.choice(MEDDLERS), random.choice(names)})}
        groups.append(frozenset({random.choice(MEDDLERS), random.choice(names)}))
    broken = frozenset(groups)
    entangled = {frozenset(pair) for group in broken for pair in combinations(group, 2)} | conflicts
    often = random.choice([0.0, 0.5, 1.0])
    apart = frozenset(pair for pair in pairs if pair not in entangled and random.random() < often)
    return Work(needs=needs, conflicts=conflicts, broken=broken, independent=apart)


def random_rules(random: Random, work: Work, *, batch: int = 4) -> value.Rules:
    return work.rules(window=random.randint(1, 9), slots=random.randint(1, 5), batch=random.randint(1, batch))


def play(world: World, random: Random, *, moves: int = 2) -> None:
    """Enqueue all work at once, then let things happen in any order, with flaky gates, until the train rests.

    The base branch is moved by somebody else up to `moves` times; the train may be told, or find out when it lands.
    """
    tasks = list(world.work.needs)
    random.shuffle(tasks)
    cut = random.randint(0, len(tasks))
    for part in (tasks[:cut], tasks[cut:]):
        world.tell(value.Enqueued(tuple(world.work.item(task) for task in part)))
    for _ in range(2000):
        questions = world.questions()
        if not questions:
            return
        if moves and random.random() < 0.05:
            moves -= 1
            world.tip += f"+somebody{moves}"
            if world.land is None and random.random() < 0.5:
                world.tell(value.BaseMoved(world.tip))
        elif world.gating and random.random() < 0.1:
            world.tell(value.Slow(random.choice(list(world.gating))))
        else:
            world.answer(random.choice(questions), verdict=random.choice(list(Verdict)))
    raise AssertionError("the train does not come to rest")


def wander(world: World, random: Random) -> None:
    """Let work come and go: late, twice, withdrawn, in new generations, stopped, while somebody else moves the base branch."""
    late = [world.work.item(task) for task in world.work.needs]
    random.shuffle(late)
    stop = random.random() < 0.2
    for _ in range(60):
        deed = random.random()
        questions = world.questions()
        if deed < 0.5 and questions:
            world.answer(random.choice(questions), verdict=random.choice(list(Verdict)))
        elif deed < 0.7 and late:
            world.tell(value.Enqueued((late.pop(),)))
        elif deed < 0.75:
            world.tip += f"+{random.choice(MEDDLERS)}"
            if world.land is None and random.random() < 0.5:
                world.tell(value.BaseMoved(world.tip))
        elif deed < 0.8 and world.gating:
            world.tell(value.Slow(random.choice(list(world.gating))))
        elif deed < 0.85 and world.enqueued:
            world.tell(value.Withdrawn(random.choice(world.enqueued)))
        elif deed < 0.88 and world.land:
            world.decline(random.choice(world.land.candidates).key)
        elif deed < 0.98 and world.enqueued:
            task, generation = random.choice(world.enqueued)
            world.tell(value.Enqueued((world.work.item(task, generation + random.randint(-1, 1)),)))
        elif stop and not world.stopped:
            world.tell(value.Stopped())
    world.tell(value.Enqueued(tuple(late)))
    world.rounds()


def begun(work: Work, *tasks: str, **rules: int) -> World:
    """Return a world whose train was given these tasks at once (all if none is named), and has built all it can."""
    world = World(work, work.rules(**rules))
    world.tell(value.Enqueued(tuple(work.item(task) for task in tasks or work.needs)))
    while world.building:
        world.answer(next(iter(world.building.values())))
    return world


def told(world: World, orders: tuple[value.Order, ...]) -> list[str]:
    """Return orders in short: `build c on base+a`, `gate base+a+c`, `cancel`, `land a b`, `refuse a: failed`."""
    shown = []
    for order in orders:
        match order:
            case value.Build(_, item, onto):
                shown.append(f"build {item.commit} on {onto}")
            case value.Gate(candidate):
                shown.append(f"gate {candidate.commit}")
            case value.Cancel(number):
                shown.append(f"cancel {world.gating[number].commit}")
            case value.Land(_, candidates):
                shown.append(f"land {' '.join(label(c.key) for c in candidates)}")
            case value.Refuse(item, kind):
                shown.append(f"refuse {item.commit}: {kind}")
    return shown
