"""What a run of a gate came to, and the verdict on it: alone, against the base commit, and after a second run. Pure.

`must-pass`
    The gate's command must exit with 0.

`no-new-failures`
    A failing gate is let pass if nothing fails that did not fail on the base commit. That is decided by the names of the failed
    tests, if both runs wrote them (`GateOutcome.tests`). A name that is not among the base's failures is a new failure, whatever
    the exit code says. What names cannot explain is no pass either:

    * no results where the base wrote some: the tests were never reached, or it broke off;
    * a failing exit code where the base exited with 0, or with no failed test to account for it (unless the base
      ended with the same code and no failed test as well);
    * another exit code than on the base although the same tests fail, or while tests that the base has are missing.

    Without names on the base there is nothing to compare: a gate that passed there must pass, and one that failed there may
    fail, which a warning says. One that ended there must end. Without a base (`None`, or its run gave no verdict), the gate
    must pass, and no test may fail.

In both cases it is only a warning that failures are older, that tests which ran on the base are gone or skipped, and that
results cannot be read. A gate that cannot be run, or was stopped, never passes.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - the form in which an outcome is stored is made from it
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from orchestrator.model.finding import CheckResult, ConflictKind, Severity, Violation
from orchestrator.model.text import clean_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from orchestrator.model.plan import Gate

__all__ = [
    "CaseState",
    "GateEnding",
    "GateFinding",
    "GateOutcome",
    "either",
    "has",
    "judge",
    "judge_again",
    "said_of_base",
]

_NAMED = 10  # tests that a sentence names
_NAME = 200  # characters of a test's name that are shown


class GateFinding(StrEnum):
    """The kinds of violations that the verdict on a gate can hold."""

    FAILED = "gate"
    TIMED_OUT = "gate-timed-out"
    MISSING = "gate-missing"  # its command cannot be run, which no other work would mend
    STOPPED = "gate-stopped"  # no verdict
    FLAKY = "gate-flaky"  # a warning: two runs on the same files ended differently
    BASELINE = "gate-baseline"  # a warning: it fails as it did on the base
    TESTS_LOST = "gate-tests-lost"  # a warning: tests that ran on the base did not run
    RESULTS = "gate-results"  # a warning: what it wrote about its tests is unreadable, or contradicts its exit code


class CaseState(StrEnum):
    """How one test of a gate ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class GateEnding(StrEnum):
    """Why a run of a gate is over."""

    EXITED = "exited"  # by itself
    TIMED_OUT = "timed-out"  # it used up its time
    STOPPED = "stopped"  # it was asked to
    MISSING = "missing"  # its command does not exist, or may not be run
    NOT_STARTED = "not-started"  # the machine could not start it, for the reason that `said` gives


_TELLING = frozenset({GateEnding.EXITED, GateEnding.TIMED_OUT})  # those that say something about the files


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOutcome:
    """How one run of a gate ended. What it says of itself (`tests`, `said`) is untrusted.

    `code` is the exit code (negative: the signal that ended it). `tests` has the state of each test by its name; None if
    no results could be read, and then `remark` says why, if there were any. `said` is the end of what it printed, `output` the
    path of all of it, relative to the run's folder.
    """

    ending: GateEnding
    code: int
    seconds: float = 0.0
    tests: Mapping[str, CaseState] | None = None
    remark: str = ""
    said: str = ""
    output: str | None = None

    @property
    def passed(self) -> bool:
        """Tell whether the command exited with 0."""
        return self.ending is GateEnding.EXITED and self.code == 0

    @property
    def failed_tests(self) -> frozenset[str]:
        """Return the names of the tests that failed."""
        return frozenset(name for name, state in (self.tests or {}).items() if state is CaseState.FAILED)

    @property
    def ran_tests(self) -> frozenset[str]:
        """Return the names of the tests that ran, whatever came of it."""
        return frozenset(name for name, state in (self.tests or {}).items() if state is not CaseState.SKIPPED)


def judge(gate: Gate, outcome: GateOutcome, base: GateOutcome | None = None) -> CheckResult:
    """Return the verdict on a run of a gate; `base` is how the gate ended on the base commit, None if that is not known."""
    if base is not None and base.ending not in _TELLING:
        base = None
    error = _error(gate, outcome, base)
    found = [error] if error else []
    if outcome.remark:
        found.append(_violation(GateFinding.RESULTS, f"its results cannot be read: {outcome.remark}"))
    ignored = outcome.failed_tests - (base.failed_tests if base else frozenset())
    if outcome.passed and not error and ignored:
        text = f"it exited with 0, though its results have {_listed(ignored, 'failed test')}"
        found.append(_violation(GateFinding.RESULTS, text))
    if base is not None and outcome.ending in _TELLING:
        found += _compared(outcome, base)
    return CheckResult(
        name=f"gate:{gate.name}", violations=tuple(found), seconds=outcome.seconds, output=outcome.output
    )


def judge_again(gate: Gate, first: GateOutcome, second: GateOutcome, base: GateOutcome | None = None) -> CheckResult:
    """Return the verdict on a gate that failed and was run once more on the same files: the second run decides."""
    result, text = judge(gate, second, base), ""
    once = first.failed_tests ^ second.failed_tests if first.tests and second.tests else frozenset()
    if result.passed:
        failed = f", with {_listed(gone, 'failed test')}" if (gone := once & first.failed_tests) else ""
        where = f"; see {first.output}" if first.output else ""
        text = f"it passed when it was run again on the same files; at first, {_how(gate, first)}{failed}{where}"
    elif once:
        text = f"only one of two runs on the same files has {_listed(once, 'failed test')}"
    flaky = (_violation(GateFinding.FLAKY, text),) if text else ()
    return replace(result, violations=(*result.violations, *flaky), seconds=first.seconds + second.seconds)


def either(first: GateOutcome, second: GateOutcome) -> GateOutcome:
    """Return what two runs on the base commit, the first of which failed, tell of it together.

    With names, that is a run that failed, in which each test failed that failed in either: one that fails there only now and
    then is no new failure elsewhere. Without names, the second run decides.
    """
    if first.tests is None or second.tests is None:
        return second
    failed = dict.fromkeys(first.failed_tests, CaseState.FAILED)
    return replace(first if second.passed else second, tests={**second.tests, **failed})


def said_of_base(gate: Gate, outcome: GateOutcome) -> str:
    """Return a sentence on a gate that fails on the base commit, for the start of a run; empty if there is nothing to say."""
    if outcome.passed or outcome.ending is GateEnding.STOPPED:
        return ""
    failed = f", with {_listed(outcome.failed_tests, 'failed test')}" if outcome.failed_tests else ""
    what = f"The gate {gate.name} fails on the base already: {_how(gate, outcome)}{failed}"
    if gate.baseline == "must-pass" or outcome.ending is GateEnding.MISSING:
        return f"{what}. Nothing can land until a task mends it."
    return f"{what}. What fails there keeps nothing from landing."


def has(results: Iterable[CheckResult], kind: GateFinding) -> bool:
    """Tell whether one of these verdicts holds a violation of a kind."""
    return any(violation.kind == kind for result in results for violation in result.violations)


def _error(gate: Gate, outcome: GateOutcome, base: GateOutcome | None) -> Violation | None:
    """Return why a gate does not pass; None if it does."""
    how, failed = _how(gate, outcome), outcome.failed_tests
    if outcome.ending is GateEnding.STOPPED:
        return _violation(GateFinding.STOPPED, how, Severity.ERROR)
    if outcome.ending is GateEnding.MISSING:
        return _violation(GateFinding.MISSING, how, Severity.ERROR)
    if gate.baseline == "must-pass" or base is None:
        passed = outcome.passed and (gate.baseline == "must-pass" or not failed)
        why = _listed(failed, "failed test") if failed else ""
    else:
        why = _worse(outcome, base)
        passed = not why
    if passed:
        return None
    kind = GateFinding.TIMED_OUT if outcome.ending is GateEnding.TIMED_OUT else GateFinding.FAILED
    text, said = f"{how}; {why}" if why else how, outcome.said.strip()
    return _violation(kind, f"{text}; its last words:\n{said}" if said else text, Severity.ERROR)


def _worse(outcome: GateOutcome, base: GateOutcome) -> str:
    """Return in what a run is worse than the one on the base, by the rules at the top; empty if in nothing."""
    failed, before = outcome.failed_tests, base.failed_tests
    if base.tests is not None and outcome.tests is None:
        return "it wrote no results of its tests, as it did on the base"
    if base.tests is not None and (new := failed - before):
        return _listed(new, "new failed test")
    if outcome.passed:
        return ""
    if base.passed:
        return "it exited with 0 on the base"
    if outcome.ending is GateEnding.TIMED_OUT:
        return "" if base.ending is GateEnding.TIMED_OUT else "it ended in time on the base"
    if base.tests is None or outcome.tests is None:
        return ""
    if base.ending is GateEnding.EXITED and outcome.code == base.code:
        return "no failed test accounts for that" if before and not failed else ""
    code = "it timed out" if base.ending is GateEnding.TIMED_OUT else f"its exit code was {base.code}"
    if not failed:
        return "no failed test accounts for that"
    if missing := base.tests.keys() - outcome.tests.keys():
        return f"it may have broken off: {code} on the base, and it is without {_listed(missing, 'test')}"
    return f"{code} on the base, though the same tests failed: something else failed" if failed == before else ""


def _compared(outcome: GateOutcome, base: GateOutcome) -> Iterator[Violation]:
    """Yield the warnings that compare a run with the one on the base."""
    failed, before = outcome.failed_tests, base.failed_tests
    nameless = outcome.tests is None or base.tests is None or not failed | before
    if old := failed & before:
        yield _violation(GateFinding.BASELINE, f"as on the base: {_listed(old, 'failed test')}")
    elif nameless and not outcome.passed and not base.passed:
        text = (
            "it failed on the base already; without names of failed tests, nobody can tell whether for the same reason"
        )
        yield _violation(GateFinding.BASELINE, text)
    if outcome.tests is not None and (lost := base.ran_tests - outcome.ran_tests):
        yield _violation(GateFinding.TESTS_LOST, f"ran on the base, and not now: {_listed(lost, 'test')}")


def _how(gate: Gate, outcome: GateOutcome) -> str:
    match outcome.ending:
        case GateEnding.EXITED:
            return f"`{gate.run}` ended with exit code {outcome.code}"
        case GateEnding.TIMED_OUT:
            return f"`{gate.run}` did not end within {gate.timeout:g} s"
        case GateEnding.STOPPED:
            return f"`{gate.run}` was stopped"
        case GateEnding.MISSING:
            return f"`{gate.run}`: the command does not exist, or may not be run"
        case GateEnding.NOT_STARTED:
            return f"`{gate.run}` could not be started"


def _listed(names: Collection[str], what: str) -> str:
    """Return `3 failed tests: a, b, c`, cleaned, with at most ten of the names."""
    shown = [clean_text(name, _NAME) or "?" for name in sorted(names)[:_NAMED]]
    more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)} {what}{'s' * (len(names) != 1)}: {', '.join(shown)}{more}"


def _violation(kind: GateFinding, text: str, severity: Severity = Severity.WARNING) -> Violation:
    return Violation(kind=kind.value, path=".", message=text, severity=severity, conflict=ConflictKind.BEHAVIORAL)
