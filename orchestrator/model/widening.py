"""Whether a task may write more than its plan says, while others are at work. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.model import globs
from orchestrator.model.globs import Scope, overlap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.model.plan import Plan

__all__ = ["against_widening", "widened"]

_AT_ONCE = 20  # globs in one wish, and 4 times as many for a task in all: a task that needs more needs another plan


def widened(scope: Scope, granted: Iterable[str]) -> Scope:
    """Return a scope with the globs that were granted to it; what it excludes stays excluded."""
    return Scope((*scope.patterns, *granted))


def against_widening(
    plan: Plan, scope: Scope, granted: Sequence[str], wanted: Sequence[str], others: Mapping[str, Scope]
) -> str:
    """Return why a task may not write what these globs match as well, with a path that shows it; empty if it may.

    `scope` is the task's own, `granted` what it was granted before, `others` the scopes of the tasks that are at work or wait
    to land, each with what was granted to it. A task that has not begun is no reason: it will start from what has landed.
    """
    if not 0 < len(wanted) <= _AT_ONCE or len(granted) + len(wanted) > 4 * _AT_ONCE:
        return f"ask for 1 to {_AT_ONCE} globs at once, and {4 * _AT_ONCE} in all"
    for glob in wanted:
        if glob.startswith("!") or (why := globs.problem(glob)):
            return f"{glob!r} is no glob of paths to write: {'it excludes' if glob.startswith('!') else why}"
    asked = Scope(wanted)
    for what, kept in (("is a contract", plan.protected()[: len(plan.contracts.files)]), ("is shared", plan.shared)):
        if path := overlap(asked, Scope(kept)):
            return f"{path} {what}, which no task may write"
    for task, theirs in others.items():
        if path := overlap(asked, theirs):
            return f"{path} is in the scope of {task}, which is at work; ask for less, or ask {task}"
    if path := globs.outside(asked, widened(scope, (*granted, *wanted))):
        return f"the plan takes {path} out of this task's scope"
    return ""
