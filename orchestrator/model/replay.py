"""Whose each line is, by playing a history forward: what `git blame` finds out for one file, for all files at once. Pure.

A history is a sequence of steps, one a commit, parents first. A step says of each path that it changes where its lines come
from: it is a file of some parent as it was there; or a file of a parent, and perhaps more than one, less what was cut and with
what was put in. Lines that were there before the history begins are nobody's, and so are those of commits that own nothing.

The length of a file is nowhere needed: the lines after those that are known one by one have one owner.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["NOBODY", "Cut", "Gone", "Made", "Move", "Owners", "Source", "Step", "Taken", "replay"]


@dataclass(frozen=True, slots=True)
class Owners:
    """The owner of each line of a file: of the first ones one by one, then of all the `rest`; None is nobody."""

    known: Sequence[str | None] = ()
    rest: str | None = None

    def span(self, first: int, end: int) -> list[str | None]:
        """Return the owners of the lines from `first` to before `end`, counted from 0."""
        found = list(self.known[first:end])
        return found + [self.rest] * (end - first - len(found))

    def ranges(self, length: int) -> Iterator[tuple[int, int, str | None]]:
        """Yield (first line, last line, owner) of a file of so many lines, counted from 1; neighbours differ in the owner."""
        if not self.known:  # most files: not worth a list of their lines
            if length:
                yield 1, length, self.rest
            return
        last = 0
        for owner, lines in groupby(self.span(0, length)):
            first, last = last + 1, last + sum(1 for _ in lines)
            yield first, last, owner


NOBODY = Owners()
"""The owners of a file that nobody who owns anything has written in."""


class Cut(NamedTuple):
    """One place of a difference: after the line `old` (from 0) that many lines go, and that many come."""

    old: int
    removed: int
    added: int


class Source(NamedTuple):
    """A file of a parent, and the two blobs whose difference says which of its lines are also lines of the new file."""

    parent: str
    path: str
    difference: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Taken:
    """The file as it stands at a path in one of the parents."""

    parent: str
    path: str


@dataclass(frozen=True, slots=True)
class Made:
    """A file of which each line belongs to the first source that has it, and is new if none has."""

    sources: Sequence[Source] = ()


@dataclass(frozen=True, slots=True)
class Gone:
    """No file any more."""


Move = Taken | Made | Gone
"""Where the lines of one changed path come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One commit: its parents, what it does to each path against the first of them, and whether new lines are its own."""

    commit: str
    parents: Sequence[str]
    owns: bool
    moves: Mapping[str, Move]


_State = dict[str, Owners]
"""Path → owners, of the paths of which somebody owns a line, or once did."""


@dataclass(slots=True)
class _States:
    """What stands at each commit, for as long as a step is still to come that begins there."""

    awaited: Counter[str]
    at: dict[str, _State] = field(default_factory=dict)

    def of(self, parent: str, path: str) -> Owners:
        """Return the owners of a file; a parent before the history has only lines of nobody."""
        return self.at.get(parent, {}).get(path, NOBODY)

    def begin(self, parents: Sequence[str]) -> _State:
        """Return a state to change: the first parent's own if nobody else awaits it, else a copy."""
        for parent in parents:
            self.awaited[parent] -= 1
        taken = self.at.get(parents[0], {}) if parents else {}
        state = dict(taken) if parents and self.awaited[parents[0]] else taken
        for parent in parents:
            if not self.awaited[parent]:
                self.at.pop(parent, None)
        return state


def replay(history: Iterable[Step], last: str, cuts: Mapping[tuple[str, str], Sequence[Cut]]) -> dict[str, Owners]:
    """Return path → owners at the commit `last` of a history; a path that is not there has lines of nobody only.

    `cuts` has the cuts of each difference, from top to bottom.
    """
    steps = list(history)
    states = _States(Counter([last, *(parent for step in steps for parent in step.parents)]))
    for step in steps:
        changed = {path: _after(move, step, states, cuts) for path, move in step.moves.items()}
        state = states.begin(step.parents)
        for path, owners in changed.items():
            if owners is NOBODY:
                state.pop(path, None)
            else:
                state[path] = owners
        states.at[step.commit] = state
    return states.at.get(last, {})


def _after(move: Move, step: Step, states: _States, cuts: Mapping[tuple[str, str], Sequence[Cut]]) -> Owners:
    match move:
        case Taken(parent, path):
            return states.of(parent, path)
        case Made(sources):
            before = [(states.of(source.parent, source.path), cuts[source.difference]) for source in sources]
            return _made(before, step.commit if step.owns else None)
        case Gone():
            return NOBODY


_NEW = ""  # no commit's name: a line that the sources looked at so far have not


def _made(sources: Sequence[tuple[Owners, Sequence[Cut]]], by: str | None) -> Owners:
    if by is None and all(owners is NOBODY for owners, _ in sources):
        return NOBODY
    if not sources:
        return Owners(rest=by)
    if len(sources) == 1:
        return _edited(*sources[0], by)
    first, *others = (_edited(owners, cuts, _NEW) for owners, cuts in sources)
    return Owners([by if owner == _NEW else owner for owner in _filled(first, others)], first.rest)


def _edited(before: Owners, cuts: Iterable[Cut], new: str | None) -> Owners:
    owners: list[str | None] = []
    done = 0
    for cut in cuts:
        owners += before.span(done, cut.old)
        owners += [new] * cut.added
        done = cut.old + cut.removed
    owners += before.known[done:]
    return Owners(owners, before.rest)


def _filled(first: Owners, others: Iterable[Owners]) -> list[str | None]:
    """Return the owners of the lines known in `first`, from the first of the others that knows of one where it is new there."""
    owners = list(first.known)
    for other in others:
        there = other.span(0, len(owners))
        owners = [found if owner == _NEW else owner for owner, found in zip(owners, there, strict=True)]
    return owners
