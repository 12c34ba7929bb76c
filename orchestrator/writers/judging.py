"""Whether a block of code that one writer has put into a shared file may stay there.

Others are in the middle of their own words meanwhile. So a file is looked at in two ways, each with and without the block: as it
is, and without what stands in the open slots of others. Only what is worse in both is the block's own fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.syntax.faults import faults_of, worse
from orchestrator.syntax.leak import leaks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.text.places import Layout
    from orchestrator.writers.cursors import Target

    _Range = tuple[int, int]

__all__ = ["has_leaked", "why_worse"]

_SHOWN, _WIDTH = 3, 80  # faults in a sentence, characters of a line


def has_leaked(target: Target, length: int) -> bool:
    """Tell whether the last words of a slot hold markup of a tool call that is not meant, as it would be in a literal."""
    _, text, (start, end) = _block(target, length)
    if next(leaks(text[start:end]), None) is None:
        return False
    return all(_leaked(target.path, after) > _leaked(target.path, before) for before, after in _views(target, length))


def why_worse(target: Target, length: int) -> str:
    """Return what is wrong with the syntax of a file only since the last words of a slot stand there; empty if nothing is."""
    path = target.path
    if not all(worse(path, before, after) for before, after in _views(target, length)):
        return ""
    _, text, (start, end) = _block(target, length)
    first, last = (text.count("\n", 0, at) + 1 for at in (start, end))
    faults = [fault for fault in faults_of(path, text) if fault.rule == "syntax"]
    faults.sort(key=lambda fault: not first <= fault.line <= last)  # those in the block tell the most
    lines = text.split("\n")
    return "; ".join(f"at {lines[fault.line - 1].strip()[:_WIDTH]!r}: {fault.message}" for fault in faults[:_SHOWN])


def _block(target: Target, length: int) -> tuple[Layout, str, _Range]:
    layout = target.seat.text.layout()
    end = layout.content(target.slot.id)[1]
    return layout, layout.text, (end - length, end)


def _views(target: Target, length: int) -> Iterator[tuple[str, str]]:
    """Yield the text without and with a block, as it is, and without what others are writing."""
    layout, text, block = _block(target, length)
    others = [layout.content(slot) for slot, owner in layout.slots.items() if owner != target.slot.owner]
    for hidden in ([], others) if others else ([],):
        yield _without(text, [*hidden, block]), _without(text, hidden)


def _without(text: str, ranges: list[_Range]) -> str:
    kept, at = [], 0
    for start, end in sorted(ranges):
        kept.append(text[at : max(at, start)])
        at = max(at, end)
    return "".join([*kept, text[at:]])


def _leaked(path: str, text: str) -> int:
    return sum(fault.rule == "protocol-leak" for fault in faults_of(path, text))
