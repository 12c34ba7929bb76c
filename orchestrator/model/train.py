"""The merge train: many submitted items are merged, gated and landed together, as if one by one. Pure.

`step(rules, train, event)` takes what happened and returns the train after it and what to do now. Each item in the window is
merged on top of the nearest item ahead that is not failing, and all these candidates are gated at once, as far as there are
slots. So when all is well, many items land in the time of one gate run; when not, nobody is blamed for another's fault.

What stands on the base branch
    At every move of the base branch, its new tip is a commit whose gates passed, object for object, and it was merged on top of
    the old tip. With `batch` 1 this holds for each commit in between as well. With a greater `batch`, a pass counts for
    all that the candidate contains: A and B land in one move if B on top of A passed, although A was never gated alone, or
    its gates still run. It never counts for A once A's own gates have failed: B on top of A is given up at that moment.

Who is refused
    An item is refused only for what it does on the tip of the base branch itself, with nothing unproved below it, and when it
    is its turn: everything ahead of it is settled, or independent of it. A failure on top of others only marks it as failing.
    The mark stays, and the item is not tested again, until what it failed on has landed (then the failure counts), or
    has left the line (then nothing is known about the item, and it is tested like a new one). A batch that fails
    on the tip is halved until one item is left.

In which order
    Items stand in line in the plan's order, so that the same work lands whatever finishes first. Only items independent of
    each other may change places: one that comes late does not push out what is being gated, and one whose gates are slow
    lets others pass, once. An item with a need that is failing is not tested; if the need leaves the line, it is refused.

How much at once
    The window begins at its greatest size, grows by one for each item that lands, and is halved for each that is refused for
    its own fault. It limits what is begun; what has begun goes on. `slots` limits gates. One that was cancelled has its
    slot until it has answered.

A caller carries out each order and answers it once: `Build` by `Built` or `Conflicted`, `Gate` by `Gated`, `Land` by `Landed`
or `BaseMoved`; `Cancel` and `Refuse` need no answer. Answers may come in any order and at any time. Between a `Land` and its
answer, `BaseMoved` means that nothing was landed. Who cannot land an item after all withdraws it, and then answers
`BaseMoved` with the tip as it is. With every order answered, the train comes to rest when each item, and all that it needs,
was enqueued: each has then landed, or was refused or withdrawn.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.errors import LandingError
from orchestrator.model import train_values as value
from orchestrator.model.train_values import Cancel, Status, Train, Verdict
from orchestrator.model.train_window import arranged, settle, without

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.model.train_values import Candidate, Rules

__all__ = ["begin", "step"]

_STATUS_AFTER = {
    Verdict.PASSED: Status.PASSED,
    Verdict.FLAKED: Status.PASSED,
    Verdict.FAILED: Status.FAILED,
    Verdict.TIMED_OUT: Status.FAILED,
    Verdict.STOPPED: Status.BUILT,
}


def begin(rules: Rules, base: str, landed: Iterable[str] = ()) -> Train:
    """Return an empty train on a base branch whose tip is `base`, where the tasks `landed` have landed."""
    return Train(base=base, landed=frozenset(landed), window=rules.window)


def step(rules: Rules, train: Train, event: value.Event) -> tuple[Train, tuple[value.Order, ...]]:
    """Return the train after an event, and what to do now, in this order.

    An answer about a candidate that has been given up changes nothing but the number of free slots.

    Raises:
        LandingError: `Landed` was said while nothing was landing.
    """
    after = _told(rules, train, event)
    orders: tuple[value.Order, ...] = ()
    if not after.stopped:
        after, orders = settle(rules, after)
    given_up = (_gating(train) & after.running) - _gating(after)
    return after, (*(Cancel(number) for number in sorted(given_up)), *orders)


def _gating(train: Train) -> frozenset[int]:
    return frozenset(c.number for c in train.candidates.values() if c.status is Status.GATING)


def _told(rules: Rules, train: Train, event: value.Event) -> Train:
    match event:
        case value.Enqueued(items):
            for item in items:
                train = _enqueued(train, item)
            return arranged(rules, train)
        case value.Built(number, commit):
            built = _waiting(train, number, Status.BUILDING)
            return _with(train, replace(built, status=Status.BUILT, commit=commit)) if built else train
        case value.Conflicted(number):
            built = _waiting(train, number, Status.BUILDING)
            return _with(train, replace(built, status=Status.CONFLICTED)) if built else train
        case value.Gated(number, verdict):
            train = replace(train, running=train.running - {number})
            gated = _waiting(train, number, Status.GATING)
            said = None if verdict is Verdict.STOPPED else verdict
            return _with(train, replace(gated, status=_STATUS_AFTER[verdict], verdict=said)) if gated else train
        case value.Landed():
            return _landed(rules, train)
        case value.BaseMoved(tip):
            return _moved(rules, train, tip)
        case value.Withdrawn(key):
            if key in train.landing:
                return replace(train, leaving=train.leaving | {key})
            return without(train, {key}) if any(item.key == key for item in train.line) else train
        case value.Slow(number):
            return _let_past(rules, train, number)
        case value.Stopped():
            landing = {key: train.candidates[key] for key in train.landing}
            return replace(train, candidates=landing, stopped=True)


def _enqueued(train: Train, item: value.Item) -> Train:
    if item.task in train.landed or item.generation <= train.newest.get(item.task, 0):
        return train
    older = {other.key for other in train.line if other.task == item.task}
    leaving = older & set(train.landing)
    train = without(train, older - leaving)
    return replace(
        train,
        line=(*train.line, item),
        lost=train.lost - {item.task},
        leaving=train.leaving | leaving,
        newest={**train.newest, item.task: item.generation},
    )


def _waiting(train: Train, number: int, status: Status) -> Candidate | None:
    """Return the candidate of this number if it still counts and waits for such an answer."""
    return next((c for c in train.candidates.values() if (c.number, c.status) == (number, status)), None)


def _with(train: Train, candidate: Candidate) -> Train:
    return replace(train, candidates={**train.candidates, candidate.key: candidate})


def _landed(rules: Rules, train: Train) -> Train:
    """Take what has landed off the front of the line; what stood on all of it now stands on the tip itself."""
    if not train.landing:
        raise LandingError("The merge train was told that something landed while nothing was landing.")
    top = train.candidates[train.landing[-1]]
    landed = train.landed | {key.task for key in train.landing}
    count = len(train.landing)
    return replace(
        train,
        base=top.commit,
        line=tuple(item for item in train.line if item.task not in landed),
        candidates={
            key: replace(c, chain=c.chain[count:], on=None if c.on == top.number else c.on)
            for key, c in train.candidates.items()
            if top.key in c.chain
        },
        landing=(),
        landed=landed,
        leaving=frozenset(),
        window=min(rules.window, train.window + count),
    )


def _moved(rules: Rules, train: Train, tip: str) -> Train:
    """Forget all candidates: what they say holds on another tip."""
    if tip == train.base and not train.landing:
        return train
    train = without(train, train.leaving)
    return arranged(rules, replace(train, base=tip, candidates={}, landing=(), leaving=frozenset()))


def _let_past(rules: Rules, train: Train, number: int) -> Train:
    """Let others past a candidate whose gates run, unless others were let past its item before."""
    slow = _waiting(train, number, Status.GATING)
    if slow is None or slow.key in train.passed_by:
        return train
    train = _with(train, replace(slow, aside=True))
    return arranged(rules, replace(train, passed_by=train.passed_by | {slow.key}), last=slow.key)
