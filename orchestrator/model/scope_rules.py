"""Which scopes may meet: tracks never, tasks only where one needs the other; each answer comes with a path.

What a task may write is what it owns less the contract files and the shared paths. An exclude in `shared`
(`!src/shared/own/**`) gives paths back, so territories can meet there as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, islice, product
from typing import TYPE_CHECKING

from orchestrator.model import globs
from orchestrator.model.glob_automaton import may_meet, witness
from orchestrator.model.globs import Scope
from orchestrator.model.plan_problem import Gaps, Problem, Where, folded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchestrator.model.graph import Reach
    from orchestrator.model.plan import Plan, Task

__all__ = ["KnownOrder", "problems_of", "twins_of"]

_LISTED_OVERLAPS = 100  # beyond these a plan has one mistake many times over


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownOrder:
    """The order that the readable needs give; `unsure` are the bits of tasks of which some need is not known."""

    reach: Reach
    unsure: int

    def apart(self, one: str, other: str) -> bool:
        """Tell whether the two certainly run in no order, whatever the unknown needs are."""
        reach = self.reach
        if reach.ordered(one, other):
            return False
        mine, theirs = reach.above[one] | reach.bit[one], reach.above[other] | reach.bit[other]
        # An unknown need of a task that both build on cannot lead from one to the other: that would be a cycle.
        return not self.unsure & (mine ^ theirs)

    def has_peers(self, name: str) -> bool:
        """Tell whether some task could run at the same time."""
        reach = self.reach
        return (reach.above[name] | reach.below[name]).bit_count() < len(reach.bit) - 1


class _Protection:
    """Contract files and shared paths, taken out of what somebody owns."""

    def __init__(self, plan: Plan) -> None:
        self._contracts = tuple(plan.contracts.files)
        self._shared = tuple(glob for glob in plan.shared if not glob.startswith("!"))
        self.given_back = Scope(glob[1:] for glob in plan.shared if glob.startswith("!"))

    def without_contracts(self, owned: Iterable[str]) -> Scope:
        scope = Scope(owned)
        return scope.without(globs.escape(path) for path in self._contracts if scope.matches(path))

    def without_all(self, owned: Iterable[str]) -> Scope:
        """Return what certainly remains; what `given_back` holds of `without_contracts` remains, too."""
        return self.without_contracts(owned).without(self._shared)

    def leaves(self, owned: Iterable[str]) -> bool:
        """Tell whether anything remains."""
        owned = tuple(owned)
        if globs.outside(self.without_all(owned), Scope(())):
            return True
        return _meeting(self.without_contracts(owned), self.given_back) is not None

    def overlaps(self, owners: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str, str]]:
        """Yield every two owners that can write one path, and that path."""
        found = set()
        certain = {name: self.without_all(owned) for name, owned in owners.items()}
        for one, other, path in globs.overlapping_pairs(certain):
            found.add((one, other))
            yield one, other, path
        if not self.given_back.patterns:
            return
        scopes = {name: self.without_contracts(owned) for name, owned in owners.items()}
        near = [name for name, scope in scopes.items() if _meeting(scope, self.given_back)]
        for one, other in combinations(near, 2):
            if (one, other) in found:
                continue
            if meeting := _meeting(scopes[one], scopes[other], self.given_back):
                yield one, other, meeting


def _meeting(*scopes: Scope) -> str | None:
    """Return a path that all the scopes match, or None."""
    named = sorted(path for scope in scopes for path in scope.included.literals)
    if at_name := next((path for path in named if all(scope.matches(path) for scope in scopes)), None):
        return at_name
    for patterns in product(*(scope.included.wild for scope in scopes)):
        if all(may_meet(one, other) for one, other in combinations(patterns, 2)):
            held_back = tuple(p for scope in scopes for p in scope.excluded.near(*patterns))
            if path := witness(patterns, held_back):
                return path
    return None


def problems_of(plan: Plan, *, order: KnownOrder, gaps: Gaps) -> Iterator[Problem]:
    """Yield what is wrong with the scopes of tracks and tasks."""
    tasks = _readable(plan, gaps)
    for index, task in tasks.values():
        if task.track is None and task.writes is None:
            yield Problem(
                where=("tasks", index),
                message="the task has neither 'track' nor 'writes', so nobody knows what it may write;"
                " name a track, or list globs (`writes: []` for nothing)",
            )
    yield from _outside_track(plan, tasks)
    protection = _Protection(plan)
    for index, task in tasks.values():
        owned = plan.owned(task)
        if owned and not protection.leaves(owned):
            yield Problem(
                where=_scope_place(index, task),
                message="every path in this scope is excluded, shared or a contract file, so the task may write"
                " nothing; widen it, or write `writes: []` if that is meant",
            )
    if gaps.protected:
        return  # what looks like an overlap may be protected
    entangled = set()
    for one, other, path in protection.overlaps({name: track.owns for name, track in plan.tracks.items()}):
        entangled.add(frozenset((one, other)))
        yield Problem(
            where=("tracks", other, "owns"),
            message=f"the tracks {one!r} and {other!r} can both own {path!r}; narrow one of them",
            other=("tracks", one, "owns"),
        )
    overlaps = _task_overlaps(plan, tasks, order, protection, entangled)
    yield from islice(overlaps, _LISTED_OVERLAPS)
    if next(overlaps, None):
        yield Problem(where=("tasks",), message="more tasks overlap than are listed here; solve these first")


def _readable(plan: Plan, gaps: Gaps) -> dict[str, tuple[int, Task]]:
    """Return the tasks, by id and with their index, whose scope is known; of two with one id the first."""
    tasks: dict[str, tuple[int, Task]] = {}
    for index, task in enumerate(plan.tasks):
        unknown_track = task.track is not None and task.track not in plan.tracks
        if not gaps.any_of(task.id, "track", "writes") and not (task.writes is None and unknown_track):
            tasks.setdefault(task.id, (index, task))
    return tasks


def _scope_place(index: int, task: Task) -> Where:
    return ("tasks", index, "writes" if task.writes is not None else "track")


def _outside_track(plan: Plan, tasks: Mapping[str, tuple[int, Task]]) -> Iterator[Problem]:
    territory = {name: Scope(track.owns) for name, track in plan.tracks.items()}
    for index, task in tasks.values():
        if task.track not in territory:
            continue
        excludes = [glob for glob in task.writes or () if glob.startswith("!")]
        for position, glob in enumerate(task.writes or ()):
            if glob.startswith("!"):
                continue
            if path := globs.outside(Scope((glob, *excludes)), territory[task.track]):
                yield Problem(
                    where=("tasks", index, "writes", position),
                    message=f"{glob!r} takes in {path!r}, which the track {task.track!r} does not own;"
                    " narrow it, widen the track, or leave 'track' out",
                    other=("tracks", task.track, "owns"),
                )


def _task_overlaps(
    plan: Plan,
    tasks: Mapping[str, tuple[int, Task]],
    order: KnownOrder,
    protection: _Protection,
    entangled: set[frozenset[str]],
) -> Iterator[Problem]:
    owners = {name: plan.owned(task) for name, (_, task) in tasks.items() if order.has_peers(name)}
    for one, other, path in protection.overlaps(owners):
        (first, mine), (second, theirs) = tasks[one], tasks[other]
        shared = mine.track == theirs.track and mine.track in plan.tracks and plan.tracks[mine.track].mode == "crdt"
        same_fault = mine.track and theirs.track and frozenset((mine.track, theirs.track)) in entangled
        if shared or same_fault or not order.apart(one, other):
            continue
        yield Problem(
            where=_scope_place(second, theirs),
            message=f"the tasks {one!r} and {other!r} can both write {path!r}, and neither needs the other;"
            f" add {one!r} to the needs of {other!r} (or the other way round), or narrow one scope",
            other=_scope_place(first, mine),
        )


def twins_of(plan: Plan) -> Iterator[Problem]:
    """Yield a warning for each path or folder that two scopes spell differently in letter case or Unicode form."""
    spellings: dict[str, dict[str, Where]] = {}
    for where, path in _spelled(plan):
        known = spellings.setdefault(folded(path), {})
        if path in known:
            continue
        folder = path.rpartition("/")[0]  # where the folders differ already, that was reported
        twins = [name for name, at in known.items() if name.rpartition("/")[0] == folder and at[:-1] != where[:-1]]
        known[path] = where
        if twins:
            yield Problem(
                where=where,
                message=f"{path!r} here and {twins[0]!r} elsewhere differ only in letter case or Unicode form, and some"
                " file systems keep only one of them; spell them alike",
                other=known[twins[0]],
            )


def _spelled(plan: Plan) -> Iterator[tuple[Where, str]]:
    """Yield each place with every path and folder that is spelled out there, folders first."""
    for path in plan.contracts.files:
        yield from ((("contracts", "files", path), name) for name in _with_folders(path))
    lists: list[tuple[Where, tuple[str, ...]]] = [(("shared",), plan.shared)]
    lists += [(("tracks", name, "owns"), track.owns) for name, track in plan.tracks.items()]
    lists += [(("tasks", index, "writes"), task.writes or ()) for index, task in enumerate(plan.tasks)]
    for where, patterns in lists:
        for position, pattern in enumerate(patterns):
            named = Scope((pattern,)).included
            before_wildcards = {wild.prefix.rpartition("/")[0] for wild in named.wild} - {""}
            for path in sorted(named.literals | before_wildcards):
                yield from (((*where, position), name) for name in _with_folders(path))


def _with_folders(path: str) -> Iterator[str]:
    parts = path.split("/")
    return ("/".join(parts[:end]) for end in range(1, len(parts) + 1))
