"""Which changes may meet: a cheap answer from the paths alone, before any merge is tried. Pure."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

__all__ = ["may_meet"]


def may_meet(changed: Mapping[str, Collection[str]]) -> Iterator[tuple[str, str]]:
    """Yield each pair of names whose changed paths have one in common, or where one's path is a folder on the other's.

    `changed` maps a name to the paths that its work changes. Each pair comes once, in the order of the names.
    Directory renames are not among what is looked for: merges are made without guessing them.
    """
    exact: dict[str, set[str]] = defaultdict(set)
    inside: dict[str, set[str]] = defaultdict(set)
    for name, paths in changed.items():
        for path in paths:
            exact[path].add(name)
            parts = path.split("/")
            for end in range(1, len(parts)):
                inside["/".join(parts[:end])].add(name)
    place = {name: index for index, name in enumerate(changed)}
    found: set[tuple[int, int]] = set()
    for path, names in exact.items():
        found.update(combinations(sorted(place[name] for name in names), 2))
        for other in inside.get(path, ()):
            found.update(
                (min(place[name], place[other]), max(place[name], place[other])) for name in names if name != other
            )
    ordered = list(changed)
    for pair in sorted(found):
        yield ordered[pair[0]], ordered[pair[1]]
