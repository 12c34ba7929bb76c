"""Markers of unfinished places in a text, and a watcher that finds each of them once while several writers type.

A marker is a comment that begins with `TODO:` and, right after it, the name of the place:
`/* TODO:Name text */`, `{/* TODO:Name text */}`, `# TODO:Name text`, `// TODO:Name text`, `<!-- TODO:Name text -->`.

Whether a place is a marker follows from at most `_REACH` characters to either side, so a change needs only those read again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LONGEST", "Marker", "Watcher", "markers"]

LONGEST: Final = 2000
"""A longer comment is no marker; in code points."""

_LINE: Final = 500  # how much of a line is read to tell whether a comment stands in a string, or alone
_BLANKS: Final = 40  # between the opening of a comment and its TODO, between a brace and what stands before it
_REACH: Final = 2 * LONGEST + _LINE  # a marker, one that holds it, and the line around

_ANCHOR: Final = re.compile(r"TODO:(?P<name>[^\W\d]\w*(?:-\w+)*)")
_OPENING: Final = re.compile(r"(?:/\*+|<!--|(?<![^\s;{}()>])//|(?<![^\s;{}()>])#)\s*\Z")
_BLOCK_END: Final = {"/": "*/", "<": "-->"}
_STRING: Final = re.compile(r"""(?P<quote>["'`])(?:\\.|(?!(?P=quote)).)*(?P<end>(?P=quote))?""")
_END_OF_LINE: Final = re.compile(r"[\r\n]|\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """One marker; `start` and `end` count code points and span the whole comment, with the braces JSX puts around one."""

    name: str
    text: str
    """What is asked for, without the comment's own signs; may have several lines, may be empty."""
    start: int
    end: int
    indent: str | None
    """The blanks before it if nothing else stands on its lines, else None."""


def markers(text: str) -> tuple[Marker, ...]:
    """Return the markers of a text, in order.

    Guarantees: none overlaps another. A marker that stands in a string literal on one line is none; a literal over several
    lines is not known here, so one in there is found.
    """
    return tuple(_between(text, 0, len(text)))


def _between(text: str, low: int, high: int) -> Iterator[Marker]:
    """Yield the markers that begin at `low` or later and before `high`, read from no more than `_REACH` around."""
    held_until = -1
    position = max(0, low - LONGEST)
    while (anchor := _ANCHOR.search(text, position, min(len(text), high + _REACH))) is not None:
        position = anchor.end()
        marker = _marker_at(text, anchor)
        if marker is None:
            continue
        if marker.start >= held_until and low <= marker.start < high:
            yield marker
        held_until = max(held_until, marker.end)


def _marker_at(text: str, anchor: re.Match[str]) -> Marker | None:
    opening = _OPENING.search(text[max(0, anchor.start() - _BLANKS) : anchor.start()])
    if opening is None:
        return None
    start = anchor.start() - len(opening[0])
    sign = opening[0].rstrip()
    if sign in {"#", "//"}:
        if opening[0].splitlines() != [opening[0]]:
            return None
        end = body_end = _end_of_line(text, anchor.end(), start + LONGEST + 1)
    else:
        closing = _BLOCK_END[sign[0]]
        body_end = text.find(closing, anchor.end(), start + LONGEST)
        if body_end < 0 or sign[:2] in text[anchor.end() : body_end]:  # never closed: what closes here is another one
            return None
        end = body_end + len(closing)
    if end - start > LONGEST or _in_string(text, start, end):
        return None
    body = text[anchor.end() : body_end].strip()
    if sign.startswith("/*") and _has_jsx_braces(text, start, end):
        start, end = start - 1, end + 1
    return Marker(name=anchor["name"], text=body, start=start, end=end, indent=_indent(text, start, end))


def _in_string(text: str, start: int, end: int) -> bool:
    """Tell whether a literal that begins and ends on this line holds the place; an apostrophe in prose has no second one."""
    line_start = _start_of_line(text, start)
    line = text[line_start : _end_of_line(text, start, end + _LINE)]
    first, last = start - line_start, end - line_start
    if text.startswith(("#", "//"), start):
        last = first  # such a comment would reach over the end of the literal, to the end of the line
    return any(literal.start() < first and last < literal.end() for literal in _STRING.finditer(line) if literal["end"])


def _has_jsx_braces(text: str, start: int, end: int) -> bool:
    """Tell whether braces belong to the comment: they touch it, and stand where a child of an element would.

    Behind `=>`, `)` or a word, a brace opens the body of something, and taking it away with the comment would break that.
    """
    if text[start - 1 : start] != "{" or text[end : end + 1] != "}":
        return False
    before = text[max(0, start - 1 - _BLANKS) : start - 1].rstrip()
    return not before or (before[-1] in ">}" and not before.endswith("=>"))


def _indent(text: str, start: int, end: int) -> str | None:
    indent = text[_start_of_line(text, start) : start]
    after = text[end : _end_of_line(text, end, end + _LINE)]
    return indent if not indent.strip() and not after.strip() else None


def _start_of_line(text: str, at: int) -> int:
    """Return where the line begins, as far as it is read."""
    low = max(0, at - _LINE)
    return max(low, text.rfind("\n", low, at) + 1)


def _end_of_line(text: str, at: int, limit: int) -> int:
    """Return where the line ends, or `limit`, or the end of the text."""
    found = _END_OF_LINE.search(text, at, limit)
    return found.start() if found else len(text)


@dataclass(slots=True)
class _Seen:
    """A marker in the text; `since` is when it, or what touches it, was last changed."""

    marker: Marker
    since: float
    given: bool = False


class Watcher:
    """Follows a text through its changes and gives each marker once, when nobody types at it any more.

    It has no clock: every change says when it was, and `settled` says what time it is now; both in seconds.
    """

    def __init__(self, text: str = "", *, quiet: float, now: float = 0.0) -> None:
        """Begin with a text; a marker counts as typed when it has been left alone for `quiet` seconds."""
        self._quiet = quiet
        self._text = ""
        self._seen: list[_Seen] = []
        self._changed = now
        if text:
            self.feed(0, 0, text, now=now)

    @property
    def text(self) -> str:
        """The text as it is after all changes."""
        return self._text

    @property
    def present(self) -> tuple[Marker, ...]:
        """All markers in the text now, whether given or not; equal to `markers(text)`."""
        return tuple(seen.marker for seen in self._seen)

    def feed(self, position: int, deleted: int, inserted: str, *, now: float) -> None:
        """Take a change: at `position`, `deleted` code points went and `inserted` came.

        Raises:
            ValueError: the change lies outside of the text.
        """
        if not 0 <= position <= position + deleted <= len(self._text):
            raise ValueError(f"a change of {deleted} at {position} lies outside of a text of {len(self._text)}")
        self._text = f"{self._text[:position]}{inserted}{self._text[position + deleted :]}"
        self._changed = now
        low, high = max(0, position - _REACH), position + len(inserted) + _REACH
        old_high = position + deleted + _REACH
        grown = len(inserted) - deleted
        before = [seen for seen in self._seen if seen.marker.start < low]
        around = [seen for seen in self._seen if low <= seen.marker.start < old_high]
        after = [seen for seen in self._seen if seen.marker.start >= old_high]
        for seen in after:
            seen.marker = _moved(seen.marker, grown)
        edit = (position, position + deleted, grown)
        fresh = [self._recognised(marker, around, edit, now) for marker in _between(self._text, low, high)]
        self._seen = [*before, *fresh, *after]

    def settled(self, now: float, *, ended: bool = False) -> tuple[Marker, ...]:
        """Return the markers that have become certain since the last call, as they stand now, in order.

        One on the last line may still grow, so it waits for a line after it, or for `ended`: then no writer is left, and
        everything is certain at once. A given marker whose name changes counts as another one.
        """
        certain = [seen for seen in self._seen if not seen.given and (ended or self._is_certain(seen, now))]
        for seen in certain:
            seen.given = True
        return tuple(seen.marker for seen in certain)

    def is_quiet(self, now: float) -> bool:
        """Tell whether nothing at all has changed for the quiet time: whoever wrote the outline can be let go."""
        return now - self._changed >= self._quiet

    def _is_certain(self, seen: _Seen, now: float) -> bool:
        return now - seen.since >= self._quiet and self._text.find("\n", seen.marker.end) >= 0

    def _recognised(self, marker: Marker, around: list[_Seen], edit: tuple[int, int, int], now: float) -> _Seen:
        """Return what is known of this marker, if it was there before the edit; it keeps its name and its place."""
        first, last, grown = edit
        touched = marker.start <= last + grown and first <= marker.end
        for index, seen in enumerate(around):
            start, end = _carried(seen.marker, first, last, grown)
            if seen.marker.name == marker.name and start < marker.end and marker.start < end:
                del around[index]  # nobody else is this one
                return _Seen(marker, now if touched or marker.text != seen.marker.text else seen.since, seen.given)
        return _Seen(marker, now)


def _carried(marker: Marker, first: int, last: int, grown: int) -> tuple[int, int]:
    """Return what is left of a marker's range after an edit of `first..last`; what comes in at its edges is outside of it."""
    start = marker.start if marker.start < first else max(marker.start, last) + grown
    end = marker.end if marker.end <= first else marker.end + grown if marker.end >= last else first
    return start, end


def _moved(marker: Marker, grown: int) -> Marker:
    return replace(marker, start=marker.start + grown, end=marker.end + grown)
