"""The check that nobody's landed work is taken away by a merge: facts from git's objects, judged in `model.reverts`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from orchestrator.git import query
from orchestrator.model.finding import CheckResult
from orchestrator.model.reverts import Side, reverted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.git.command import Git
    from orchestrator.git.parse import Change

__all__ = ["check_no_revert"]


def check_no_revert(git: Git, own: Sequence[Change], landing: Sequence[Change]) -> CheckResult:
    """Tell whether landing undoes nothing but what the task has undone.

    `own` is what the task changed since it started, `landing` what its landing changes on the base branch.
    """
    started = time.monotonic()
    found = reverted(_sides(own), _sides(landing), lambda blob: query.read_blob(git, blob))
    return CheckResult(name="no-revert", violations=found, seconds=time.monotonic() - started)


def _sides(changes: Sequence[Change]) -> dict[str, Side]:
    return {c.path: Side(c.old_mode, c.old_blob, c.new_mode, c.new_blob) for c in changes}
