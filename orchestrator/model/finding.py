"""What a check found: violations, and the verdict that a check gives as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.model.formats import CheckJson, ViolationJson

__all__ = ["CheckResult", "ConflictKind", "Severity", "Violation"]


class Severity(StrEnum):
    """Whether a violation keeps work from landing."""

    ERROR = "error"  # the work is refused
    WARNING = "warning"  # shown in the report, nothing is refused


class ConflictKind(StrEnum):
    """The five kinds of conflict between tasks that the report counts."""

    DIRECT = "direct"  # two tasks, or a task and a boundary, meet in one path
    SEMANTIC = "semantic"  # the parts do not mean the same (a contract's types or signatures)
    STRUCTURAL = "structural"  # a part that others build on is missing or misplaced
    BEHAVIORAL = "behavioral"  # it fits together and does the wrong thing (a gate fails)
    DEPENDENCY = "dependency"  # what the parts require cannot be had together


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One broken rule at one place.

    `kind` is the rule's short name (`out-of-scope`, `missing-method`, …); `path` is as git stores it; `line` counts from 1.
    """

    kind: str
    path: str
    message: str
    line: int | None = None
    severity: Severity = Severity.ERROR
    conflict: ConflictKind = ConflictKind.DIRECT

    def as_json(self) -> ViolationJson:
        """Return the form that `report.json` holds."""
        return {
            "kind": self.kind,
            "path": self.path,
            "line": self.line,
            "message": self.message,
            "severity": self.severity.value,
            "conflict": self.conflict.value,
        }

    @classmethod
    def from_json(cls, data: ViolationJson) -> Violation:
        """Return the violation that `as_json` wrote."""
        return cls(
            kind=data["kind"],
            path=data["path"],
            line=data["line"],
            message=data["message"],
            severity=Severity(data["severity"]),
            conflict=ConflictKind(data["conflict"]),
        )

    def __str__(self) -> str:
        """Return `path:line: message (kind)`; a violation of the whole tree (path `.`) has no place."""
        if self.path == ".":
            return f"{self.message} ({self.kind})"
        place = f"{self.path}:{self.line}" if self.line is not None else self.path
        return f"{place}: {self.message} ({self.kind})"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The verdict of one check on one piece of work; it passed iff no violation is an error."""

    name: str
    violations: tuple[Violation, ...] = ()
    seconds: float = 0.0
    output: str | None = None  # path of the kept output, relative to the run's folder
    cached: bool = False  # a gate that passed on the same tree before, and was not run again

    @property
    def passed(self) -> bool:
        """Tell whether nothing was found that keeps the work from landing."""
        return not any(v.severity is Severity.ERROR for v in self.violations)

    def as_json(self) -> CheckJson:
        """Return the form that `report.json` holds."""
        return {
            "name": self.name,
            "passed": self.passed,
            "seconds": round(self.seconds, 3),
            "output": self.output,
            "cached": self.cached,
            "violations": [v.as_json() for v in self.violations],
        }

    @classmethod
    def from_json(cls, data: CheckJson) -> CheckResult:
        """Return the verdict that `as_json` wrote."""
        return cls(
            name=data["name"],
            seconds=data["seconds"],
            output=data["output"],
            cached=data.get("cached", False),  # journals of earlier versions do not have it
            violations=tuple(Violation.from_json(v) for v in data["violations"]),
        )
