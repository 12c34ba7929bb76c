"""Why a generation was refused, in words that its successor can act on. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.model.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.model.finding import CheckResult

__all__ = ["feedback_on", "first_error"]

_MOST = 50


def first_error(check: CheckResult) -> str:
    """Return the first line of the first error of a failed check."""
    error = next(v for v in check.violations if v.severity is Severity.ERROR)
    return str(error).partition("\n")[0]


def feedback_on(checks: Iterable[CheckResult]) -> str:
    """Return every error of the failed checks, a line each, up to 50 a check."""
    lines = []
    for check in checks:
        errors = [v for v in check.violations if v.severity is Severity.ERROR]
        lines.append(f"The check {check.name} failed:")
        lines += [f"- {v}" for v in errors[:_MOST]]
        if len(errors) > _MOST:
            lines.append(f"- and {len(errors) - _MOST} more like these")
    return "\n".join(lines)
