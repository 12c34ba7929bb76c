"""Who wrote which lines of a shared file, as a chain of states of which each adds one author's lines. Pure.

A line belongs to whoever wrote most of its characters (of two with as many, to the one who wrote the first of them). Lines of the
base that nobody touched belong to nobody. The last state is the whole text.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Share", "Span", "line_authors", "states"]

Span = tuple[int, int, str]
"""Characters from the first to before the second, and who wrote them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one author wrote, to be a commit of its own: all files as they are with this and all earlier shares.

    `task`, `agent`, `model` and `session` are what provenance says of it; `files` are path → content of the files that change.
    """

    task: str
    title: str
    agent: str
    model: str
    session: str
    files: Mapping[str, bytes]
    summary: str = ""


def line_authors(text: str, spans: Sequence[Span]) -> list[str]:
    """Return whose each line is, in the order of the lines; a line ends with its line feed."""
    owners: list[str] = []
    at, span = 0, 0
    for line in _lines(text):
        end, counts = at + len(line), Counter[str]()
        while span < len(spans) and spans[span][0] < end:
            first, last, author = spans[span]
            counts[author] += min(last, end) - max(first, at)
            if last > end:
                break
            span += 1
        owners.append(counts.most_common(1)[0][0] if counts else "")
        at = end
    return owners


def _lines(text: str) -> list[str]:
    """Return the lines as git counts them: a line feed ends one, and nothing else does."""
    parts = text.split("\n")
    return [f"{part}\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def states(before: str, text: str, owners: Sequence[str], order: Sequence[str]) -> list[str]:
    """Return the text after each author of `order` has added what is theirs to `before`; the last is `text`.

    What is gone from `before` goes with whoever wrote beside it, or with the first author.
    """
    old, new = _lines(before), _lines(text)
    assert len(owners) == len(new), "each line has an owner"
    place = {author: number for number, author in enumerate(order)}
    blocks = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    found = []
    for number in range(len(order)):
        lines: list[str] = []
        for kind, old_first, old_last, first, last in blocks:
            if kind == "equal":
                lines += new[first:last]
                continue
            theirs = [place.get(owners[line], 0) for line in range(first, last)]
            if number < min(theirs, default=0):
                lines += old[old_first:old_last]  # nobody has come to it yet
            lines += [new[line] for line, owner in zip(range(first, last), theirs, strict=True) if owner <= number]
        found.append("".join(lines))
    return found
