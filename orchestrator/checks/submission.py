"""Facts about a piece of work, gathered from git's objects, and judged by the pure rules of `model`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from orchestrator.checks.contract import check_implementations
from orchestrator.git import query
from orchestrator.model.boundary import PathChange, twins_of, violations_of
from orchestrator.model.finding import CheckResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.git.command import Git
    from orchestrator.git.parse import Change
    from orchestrator.model.boundary import Boundary
    from orchestrator.model.plan import Implementation

__all__ = ["check_boundary", "check_contracts"]


def check_boundary(
    git: Git,
    changes: Sequence[Change],
    boundary: Boundary,
    *,
    by_the_way: Sequence[Change] = (),
    existing: Mapping[str, str] | None = None,
) -> CheckResult:
    """Judge every changed path.

    `by_the_way` are changes of commits on the way that the end may no longer show; `existing` are the paths that are
    there already (`model.boundary.forms_of`), to warn of new ones that only some systems can tell from them.
    """
    started = time.monotonic()
    found = violations_of(_facts(git, changes), boundary)
    seen = {(v.path, v.kind) for v in found}
    undone = violations_of(_facts(git, by_the_way), boundary, where=" (in a commit on the way)")
    found += tuple(v for v in undone if (v.path, v.kind) not in seen)
    found += twins_of((c.path for c in changes if c.added), existing or {})
    return CheckResult(name="boundary", violations=found, seconds=time.monotonic() - started)


def _facts(git: Git, changes: Sequence[Change]) -> list[PathChange]:
    return [
        PathChange(
            path=c.path,
            old_mode=c.old_mode,
            new_mode=c.new_mode,
            new_blob=c.new_blob,
            link_target=query.read_blob(git, c.new_blob).decode("utf-8", "surrogateescape") if c.is_link else None,
        )
        for c in changes
    ]


def check_contracts(git: Git, tree: str, entries: Sequence[Implementation]) -> CheckResult:
    """Compare each implementation in a tree with the interface it promises to offer; no code of the tree is run."""
    started = time.monotonic()
    found = check_implementations(entries, lambda path: query.read_file(git, tree, path)) if entries else ()
    return CheckResult(name="contracts", violations=found, seconds=time.monotonic() - started)
