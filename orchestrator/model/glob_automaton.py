"""What a glob means once it is read, run in two ways: on one path, and against other globs at once.

A `Pattern` holds segments of tokens and no braces (`model.globs` reads the text). One path is matched with
the pattern's regular expression. A question about several patterns ("is there a path that all of these match
and none of those?") is a breadth-first search over paths: each pattern is a small automaton, and all of them
step together, letter by letter.

What is found is a path that git can store: no segment is empty, `.`, `..` or git's own folder.
"""

from __future__ import annotations

import re
import string
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

__all__ = [
    "ANY_DEPTH",
    "ANY_LETTER",
    "Letters",
    "Many",
    "Pattern",
    "Segment",
    "Token",
    "literal",
    "may_meet",
    "witness",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    """A set of characters of which exactly one must stand there: `?`, `[a-z]`, `[!a-z]`; never `/`."""

    ranges: tuple[tuple[str, str], ...] = ()  # first and last character, both belong to it
    negated: bool = False

    def holds(self, letter: str) -> bool:
        """Tell whether the character belongs to the set."""
        return letter != "/" and any(low <= letter <= high for low, high in self.ranges) != self.negated

    @property
    def expression(self) -> str:
        """The set as a regular expression."""
        inside = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in self.ranges)
        return f"[^/{inside}]" if self.negated else f"(?!/)[{inside}]"


class Many(Enum):
    """The tokens that stand for any number of characters."""

    STAR = "*"  # none or more characters of one segment
    DEEP = "**/"  # none or more whole segments, each with its slash
    REST = "**"  # at the end: one segment or more


Token: TypeAlias = str | Letters | Many
"""One step of a pattern; a string is one character that stands for itself."""
Segment: TypeAlias = tuple[Token, ...]
"""What stands between two slashes."""

ANY_LETTER: Final = Letters(negated=True)
ANY_DEPTH: Final[Segment] = (Many.STAR, Many.STAR)
"""The segment `**`."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Pattern:
    """One brace-free glob: its segments, not empty; two `**` never stand side by side.

    Compared by identity, which makes it a cheap key: who reads a text twice should keep the first pattern.
    """

    segments: tuple[Segment, ...]

    def matches(self, path: str) -> bool:
        """Tell whether the pattern matches the path."""
        return self._expression.fullmatch(path) is not None

    def among(self, paths: Sequence[str]) -> Iterator[str]:
        """Yield those of the sorted paths that the pattern matches."""
        for at in range(bisect_left(paths, self.prefix), len(paths)):
            if not paths[at].startswith(self.prefix):
                return
            if self.matches(paths[at]):
                yield paths[at]

    @cached_property
    def prefix(self) -> str:
        """The characters with which every matching path begins."""
        return _literal_run(self.tokens)

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        """All steps in order, slashes included."""
        found: list[Token] = []
        for segment in self.segments:
            found += (Many.DEEP,) if segment == ANY_DEPTH else (*segment, "/")
        found[-1:] = [Many.REST] if self.segments[-1] == ANY_DEPTH else []
        return tuple(found)

    @cached_property
    def outline(self) -> tuple[tuple[str, str] | None, ...]:
        """How every segment begins and ends as far as that is literal; None for `**`."""
        return tuple(
            None if segment == ANY_DEPTH else (_literal_run(segment), _literal_run(segment[::-1])[::-1])
            for segment in self.segments
        )

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        """The pattern as a regular expression that backtracks little.

        What stands between two `**` is sought leftmost and then kept (an atomic group): an earlier find
        leaves all that a later one would leave, so trying others only wastes time, much with many stars.
        """
        runs: list[list[str]] = [[]]
        for segment in self.segments:
            if segment == ANY_DEPTH:
                runs.append([])
            else:
                runs[-1].append(_segment_expression(segment))
        first, *middle = runs
        if not middle:
            return re.compile("/".join(first))
        last = middle.pop()
        text = "".join(f"{name}/" for name in first)
        text += "".join(f"(?>(?:[^/]+/)*?{'/'.join(run)}/)" for run in middle)
        return re.compile(text + (f"(?:[^/]+/)*{'/'.join(last)}" if last else ".+"), re.DOTALL)


@lru_cache(maxsize=8192)
def literal(path: str) -> Pattern:
    """Return the pattern that matches this path alone."""
    return Pattern(segments=tuple(tuple(name) for name in path.split("/")))


def _literal_run(tokens: Iterable[Token]) -> str:
    run = ""
    for token in tokens:
        if not isinstance(token, str):
            break
        run += token
    return run


def _segment_expression(segment: Segment) -> str:
    """Return a segment's regular expression; what stands between two stars is sought and kept as above."""
    runs = [""]
    for token in segment:
        if isinstance(token, Many):
            runs.append("")
        else:
            runs[-1] += re.escape(token) if isinstance(token, str) else token.expression
    first, *middle = runs
    if not middle:
        return first
    last = middle.pop()
    if not (first or middle or last):
        return "[^/]+"
    return first + "".join(f"(?>[^/]*?{run})" for run in middle) + "[^/]*" + last


def may_meet(one: Pattern, other: Pattern) -> bool:
    """Tell at little cost whether the two could match one path: False is certain, True is not."""
    if not (one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix)):
        return False
    mine, theirs = one.outline, other.outline
    if None not in mine and None not in theirs and len(mine) != len(theirs):
        return False
    return _ends_agree(mine, theirs) and _ends_agree(mine[::-1], theirs[::-1])


def _ends_agree(mine: Iterable[tuple[str, str] | None], theirs: Iterable[tuple[str, str] | None]) -> bool:
    """Compare segment by segment up to the first `**`, behind which nothing is at a known place."""
    for one, other in zip(mine, theirs, strict=False):
        if one is None or other is None:
            return True
        if not (one[0].startswith(other[0]) or other[0].startswith(one[0])):
            return False
        if not (one[1].endswith(other[1]) or other[1].endswith(one[1])):
            return False
    return True


@lru_cache(maxsize=8192)
def witness(require: tuple[Pattern, ...], block: tuple[Pattern, ...] = ()) -> str | None:
    """Return a path that every pattern of `require` matches and none of `block`, or None if there is none.

    Exact. The time is polynomial in `require` (meant for one or two patterns); in `block` it can be
    exponential, as the question itself is, but ordinary patterns stay within milliseconds. The path is as
    short as can be, but one in which every star of `require` stands for something comes first (`src/a.py`,
    not `src/.py`).
    """
    return _Search(require, block, full_stars=True).run() or _Search(require, block, full_stars=False).run()


_UNSTORABLE = frozenset({"", ".", "..", ".git"})
"""Segments that git refuses, the last in any case."""
_STEMS = frozenset(name[:end] for name in _UNSTORABLE for end in range(len(name) + 1))
_STORABLE = "/"  # a segment that can no longer become one of the unstorable; no segment is spelled like this
_SPELLING = frozenset(".gitGIT")  # the characters of which those that are not empty consist
_ALPHANUMERIC = string.ascii_lowercase + string.digits + string.ascii_uppercase


class _Search:
    """One search for a witness.

    All patterns stand side by side in one integer, a bit for each token and one for the pattern's end. A set
    bit says that the path so far can be read as all that stands before its token. Reading a letter is three
    operations on the whole integer: keep the bits of tokens that may take more, shift the bits of tokens that
    take this letter, and let fresh bits pass tokens that may stand for nothing.

    A required pattern is followed in one position at a time (some reading must fit, so each choice is tried
    alone, which keeps the states few); blocking patterns are followed in all positions (none may fit).
    """

    def __init__(self, require: tuple[Pattern, ...], block: tuple[Pattern, ...], *, full_stars: bool) -> None:
        self._required: list[int] = []  # the bits of each required pattern
        self._start = self._final = self._skip = 0
        self._certain = 0  # blocking bits from where every longer path is blocked
        self._bits: dict[Token, int] = {}
        bit = 1
        for index, pattern in enumerate((*require, *block)):
            required = index < len(require)
            first = bit
            for token in pattern.tokens:
                self._bits[token] = self._bits.get(token, 0) | bit
                if (token is Many.STAR and not (required and full_stars)) or token is Many.DEEP:
                    self._skip |= bit
                elif token is Many.REST and not required:
                    self._certain |= bit
                bit <<= 1
            self._start |= first
            self._final |= bit
            bit <<= 1
            if required:
                self._required.append(bit - first)
        self._blocking = bit - 1 - sum(self._required)

    def _table(self) -> Iterator[tuple[str, int, int]]:
        """Yield each letter worth trying, with the tokens that may take it and stay, and take it and pass."""
        star, deep, rest = (self._bits.get(many, 0) for many in Many)
        sets = [token for token in self._bits if isinstance(token, Letters)]
        for letter in _alphabet({token for token in self._bits if isinstance(token, str)}, sets):
            itself = self._bits.get(letter, 0)
            if letter == "/":
                yield letter, deep | rest, itself | deep
            else:
                fitting = sum(self._bits[letters] for letters in sets if letters.holds(letter))
                yield letter, star | deep | rest, itself | fitting | star | rest

    def _settle(self, fresh: int) -> int:
        passing = fresh & self._skip
        while passing:
            passing <<= 1
            fresh |= passing
            passing &= self._skip
        return fresh

    def _choices(self, bits: int) -> list[int]:
        """Return every way to take one position of each required pattern; empty if one of them has none."""
        chosen = [0]
        for region in self._required:
            chosen = [earlier | position for earlier in chosen for position in _single_bits(bits & region)]
        return chosen

    def run(self) -> str | None:
        """Return the first path found, in order of length and then of plainness."""
        table = tuple(self._table())
        start = self._settle(self._start)
        queue = deque((chosen | start & self._blocking, "", "") for chosen in self._choices(start))
        seen: dict[tuple[int, str], list[int]] = {}
        while queue:
            bits, segment, path = queue.popleft()
            for letter, staying, moving in table:
                if letter == "/" and segment in _UNSTORABLE:
                    continue
                after = self._settle((bits & moving) << 1) | bits & staying
                stem = "" if letter == "/" else _longer(segment, letter)
                blocked = after & self._blocking
                for chosen in self._choices(after):
                    if not chosen & ~self._final and not blocked & self._final and stem not in _UNSTORABLE:
                        return path + letter
                    if not blocked & self._certain and _is_news(seen.setdefault((chosen, stem), []), blocked):
                        queue.append((chosen | blocked, stem, path + letter))
        return None


def _is_news(known: list[int], blocked: int) -> bool:
    """Note a state if it is worth following: one with fewer blocking bits gets wherever this one gets."""
    if any(fewer & blocked == fewer for fewer in known):
        return False
    known.append(blocked)
    return True


def _longer(segment: str, letter: str) -> str:
    longer = segment + letter.lower()
    return longer if longer in _STEMS else _STORABLE


def _single_bits(bits: int) -> Iterator[int]:
    while bits:
        lowest = bits & -bits
        yield lowest
        bits ^= lowest


def _alphabet(literals: Collection[str], sets: Collection[Letters]) -> list[str]:
    """Return the letters worth trying, the plainest first and `/` last.

    Beside the characters that patterns spell, one stands for all that every set treats alike: where one fits,
    so does the other. Those of `.git` stand for others only if no other is left: what they spell may be
    unstorable.
    """
    edges = {"\x01", *(_after(c) for c in literals)}
    for low, high in (ends for letters in sets for ends in letters.ranges):
        edges |= {low, _after(high)}
    known = {*literals, "/", "\0"}
    kinds: dict[tuple[bool, ...], set[str]] = {}
    for letter in (*_ALPHANUMERIC, *sorted(edges)):
        if letter not in known | _SPELLING:
            kinds.setdefault(tuple(letters.holds(letter) for letters in sets), {letter})
    others = set(kinds)
    for letter in _SPELLING - known:
        kind = tuple(letters.holds(letter) for letters in sets)
        if kind not in others:
            kinds.setdefault(kind, set()).add(letter)
    chosen = {*literals, "/"}.union(*kinds.values())
    return sorted(chosen, key=lambda c: (c == "/", not (c.isascii() and c.islower()), not c.isalnum(), c))


def _after(letter: str) -> str:
    return chr(min(ord(letter) + 1, 0x10FFFF))
