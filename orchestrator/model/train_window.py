"""What the merge train orders next: which work is refused, landed, built and gated, as the train stands. Pure.

`settle` walks along the line from its front and keeps one chain of candidates, the *path*: each item in the window stands on
the nearest item ahead that is not failing. What follows from a failing item, a need or a full window is decided on that walk.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.model.train_values import Build, Candidate, Gate, Land, Refuse, RefuseKind, Status, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from orchestrator.model.train_values import Item, Key, Order, Rules, Train

__all__ = ["arranged", "settle", "without"]


def settle(rules: Rules, train: Train) -> tuple[Train, tuple[Order, ...]]:
    """Return the train after all that can be ordered now has been ordered, and the orders."""
    orders: list[Order] = []
    while True:
        walk = _walked(rules, train)
        train = replace(train, candidates=walk.kept)
        judged = _next_verdict(rules, train)
        if judged is None:
            break
        train, order = judged
        if order:
            orders.append(order)
    train, built = _build(train, walk)
    train, gated = _gate(rules, train, walk)
    return train, (*orders, *built, *gated)


def without(train: Train, keys: Collection[Key]) -> Train:
    """Return the train after items have left it without landing."""
    line = tuple(item for item in train.line if item.key not in keys)
    left = {key.task for key in keys} - {item.task for item in line}
    return replace(train, line=line, lost=train.lost | left)


def arranged(rules: Rules, train: Train, *, last: Key | None = None) -> Train:
    """Return the train with its line in order: the plan's, but what is being worked on is not disturbed without need.

    What has a candidate stays in front, unless it depends on an item that must go before it and is not in front. Of two
    items that depend on each other, the plan's first is always ahead. `last` names an item to put behind all that may pass it.
    """

    def place(item: Item) -> int:
        return rules.place[item.task]

    behind = [item for item in train.line if item.key not in train.candidates or item.key == last]
    disturbed = {item.key for item in behind}
    for item in sorted(train.line, key=place):
        fixed = item.key in disturbed or item.key in train.landing
        if not fixed and any(place(other) < place(item) and _depend(rules, other, item) for other in behind):
            behind.append(item)
            disturbed.add(item.key)
    front = [item for item in train.line if item.key not in disturbed]
    return replace(train, line=(*front, *sorted(behind, key=place)))


def _depend(rules: Rules, one: Item, other: Item) -> bool:
    """Tell whether it can matter which of the two lands first."""
    needed = one.task in other.needs or other.task in one.needs
    return needed or not rules.independent(one.task, other.task)


def _ready(train: Train) -> Iterator[Item]:
    """Yield the items of the line; one waits outside while something that it needs was not even submitted."""
    known = set(train.landed)
    for item in train.line:
        if item.needs <= known:
            known.add(item.task)
            yield item


def _walked(rules: Rules, train: Train) -> _Walk:
    """Return the walk along the line, begun anew where it came too late to what shows that it must not build on something."""
    walk = _Walk(rules, train)
    while walk.late:
        walk = _Walk(rules, train, walk.suspects | walk.late)
    return walk


class _Walk:
    """One walk along the line.

    `kept` are the candidates that are still good for something, `path` the keys of the chain that new work is built on, and
    `window` the keys inside the window. `build` is the item to build on the path's end. `suspects` are known to stand under a
    batch that failed, so they are passed over from the start; `late` are those that were found when it was too late for that:
    an item ahead of the batch, which came after it, was to be built on them.
    """

    def __init__(self, rules: Rules, train: Train, suspects: frozenset[Key] = frozenset()) -> None:
        self.suspects = suspects
        self.late: frozenset[Key] = frozenset()
        self.kept: dict[Key, Candidate] = {}
        self.path: list[Key] = []
        self.window: set[Key] = set()
        self.build: Item | None = None
        self._rules = rules
        self._train = train
        self._numbers: set[int | None] = {None}  # what a candidate that is kept may stand on
        self._ahead: list[Item] = []
        self._aside: list[Item] = []
        self._blocked = False  # the next place of the path is not filled, so nothing can stand on it
        for place, item in enumerate(_ready(train)):
            if place < min(train.window, rules.window):
                self.window.add(item.key)
            self._visit(item)
            self._ahead.append(item)

    @property
    def tail(self) -> Candidate | None:
        """The last candidate of the path; None: the path begins at the tip of the base branch."""
        return self.kept[self.path[-1]] if self.path else None

    def _visit(self, item: Item) -> None:
        candidate = self._train.candidates.get(item.key)
        if candidate and item.key in self.suspects and candidate.on in self._numbers:
            self._keep(candidate)
            self._end_lot()
        elif candidate and candidate.failing and candidate.on in self._numbers:
            self._keep(candidate)
            self._pass_over(candidate)
        elif candidate and candidate.on == self._tail_number() and not self._blocked:
            self._keep(candidate)
            self.path.append(item.key)
            self._blocked = candidate.status is Status.BUILDING
        elif candidate and candidate.aside and self._stands_aside(item, candidate):
            self._keep(candidate)
            self._aside.append(item)
        elif not (self._blocked or self._held(item)):
            self._blocked = True
            if item.key in self.window:
                self.build = item

    def _tail_number(self) -> int | None:
        return self.tail.number if self.tail else None

    def _keep(self, candidate: Candidate) -> None:
        self.kept[candidate.key] = candidate
        self._numbers.add(candidate.number)

    def _held(self, item: Item) -> bool:
        """Tell whether something that the item needs is failing, or something it depends on goes its own way."""
        needs = item.needs - self._train.landed - {key.task for key in self.path}
        return bool(needs) or any(_depend(self._rules, item, other) for other in self._aside)

    def _pass_over(self, failing: Candidate) -> None:
        """Let the path go on without a failing candidate, and without those that nobody knows to be good.

        If it failed as the top of several, any of them may be the cause. What is left gets a gate run of its own: no later one
        may count for it, because the failing item must be dealt with in between.
        """
        if failing.status is Status.FAILED and failing.on == self._tail_number():
            while self.tail and not self.tail.point:
                popped = self.path.pop()
                if self.build:
                    self.late |= {popped}
        self._end_lot()

    def _end_lot(self) -> None:
        if self.tail:
            self.kept[self.tail.key] = replace(self.tail, point=True)

    def _stands_aside(self, item: Item, candidate: Candidate) -> bool:
        """Tell whether a slow candidate may go on where it stands although others have been let past it."""
        if candidate.status is Status.BUILT or candidate.on not in self._numbers:
            return False  # its gates were stopped, or what it stood on has gone
        passing = [other for other in self._ahead if other.key not in candidate.chain]
        failing = any(self.kept[key].failing for key in candidate.chain)
        return not failing and not any(_depend(self._rules, item, other) for other in passing)


def _next_verdict(rules: Rules, train: Train) -> tuple[Train, Refuse | Land | None] | None:
    """Return the train after one item was refused, one batch was halved, or a landing began; None if there is nothing."""
    for item in train.line:
        if item.needs & train.lost:
            candidate = train.candidates.get(item.key)
            number = candidate.number if candidate else None
            return without(train, {item.key}), Refuse(item, RefuseKind.NEED, train.base, number)
    for item in train.line:
        candidate = train.candidates.get(item.key)
        if candidate and candidate.failing and _in_turn(rules, train, candidate):
            if not candidate.chain:
                return _refused(train, item, candidate)
            batch = [key for key in candidate.lot if key not in train.landing]
            if len(batch) > 1 and not any(train.candidates[key].point for key in batch[:-1]):
                return _halved(train, batch), None
    return None if train.landing else _landing(rules, train)


def _in_turn(rules: Rules, train: Train, candidate: Candidate) -> bool:
    """Tell whether it makes no difference to the candidate's lot what becomes of the rest of the line ahead of it."""
    lot = set(candidate.lot)
    others: list[Item] = []
    for item in _ready(train):
        if item.key not in lot:
            others.append(item)
            continue
        if any(_depend(rules, item, other) for other in others):
            return False
        lot.remove(item.key)
        if not lot:
            break
    return True


def _refused(train: Train, item: Item, candidate: Candidate) -> tuple[Train, Refuse]:
    timed_out = candidate.verdict is Verdict.TIMED_OUT
    failed = RefuseKind.TIMED_OUT if timed_out else RefuseKind.FAILED
    kind = RefuseKind.CONFLICT if candidate.status is Status.CONFLICTED else failed
    left = replace(without(train, {item.key}), window=max(1, train.window // 2))
    return left, Refuse(item, kind, train.base, candidate.number)


def _halved(train: Train, batch: list[Key]) -> Train:
    """Give the first half of a batch that failed a gate run of its own; the second half waits for what that says."""
    middle = train.candidates[batch[len(batch) // 2 - 1]]
    return replace(train, candidates={**train.candidates, middle.key: replace(middle, point=True)})


def _landing(rules: Rules, train: Train) -> tuple[Train, Land] | None:
    """Begin to land the longest lot that may land."""
    for item in reversed(train.line):
        top = train.candidates.get(item.key)
        if top is None or top.status is not Status.PASSED:
            continue
        lot = tuple(train.candidates[key] for key in top.lot)
        gated = all(candidate.status is Status.PASSED for candidate in lot)
        if (gated or rules.batch > 1) and _in_turn(rules, train, top):
            landing = {candidate.key: replace(candidate, status=Status.LANDING) for candidate in lot}
            items = {item.key: item for item in train.line}
            line = (*(items[key] for key in landing), *(i for i in train.line if i.key not in landing))
            begun = replace(train, line=line, candidates={**train.candidates, **landing}, landing=top.lot)
            return begun, Land(train.base, lot)
    return None


def _build(train: Train, walk: _Walk) -> tuple[Train, tuple[Build, ...]]:
    item, tail = walk.build, walk.tail
    if item is None:
        return train, ()
    number, chain = train.built + 1, tail.lot if tail else ()
    candidate = Candidate(number=number, key=item.key, on=tail.number if tail else None, chain=chain)
    begun = replace(train, built=number, candidates={**train.candidates, item.key: candidate})
    return begun, (Build(number, item, tail.commit if tail else train.base, chain),)


def _gate(rules: Rules, train: Train, walk: _Walk) -> tuple[Train, tuple[Gate, ...]]:
    """Start gates from the front of the path while slots are free: one for each full batch, and for what is left behind it."""
    started: dict[Key, Candidate] = {}
    free, size = rules.slots - len(train.running), 0
    path = [key for key in walk.path if key in walk.window]
    for key in path:
        candidate, size = train.candidates[key], size + 1
        left_over = key == path[-1] and walk.build is None
        if not (candidate.point or size >= rules.batch or left_over):
            continue
        size = 0
        if candidate.status is Status.BUILT:
            if len(started) >= free:
                break
            started[key] = replace(candidate, status=Status.GATING, point=True)
    running = train.running | {candidate.number for candidate in started.values()}
    begun = replace(train, candidates={**train.candidates, **started}, running=running)
    return begun, tuple(Gate(candidate) for candidate in started.values())
