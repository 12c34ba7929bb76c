"""Whether a block of code that one writer has put into a shared file may stay there.

Others are in the middle of their own words meanwhile, and half a construct makes errors in whatever stands near it. So a block is
judged in the text as it would be without the open slots of others. Where it leans on what stands in one of those, as an `else`
does on an `if`, it is still right if the whole file is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.syntax.faults import error_nodes, faults_of, worse
from orchestrator.syntax.leak import leaks

if TYPE_CHECKING:
    from orchestrator.writers.cursors import Target

__all__ = ["has_leaked", "why_worse"]

_SHOWN, _WIDTH = 3, 80  # faults in a sentence, characters of a line


def has_leaked(target: Target, length: int) -> bool:
    """Tell whether the last words of a slot hold markup of a tool call that is not meant, as it would be in a literal."""
    head, block, tail = _alone(target, length)
    if next(leaks(block), None) is None:
        return False
    return _leaked(target.path, head + block + tail) > _leaked(target.path, head + tail)


def why_worse(target: Target, length: int) -> str:
    """Return what is wrong with the syntax of a file only since the last words of a slot stand there; empty if nothing is."""
    head, block, tail = _alone(target, length)
    text = head + block + tail
    if not worse(target.path, head + tail, text) or not error_nodes(target.path, target.seat.text.layout().text):
        return ""
    first, last = head.count("\n") + 1, (head + block).count("\n") + 1
    faults = [fault for fault in faults_of(target.path, text) if fault.rule == "syntax"]
    faults.sort(key=lambda fault: not first <= fault.line <= last)  # those in the block tell the most
    lines = text.split("\n")
    return "; ".join(f"at {lines[fault.line - 1].strip()[:_WIDTH]!r}: {fault.message}" for fault in faults[:_SHOWN])


def _alone(target: Target, length: int) -> tuple[str, str, str]:
    """Return the text before the last words of a slot, these words, and the text after them, without others' open slots."""
    layout = target.seat.text.layout()
    end = layout.content(target.slot.id)[1]
    others = sorted(layout.content(slot) for slot, owner in layout.slots.items() if owner != target.slot.owner)
    pieces = ((0, end - length), (end - length, end), (end, len(layout.text)))
    head, block, tail = (_without(layout.text, others, *piece) for piece in pieces)
    return head, block, tail


def _without(text: str, ranges: list[tuple[int, int]], at: int, end: int) -> str:
    """Return a piece of a text without the parts of it that lie in ranges."""
    kept = ""
    for first, last in ranges:
        kept += text[at : max(at, min(first, end))]
        at = max(at, min(last, end))
    return kept + text[at:end]


def _leaked(path: str, text: str) -> int:
    return sum(fault.rule == "protocol-leak" for fault in faults_of(path, text))
