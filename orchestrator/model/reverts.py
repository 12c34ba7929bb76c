"""Does a merge take away what others have landed? Pure: from what a task has changed, and what its landing would change.

A task starts from a commit, and meanwhile others land. Every line that stands on the base branch must still be there after
the landing, wherever it was moved to, unless the task itself removed it; else somebody's work would be undone in silence.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.model.finding import Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Side", "reverted"]

_KIND = "silent-revert"
_ABSENT = "000000"
_SHOWN = 80  # characters of a lost line


class Side(NamedTuple):
    """What a change does to one path: its mode and blob before and after."""

    old_mode: str
    old_blob: str
    new_mode: str
    new_blob: str


def reverted(
    own: Mapping[str, Side], landing: Mapping[str, Side], content: Callable[[str], bytes]
) -> tuple[Violation, ...]:
    """Return what a landing would undo that the task has not undone.

    Both map a path to what happens to it: `own` from where the task started to its work, `landing` from the base branch to
    the merged tree. `content` gives the bytes of a blob; it is asked only where the two differ, which is where others have been.
    """
    elsewhere = {path: side for path, side in landing.items() if own.get(path) != side}
    mine = {path: side for path, side in own.items() if landing.get(path) != side}
    found = [violation for path, side in elsewhere.items() if (violation := _undone(path, side, own.get(path)))]
    lost = _lost(elsewhere.values(), content) - _lost(mine.values(), content)
    for path, side in elsewhere.items() if lost else ():
        gone = lost & _lost([side], content)
        if gone:
            line = next(iter(gone)).decode("utf-8", "replace").strip()[:_SHOWN]
            more = f" (and {gone.total() - 1} more)" if gone.total() > 1 else ""
            message = f"landing would remove a line that the task has not removed: {line!r}{more}"
            found.append(Violation(kind=_KIND, path=path, message=message))
    return tuple(found)


def _undone(path: str, landing: Side, own: Side | None) -> Violation | None:
    """Return the violation if a landing deletes a path, or changes its mode, and the task did not."""
    if landing.old_mode in (landing.new_mode, _ABSENT):
        return None
    if own is not None and own.new_mode == landing.new_mode and own.old_mode != own.new_mode:
        return None
    deed = "delete it" if landing.new_mode == _ABSENT else f"make its mode {landing.new_mode}"
    return Violation(kind=_KIND, path=path, message=f"landing would {deed}, which the task has not done")


def _lost(sides: Iterable[Side], content: Callable[[str], bytes]) -> Counter[bytes]:
    """Return the lines of which all these files together have fewer afterwards, and how many fewer.

    Counted, and not taken from a diff: which of two swapped lines a diff calls removed is its own choice.
    """
    before: Counter[bytes] = Counter()
    after: Counter[bytes] = Counter()
    for side in sides:
        if side.old_mode != _ABSENT:
            before.update(content(side.old_blob).splitlines())
        if side.new_mode != _ABSENT:
            after.update(content(side.new_blob).splitlines())
    return before - after
