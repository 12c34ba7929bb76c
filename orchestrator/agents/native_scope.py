"""A task's boundary in the words of other programs: gitignore-like globs, loose wildcards, folders, a regular expression. Pure.

No program's own rules say exactly what our globs say. What they cannot say is said a little wider here: an agent that is let
through by its program is still refused when its work is handed in.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.model.glob_automaton import Letters, Many, Pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orchestrator.model.boundary import Boundary
    from orchestrator.model.glob_automaton import Token
    from orchestrator.model.globs import PatternSet

__all__ = ["NAMES", "words_of"]

NAMES = ("write", "protect", "write_wild", "protect_wild", "write_folder", "write_regex", "protect_regex")
_NOTHING = r"[^\s\S]"  # a regular expression that matches nowhere
_GLOB: Mapping[Many, str] = {Many.STAR: "*", Many.DEEP: "**/", Many.REST: "**"}
_WILD: Mapping[Many, str] = {Many.STAR: "*", Many.DEEP: "*", Many.REST: "*"}
_REGEX: Mapping[Many, str] = {Many.STAR: '[^/"]*', Many.DEEP: '[^"]*', Many.REST: '[^"]+'}


def words_of(boundary: Boundary) -> dict[str, str | tuple[str, ...]]:
    """Return what the task may write (`write…`), and what of that it may not (`protect…`), each in several notations.

    * `write`, `protect`: globs with `*`, `?`, `**`, as in a `.gitignore`.
    * `write_wild`, `protect_wild`: the same with a `*` that passes slashes.
    * `write_folder`: the files and folders that hold it all.
    * `write_regex`, `protect_regex`: one regular expression each, without anchors and groups.
    """
    allowed, denied = (
        boundary.scope.included,
        (boundary.scope.excluded, boundary.contracts.included, boundary.shared.included),
    )
    protected = [one for patterns in denied for one in _each(patterns)]
    written = list(_each(allowed))
    return {
        "write": _said(written, _glob),
        "protect": _said(protected, _glob),
        "write_wild": _said(written, _wild),
        "protect_wild": _said(protected, _wild),
        "write_folder": _said(written, _folder),
        "write_regex": _any_of(written),
        "protect_regex": _any_of(protected),
    }


def _each(patterns: PatternSet) -> Iterable[str | Pattern]:
    return (*sorted(patterns.literals), *patterns.wild)


def _said(patterns: Iterable[str | Pattern], say: Callable[[str | Pattern], str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(say(pattern) for pattern in patterns))


def _glob(pattern: str | Pattern) -> str:
    return _spelled(pattern, _GLOB)


def _wild(pattern: str | Pattern) -> str:
    return _spelled(pattern, _WILD)


def _spelled(pattern: str | Pattern, many: Mapping[Many, str]) -> str:
    tokens: Iterable[Token] = pattern.tokens if isinstance(pattern, Pattern) else pattern
    return "".join("?" if isinstance(t, Letters) else many[t] if isinstance(t, Many) else t for t in tokens)


def _folder(pattern: str | Pattern) -> str:
    return (pattern.prefix.rpartition("/")[0] or ".") if isinstance(pattern, Pattern) else pattern


def _any_of(patterns: Iterable[str | Pattern]) -> str:
    return "|".join(_said(patterns, _regex)) or _NOTHING


def _regex(pattern: str | Pattern) -> str:
    if isinstance(pattern, str):
        return re.escape(pattern)
    return "".join(
        '[^/"]' if isinstance(t, Letters) else _REGEX[t] if isinstance(t, Many) else re.escape(t)
        for t in pattern.tokens
    )
