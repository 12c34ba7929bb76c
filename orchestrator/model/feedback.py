"""Why a generation was refused, in words that its successor can act on. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchestrator.model.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orchestrator.model.finding import CheckResult

__all__ = ["Landing", "conflict_feedback", "feedback_on", "first_error"]

_MOST = 50
_LONGEST = 12_000  # characters of one difference or task text; the rest is in the repository


class Landing(NamedTuple):
    """Work that stands in the way: who landed it, what its task says, and what it changed at the paths in conflict."""

    commit: str
    title: str
    prompt: str
    patch: str


def first_error(check: CheckResult) -> str:
    """Return the first error of a failed check on one line: its first, and the last of what a program said."""
    error = str(next(v for v in check.violations if v.severity is Severity.ERROR))
    first, *said = [line.strip() for line in error.splitlines() if line.strip()]
    return f"{first} {said[-1]}" if said and first.endswith(":") else first


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


def conflict_feedback(paths: Sequence[str], base: str, own_patch: str, others: Sequence[Landing]) -> str:
    """Return what the next generation needs to fit in with what has landed: both differences, and the others' task texts.

    Its own task and the contracts are in its briefing already; it starts from `base`, where the others' work stands.
    """
    parts = [
        f"The work does not merge with what has landed since, at: {', '.join(paths)}.",
        f"You start from {base[:12]}, where the others' work stands. Do your task again on top of it, and keep what they did.",
        "### What your work had changed there\n\n" + _fenced(own_patch),
    ]
    for other in others:
        text = f"### {other.title} landed meanwhile, as {other.commit[:12]}\n\n"
        text += f"Its task:\n\n{_bounded(other.prompt.strip())}\n\n" if other.prompt.strip() else ""
        parts.append(text + "What it changed there:\n\n" + _fenced(other.patch))
    return "\n\n".join(parts)


def _fenced(patch: str) -> str:
    return f"~~~~diff\n{_bounded(patch.rstrip())}\n~~~~"


def _bounded(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "\n(and more)"
