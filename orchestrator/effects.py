"""The instants at which a kill leaves something half done, by name.

A run must survive being killed at any instant; these are the ones that matter, before and after each deed that others can
see. `ORCH_KILL_AT=ref-moved:2` in the environment kills the process when it comes to that point for the second time, which
is how the tests, and anybody who wants to see for himself, kill a run at exactly that instant. Without it they cost nothing.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

__all__ = ["POINTS", "reached"]

POINTS = (
    "journal-append", "journal-appended", "board-append", "board-appended", "ref-move", "ref-moved", "checkout-move",
    "checkout-moved", "worktree-record", "worktree-recorded", "worktree-filled", "worktree-trashed", "worktree-forgotten",
    "worktree-removed", "process-start", "process-started", "process-ended", "work-captured", "work-kept",
    "snapshot-taken", "report-write", "plan-pinned",
    "snapshot-take", "ref-delete", "ref-deleted", "base-move", "base-moved", "files-aside", "file-write",
    "process-spawned", "process-end", "report-written", "plan-pin", "git-folder-made", "worktree-forget",
    "gc-lock-drafted", "gc-locked", "template-written", "layer-mounted", "layer-unmounted", "layer-trashed",
    "shared-mirror", "shared-mirrored", "authors-noted",
)  # fmt: skip
"""Every point, in no order."""

_passed: Counter[str] = Counter()


def reached(point: str) -> None:
    """Say that a point was reached; if the environment asks for it, this is where the process ends."""
    wanted = os.environ.get("ORCH_KILL_AT", "")
    if not wanted:
        return
    assert point in POINTS
    _passed[point] += 1
    name, _, count = wanted.partition(":")
    if (name, int(count or "1")) == (point, _passed[point]):
        os.kill(os.getpid(), signal.SIGKILL)
