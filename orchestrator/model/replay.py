"""Whose each line is, by playing a history forward: what `git blame` finds out for one file, for all files at once. Pure.

A history is a sequence of steps, one a commit, parents first. A step says of each path that it changes where its lines come
from: it is a file of some parent as it was there; or a file of a parent, and perhaps more than one, less what was cut and with
what was put in. Lines that were there before the history begins are nobody's, and so are those of commits that own nothing,
unless they stand where an owner's line stood.

The length of a file is nowhere needed: the lines after those that are known one by one have one owner.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = [
    "NOBODY", "Changed", "Cut", "Gone", "Made", "Move", "Owner", "Owners", "Source", "Step", "Taken", "heirs", "names_before",
    "replay",
]  # fmt: skip


class Changed(NamedTuple):
    """Of a line: the commit `by`, which owns nothing, has put it where a line of the commit `was` stood."""

    by: str
    was: str


Owner = str | Changed | None
"""Whose a line is: a commit's that owns what it writes; nobody's, in place of such a commit's; or nobody's."""


@dataclass(frozen=True, slots=True)
class Owners:
    """The owner of each line of a file: of the first ones one by one, then of all the `rest`; None is nobody."""

    known: Sequence[Owner] = ()
    rest: Owner = None

    def span(self, first: int, end: int) -> list[Owner]:
        """Return the owners of the lines from `first` to before `end`, counted from 0."""
        found = list(self.known[first:end])
        return found + [self.rest] * (end - first - len(found))

    def ranges(self, length: int) -> Iterator[tuple[int, int, Owner]]:
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


def names_before(history: Sequence[Step], paths: Iterable[str]) -> dict[str, set[str]]:
    """Return path → the names that the file has had in a history: its own, and those under which it was found before.

    A file that stood at one of these names and went before this one came there is not followed.
    """
    # Name → the files, by their last names, that had it at this place in the history.
    finals = {path: {path} for path in paths}
    found = {path: {path} for path in finals}
    for step in reversed(history):
        earlier: list[tuple[str, set[str]]] = []
        for path in step.moves.keys() & finals.keys():
            olds = _olds(step.moves[path])
            if path not in olds:
                last = finals.pop(path)
                earlier += [(old, last) for old in olds]
        for old, last in earlier:
            finals.setdefault(old, set()).update(last)
            for path in last:
                found[path].add(old)
    return found


def _olds(move: Move) -> set[str]:
    match move:
        case Taken(_, path):
            return {path}
        case Made(sources):
            return {source.path for source in sources}
        case Gone():
            return set()


def _after(move: Move, step: Step, states: _States, cuts: Mapping[tuple[str, str], Sequence[Cut]]) -> Owners:
    match move:
        case Taken(parent, path):
            return states.of(parent, path)
        case Made(sources):
            before = [(states.of(source.parent, source.path), cuts[source.difference]) for source in sources]
            return _made(before, step)
        case Gone():
            return NOBODY


class _New(NamedTuple):
    """A line that the sources looked at so far have not; it stands where one of `was` stood in the first of them, if of any."""

    was: str | None

    def owner(self, step: Step) -> Owner:
        if step.owns:
            return step.commit
        return Changed(step.commit, self.was) if self.was else None


def _made(sources: Sequence[tuple[Owners, Sequence[Cut]]], step: Step) -> Owners:
    if not step.owns and all(owners is NOBODY for owners, _ in sources):
        return NOBODY
    if not sources:
        return Owners(rest=_New(None).owner(step))
    (before, cuts), *others = sources
    lines = _edited(before, cuts)
    for owners, there in others:
        found = _span(_edited(owners, there), owners.rest, len(lines))
        lines = [
            other if isinstance(line, _New) and not isinstance(other, _New) else line
            for line, other in zip(lines, found, strict=True)
        ]
    return Owners([line.owner(step) if isinstance(line, _New) else line for line in lines], before.rest)


def _edited(before: Owners, cuts: Iterable[Cut]) -> list[Owner | _New]:
    lines: list[Owner | _New] = []
    done = 0
    for cut in cuts:
        lines += before.span(done, cut.old)
        done = cut.old + cut.removed
        lines += map(_New, heirs(before.span(cut.old, done), cut.added))
    lines += before.known[done:]
    return lines


def _span(lines: Sequence[Owner | _New], rest: Owner, end: int) -> list[Owner | _New]:
    return [*lines[:end], *[rest] * (end - len(lines))]


def heirs(replaced: Sequence[Owner], added: int) -> list[str | None]:
    """Return whose lines those were that so many new ones replace: line by line if as many went, else of all if of one owner."""
    was = [owner.was if isinstance(owner, Changed) else owner for owner in replaced]
    if len(was) == added:
        return was
    return [was[0] if len(set(was)) == 1 else None] * added
