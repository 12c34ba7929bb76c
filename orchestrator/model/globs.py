r"""Globs that bound what a task may write, and exact answers about them.

They are anchored at the repository's root, case-sensitive, and compared with a path as git stores it.

====================  =====================================================================================
`*`                   none or more characters of one segment (a leading dot is an ordinary character)
`?`                   one character
`[a-z_]`, `[!a-z]`    one character of these; one of all others but `/` (`[^a-z]` is the same)
`{a,b/c}`             either; written out before anything else is read, so an alternative may hold `/`
`**`                  as a whole segment: none or more segments; at the end one or more
`dir/`                everything below `dir`, the same as `dir/**`
`\*`                  a backslash takes the meaning from the character behind it
`!…`                  in front: take these paths out, wherever that stands in the list
====================  =====================================================================================

Without a wildcard a pattern is one file and nothing below it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from itertools import combinations, pairwise, product
from typing import TYPE_CHECKING

from orchestrator.model.glob_automaton import (
    ANY_DEPTH,
    ANY_LETTER,
    Letters,
    Many,
    Pattern,
    Segment,
    Token,
    literal,
    may_meet,
    witness,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["PatternSet", "Scope", "escape", "outside", "overlap", "overlapping_pairs", "problem"]

_LIMIT = 1000  # characters of a pattern, and ways to choose from its braces
_PLAIN_PATH = re.compile(r"(?:(?!\.\.?/)[^/*?\[{}\\]+/)*(?!\.\.?\Z)[^/*?\[{}\\]+")
_SPECIAL = re.compile(r"[*?\[{},\\]|\A!")
_UNDECODABLE = re.compile("[\udc80-\udcff]")  # how Python writes bytes of a path that are not UTF-8


def problem(pattern: str) -> str | None:
    """Return one sentence on why the pattern cannot be read and what to write instead, or None if it can."""
    if len(pattern) > _LIMIT:
        return f"a pattern of {len(pattern)} characters is too long; split it into some of at most {_LIMIT}"
    try:
        _read(pattern.removeprefix("!"))
    except ValueError as error:
        return str(error)
    return None


def escape(path: str) -> str:
    """Return the pattern that matches exactly this path.

    A byte that is not UTF-8 (a surrogate escape) cannot be written in a plan, so `?` stands for it: then the
    pattern matches the path and those that differ from it in this character.
    """
    return _UNDECODABLE.sub("?", _SPECIAL.sub(r"\\\g<0>", path))


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternSet:
    """Patterns of which any may match, braces written out: whole paths, and patterns with wildcards."""

    literals: frozenset[str]
    wild: tuple[Pattern, ...]

    @classmethod
    def of(cls, texts: Iterable[str]) -> PatternSet:
        """Return the set for these patterns, none of which is an exclude.

        Raises:
            ValueError: one cannot be read; the message is the sentence of `problem`.
        """
        literals: set[str] = set()
        wild: dict[Pattern, None] = {}
        for text in texts:
            for meaning in (text,) if _PLAIN_PATH.fullmatch(text) else _read(text):
                if isinstance(meaning, str):
                    literals.add(meaning)
                else:
                    wild[meaning] = None
        return cls(literals=frozenset(literals), wild=tuple(wild))

    def holds(self, path: str) -> bool:
        """Tell whether some pattern matches the path."""
        return path in self.literals or any(pattern.matches(path) for pattern in self.wild)

    def near(self, *others: Pattern) -> tuple[Pattern, ...]:
        """Return the patterns, literal ones too, that could match a path that all the others match."""
        named = (path for path in sorted(self.literals) if all(p.matches(path) for p in others))
        wild = (pattern for pattern in self.wild if all(may_meet(pattern, p) for p in others))
        return (*map(literal, named), *wild)


@dataclass(frozen=True, slots=True, init=False)
class Scope:
    """The paths that a list of patterns bounds: what some pattern matches and no exclude (`!…`) does.

    `patterns` is the list as given; two scopes are equal if their lists are.
    """

    patterns: tuple[str, ...]
    included: PatternSet = field(repr=False, compare=False)
    excluded: PatternSet = field(repr=False, compare=False)

    def __init__(self, patterns: Iterable[str]) -> None:
        """Read the patterns.

        Raises:
            ValueError: one cannot be read; the message is the sentence of `problem`.
        """
        given = tuple(patterns)
        object.__setattr__(self, "patterns", given)
        object.__setattr__(self, "included", PatternSet.of(p for p in given if not p.startswith("!")))
        object.__setattr__(self, "excluded", PatternSet.of(p[1:] for p in given if p.startswith("!")))

    def matches(self, path: str) -> bool:
        """Tell whether the path, written as git stores it, is in the scope."""
        return self.included.holds(path) and not self.excluded.holds(path)

    def names(self, path: str) -> bool:
        """Tell whether an including pattern without wildcards is exactly this path, excluded or not.

        Braces are no wildcards: `{a,b}.py` names `a.py`.
        """
        return path in self.included.literals

    def reaches_into(self, folder: str) -> bool:
        """Tell whether an including pattern spells this folder out, before any wildcard; `folder` ends with a slash."""
        return any(
            path.startswith(folder) for path in (*self.included.literals, *(p.prefix for p in self.included.wild))
        )

    def without(self, patterns: Iterable[str]) -> Scope:
        """Return the scope with what these patterns match taken out.

        Raises:
            ValueError: a pattern cannot be read, or is itself an exclude, which would put paths back.
        """
        added = tuple(patterns)
        for pattern in added:
            if pattern.startswith("!"):
                raise ValueError(f"{pattern!r} cannot be taken out of a scope; write it without the '!'")
        return Scope((*self.patterns, *(f"!{pattern}" for pattern in added)))


def overlap(a: Scope, b: Scope) -> str | None:
    """Return a path that both scopes match, or None if there is none (exact, excludes included)."""
    named = a.included.literals | b.included.literals
    return _shortest(p for p in named if a.matches(p) and b.matches(p)) or _wild_overlap(a, b)


def outside(a: Scope, b: Scope) -> str | None:
    """Return a path that `a` matches and `b` does not, or None if `b` has all of `a` (exact, as above)."""
    if stray := _shortest(p for p in a.included.literals if a.matches(p) and not b.matches(p)):
        return stray
    for pattern in a.included.wild:
        held_back = a.excluded.near(pattern)
        if path := witness((pattern,), (*held_back, *b.included.near(pattern))):
            return path
        for exclude in b.excluded.near(pattern):
            if path := witness((pattern, exclude), held_back):
                return path
    return None


def overlapping_pairs(scopes: Mapping[str, Scope]) -> Iterator[tuple[str, str, str]]:
    """Yield every two scopes that overlap, with a path both match, in the order of the mapping.

    Literal paths are looked up, so hundreds of scopes that only list files cost little; two patterns with
    wildcards are compared only if how they begin and end does not already tell them apart.
    """
    names, values = tuple(scopes), tuple(scopes.values())
    found = _meetings_at_literals(values)
    wild = [index for index, scope in enumerate(values) if scope.included.wild]
    for left, name in enumerate(names):
        meetings = found[left]
        if values[left].included.wild:
            for right in wild[bisect_left(wild, left + 1) :]:
                if right not in meetings and (path := _wild_overlap(values[left], values[right])):
                    meetings[right] = path
        for right in sorted(meetings):
            yield name, names[right], meetings[right]


def _meetings_at_literals(scopes: Sequence[Scope]) -> defaultdict[int, dict[int, str]]:
    """Return, by position, each scope's partners further on that share a path one of them spells out."""
    owners: defaultdict[str, list[int]] = defaultdict(list)
    for index, scope in enumerate(scopes):
        for path in scope.included.literals:
            if not scope.excluded.holds(path):
                owners[path].append(index)
    paths = sorted(owners)  # sets have no order, and the answer must not change from run to run
    found: defaultdict[int, dict[int, str]] = defaultdict(dict)
    groups: dict[tuple[int, ...], str] = {}
    for path in paths:
        groups.setdefault(tuple(owners[path]), path)  # the same owners of a second path make no new pair
    for group, path in groups.items():
        for left, right in combinations(group, 2):
            found[left].setdefault(right, path)
    for index, scope in enumerate(scopes):
        spelled_out = {path for pattern in scope.included.wild for path in pattern.among(paths)}
        for path in sorted(path for path in spelled_out if not scope.excluded.holds(path)):
            for owner in owners[path]:
                if owner != index:
                    found[min(owner, index)].setdefault(max(owner, index), path)
    return found


def _wild_overlap(a: Scope, b: Scope) -> str | None:
    for one, other in product(a.included.wild, b.included.wild):
        path = witness((one, other)) if may_meet(one, other) else None
        if path and not (a.matches(path) and b.matches(path)):  # only now the excludes matter
            held_back = (*a.excluded.near(one, other), *b.excluded.near(one, other))
            path = witness((one, other), tuple(dict.fromkeys(held_back)))
        if path:
            return path
    return None


def _shortest(paths: Iterable[str]) -> str | None:
    return min(paths, key=lambda path: (len(path), path), default=None)


class _Brace(Enum):
    OPEN = "{"
    NEXT = ","
    CLOSE = "}"


_MEANINGS: dict[str, Token | _Brace] = {**{b.value: b for b in _Brace}, "*": Many.STAR, "?": ANY_LETTER}
_SET = re.compile(r"(?P<not>[!^]?+)(?P<members>(?:\\[^/]|[^\\/])(?:\\[^/]|[^]\\/])*)]", re.DOTALL)
_RANGE = re.compile(r"(\\?.)(?:-(\\?.))?", re.DOTALL)
_NAMED_SET = re.compile(r"\[([:.=]).*\1\Z", re.DOTALL)


@lru_cache(maxsize=8192)
def _read(text: str) -> tuple[str | Pattern, ...]:
    """Return what a pattern without its `!` stands for: a path or a pattern for each choice from its braces.

    Raises:
        ValueError: it cannot be read.
    """
    if not text:
        raise ValueError("a pattern is empty; write which paths it stands for, such as src/auth/**")
    try:
        return tuple(_meaning(tokens) for tokens in _alternatives(text))
    except ValueError as error:
        raise ValueError(f"{text!r} {error}") from None


def _meaning(tokens: Sequence[Token]) -> str | Pattern:
    segments: list[Segment] = []
    for segment in _split(tokens):
        if segment == ANY_DEPTH and segments and segments[-1] == ANY_DEPTH:
            continue
        if segment != ANY_DEPTH and (Many.STAR, Many.STAR) in pairwise(segment):
            raise ValueError("has '**' beside other characters; make it a whole segment, such as src/**/*.py")
        if segment in {(".",), (".", ".")}:
            raise ValueError("has a '.' or '..' segment; write the path from the repository's root")
        if not segment:
            raise ValueError("has an empty segment; write single slashes, and none in front")
        segments.append(segment)
    letters = [token for token in tokens if isinstance(token, str)]
    is_path = len(letters) == len(tokens) and letters[-1] != "/"
    return "".join(letters) if is_path else Pattern(segments=tuple(segments))


def _split(tokens: Sequence[Token]) -> Iterator[Segment]:
    """Yield what stands between slashes; a slash at the end is followed by `**`."""
    begin = 0
    for at, step in enumerate(tokens):
        if step == "/":
            yield tuple(tokens[begin:at])
            begin = at + 1
    yield ANY_DEPTH if begin == len(tokens) > 1 else tuple(tokens[begin:])


def _alternatives(text: str) -> list[list[Token]]:
    """Write the braces out: return one list of tokens for each way to choose."""
    opened: list[tuple[list[list[Token]], list[list[Token]]]] = []  # what came before a brace, what it offers
    now: list[list[Token]] = [[]]
    for token in _scan(text):
        if token is _Brace.OPEN:
            opened.append((now, []))
            now = [[]]
        elif token is _Brace.NEXT and opened:
            opened[-1][1].extend(now)
            now = [[]]
        elif token is _Brace.CLOSE:
            if not opened:
                raise ValueError("closes a '}' that nothing opens; write \\} for a brace in a name")
            before, choices = opened.pop()
            if not choices:
                raise ValueError("has braces without a choice; write {a,b}, or \\{ for a brace in a name")
            choices.extend(now)
            if len(before) * len(choices) > _LIMIT:
                raise ValueError(f"stands for over {_LIMIT} alternatives; write * or fewer braces")
            now = [[*head, *tail] for head in before for tail in choices]
        else:
            for tokens in now:
                tokens.append("," if token is _Brace.NEXT else token)
    if opened:
        raise ValueError("opens a '{' that nothing closes; write \\{ for a brace in a name")
    return now


def _scan(text: str) -> Iterator[Token | _Brace]:
    """Yield what the characters mean, each by itself; `**` is two stars here."""
    at = 0
    while at < len(text):
        letter = text[at]
        at += 1
        if letter == "[":
            inside = _SET.match(text, at)
            if not inside:
                raise ValueError("opens a '[' that nothing closes in its segment; write \\[ in a name")
            at = inside.end()
            yield _letters(inside["members"], negated=bool(inside["not"]))
        elif letter == "\\":
            if text[at : at + 1] in {"", "/"}:
                raise ValueError("has a backslash that escapes nothing; write \\\\ for one in a name")
            yield text[at]
            at += 1
        else:
            yield _MEANINGS.get(letter, letter)


def _letters(members: str, *, negated: bool) -> Letters:
    if _NAMED_SET.search(members):
        raise ValueError("has a named set such as [:alpha:]; list the characters, such as [A-Za-z]")
    ranges = tuple((low[-1], (high or low)[-1]) for low, high in _RANGE.findall(members))
    for low, high in ranges:
        if low > high:
            raise ValueError(f"has the empty range {low}-{high}; write the smaller end first")
    return Letters(ranges=ranges, negated=negated)
