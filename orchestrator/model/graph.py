"""The graph that tasks and their needs make: a stable order, what can run together, and the path of a cycle.

A graph is a mapping from each name, in the author's order, to the names it needs. Needs that are no keys are passed
over, as are repetitions; nothing recurses, so a long chain is no danger.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

__all__ = ["Needs", "Reach", "find_cycle", "tangles", "topological_order", "waves"]

Needs: TypeAlias = "Mapping[str, Iterable[str]]"


def topological_order(needs: Needs) -> tuple[str, ...]:
    """Return every name after all that it needs, and otherwise as the author wrote them.

    Of the names that could come next it is always the author's first, so an order that already fits stays as it is.

    Raises:
        ValueError: there is a cycle; the message shows it.
    """
    known = _known(needs)
    names = tuple(known)
    place = {name: index for index, name in enumerate(names)}
    users = _reversed(known)
    waiting = {name: len(of) for name, of in known.items()}
    ready = [place[name] for name in names if not waiting[name]]
    ordered: list[str] = []
    while ready:
        name = names[heapq.heappop(ready)]
        ordered.append(name)
        for user in users[name]:
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(ready, place[user])
    if len(ordered) < len(names):
        raise ValueError(f"there is no order: {' → '.join(find_cycle(needs) or ())}")
    return tuple(ordered)


def waves(needs: Needs) -> list[tuple[str, ...]]:
    """Return groups that could run together: each name stands in the first group after all that it needs.

    Raises:
        ValueError: there is a cycle; the message shows it.
    """
    known = _known(needs)
    level: dict[str, int] = {}
    for name in topological_order(known):
        level[name] = max((level[need] + 1 for need in known[name]), default=0)
    groups: list[list[str]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for name in known:
        groups[level[name]].append(name)
    return [tuple(group) for group in groups]


class Reach:
    """Who needs whom through any number of others, as one bit for each name, so that thousands of names stay cheap.

    `bit` has each name's own bit; `above` the bits of all that a name needs; `below` those of all that need it.
    """

    def __init__(self, needs: Needs) -> None:
        """Walk the graph once each way.

        Raises:
            ValueError: there is a cycle; the message shows it.
        """
        known = _known(needs)
        order = topological_order(known)
        self._names = tuple(known)
        self.bit = {name: 1 << index for index, name in enumerate(known)}
        self.above = self._gathered(order, known)
        self.below = self._gathered(reversed(order), _reversed(known))

    def ordered(self, one: str, other: str) -> bool:
        """Tell whether one of the two needs the other, directly or through others."""
        return bool(self.above[one] & self.bit[other] or self.above[other] & self.bit[one])

    def bits(self, names: Iterable[str]) -> int:
        """Return the names' bits in one integer."""
        gathered = 0
        for name in names:
            gathered |= self.bit[name]
        return gathered

    def names(self, bits: int) -> frozenset[str]:
        """Return the names whose bits are set."""
        digits = reversed(f"{bits:b}")
        return frozenset(name for name, digit in zip(self._names, digits, strict=False) if digit == "1")

    def _gathered(self, order: Iterable[str], edges: Mapping[str, Collection[str]]) -> dict[str, int]:
        gathered: dict[str, int] = {}
        for name in order:
            bits = 0
            for other in edges[name]:
                bits |= gathered[other] | self.bit[other]
            gathered[name] = bits
        return gathered


def find_cycle(needs: Needs) -> tuple[str, ...] | None:
    """Return a cycle as `("A", "B", "A")`, each needing the next, or None.

    It is a shortest one through the author's first name of the first tangle.
    """
    first = next(iter(tangles(needs)), None)
    if first is None:
        return None
    known, start = _known(needs), first[0]
    came_from: dict[str, str] = {}
    queue = deque([start])
    while start not in came_from:
        name = queue.popleft()
        for need in known[name]:
            if need in first and need not in came_from:
                came_from[need] = name
                queue.append(need)
    path = [start]
    while len(path) == 1 or path[-1] != start:
        path.append(came_from[path[-1]])
    return tuple(reversed(path))


def tangles(needs: Needs) -> tuple[tuple[str, ...], ...]:
    """Return the groups whose members all need each other, directly or through others, in the author's order.

    These are the strongly connected components that hold a cycle; a name that needs itself is one, too.
    """
    known = _known(needs)
    place = {name: index for index, name in enumerate(known)}
    groups = [sorted(group, key=place.__getitem__) for group in _components(known)]
    knotted = (group for group in groups if len(group) > 1 or group[0] in known[group[0]])
    return tuple(tuple(group) for group in sorted(knotted, key=lambda group: place[group[0]]))


def _components(known: Mapping[str, Collection[str]]) -> Iterator[list[str]]:
    """Yield the strongly connected components (Tarjan's algorithm, with its stack written out)."""
    seen: dict[str, int] = {}
    low: dict[str, int] = {}
    pending: list[str] = []
    held: set[str] = set()
    for root in known:
        walk = [] if root in seen else [(root, iter(known[root]))]
        while walk:
            name, rest = walk[-1]
            if name not in seen:
                seen[name] = low[name] = len(seen)
                pending.append(name)
                held.add(name)
            need = next(rest, None)
            if need is None:
                walk.pop()
                if walk:
                    low[walk[-1][0]] = min(low[walk[-1][0]], low[name])
                if low[name] == seen[name]:
                    group: list[str] = []
                    while name in held:
                        group.append(pending.pop())
                        held.remove(group[-1])
                    yield group
            elif need not in seen:
                walk.append((need, iter(known[need])))
            elif need in held:
                low[name] = min(low[name], seen[need])


def _known(needs: Needs) -> dict[str, tuple[str, ...]]:
    return {name: tuple(dict.fromkeys(need for need in of if need in needs)) for name, of in needs.items()}


def _reversed(known: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    users: dict[str, list[str]] = {name: [] for name in known}
    for name, of in known.items():
        for need in of:
            users[need].append(name)
    return users
