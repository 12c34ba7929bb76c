"""What the checks and gates of a candidate say to the merge train. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.model.gates import GateFinding, has
from orchestrator.model.train_values import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.model.finding import CheckResult

__all__ = ["verdict_of"]


def verdict_of(results: Sequence[CheckResult]) -> Verdict:
    """Return the verdict that all these results come to."""
    if has(results, GateFinding.STOPPED):
        return Verdict.STOPPED
    if has(results, GateFinding.TIMED_OUT):
        return Verdict.TIMED_OUT
    if not all(result.passed for result in results):
        return Verdict.FAILED
    return Verdict.FLAKED if has(results, GateFinding.FLAKY) else Verdict.PASSED
