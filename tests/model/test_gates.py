"""The verdict on a gate: each rule as a row, and what holds for any two runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.finding import Severity
from orchestrator.model.gates import (
    CaseState,
    GateEnding,
    GateFinding,
    GateOutcome,
    either,
    has,
    judge,
    judge_again,
    said_of_base,
)
from orchestrator.model.plan import Gate

if TYPE_CHECKING:
    from orchestrator.model.finding import CheckResult

MUST, NEW = Gate(name="g", run="x"), Gate(name="g", run="x", baseline="no-new-failures")
STATES = {"+": CaseState.PASSED, "-": CaseState.FAILED, "o": CaseState.SKIPPED}


def ended(code: int = 0, tests: str | None = None, **more: Any) -> GateOutcome:
    """A run that exited; `tests` is such as `a+ b- co`: passed, failed, skipped."""
    named = None if tests is None else {test[:-1]: STATES[test[-1]] for test in tests.split()}
    return GateOutcome(**{"ending": GateEnding.EXITED, "code": code, "tests": named, **more})


def stuck(tests: str | None = None) -> GateOutcome:
    return ended(-2, tests, ending=GateEnding.TIMED_OUT)


def kinds(result: CheckResult) -> list[str]:
    """The kinds of what was found, errors with an exclamation mark."""
    return [f"{v.kind}{'!' * (v.severity is Severity.ERROR)}" for v in result.violations]


STOPPED, MISSING = ended(ending=GateEnding.STOPPED), ended(127, ending=GateEnding.MISSING)
NOT_STARTED = ended(126, ending=GateEnding.NOT_STARTED, said="no memory")
OLD, LOST, ODD = "gate-baseline", "gate-tests-lost", "gate-results"


@pytest.mark.parametrize(
    ("outcome", "base", "found", "said"),
    [
        (ended(), None, [], ""),
        (ended(1), None, ["gate!"], "`x` ended with exit code 1"),
        (ended(1, said="oh\nno\n"), None, ["gate!"], "`x` ended with exit code 1; its last words:\noh\nno"),
        (ended(1, "a- b+ c-"), None, ["gate!"], "`x` ended with exit code 1; 2 failed tests: a, c"),
        (ended(1, "a- b-"), ended(1, "a-"), ["gate!", OLD], "as on the base: 1 failed test: a"),
        (ended(1), ended(2), ["gate!", OLD], "it failed on the base already; without names of failed tests"),
        (ended(1), ended(), ["gate!"], ""),
        (ended(0, "b+"), ended(0, "a+ b+ co"), [LOST], "ran on the base, and not now: 1 test: a"),
        (ended(0, "a- b+"), None, [ODD], "it exited with 0, though its results have 1 failed test: a"),
        (ended(remark="it is a pipe"), None, [ODD], "its results cannot be read: it is a pipe"),
        (stuck(), None, ["gate-timed-out!"], "`x` did not end within 600 s"),
        (MISSING, None, ["gate-missing!"], "`x`: the command does not exist, or may not be run"),
        (NOT_STARTED, None, ["gate!"], "`x` could not be started; its last words:\nno memory"),
        (STOPPED, ended(1), ["gate-stopped!"], "`x` was stopped"),
    ],
)
def test_a_gate_that_must_pass(outcome: GateOutcome, base: GateOutcome | None, found: list[str], said: str) -> None:
    result = judge(MUST, outcome, base)
    assert kinds(result) == found
    assert any(said in v.message for v in result.violations) or not said


@pytest.mark.parametrize(
    ("outcome", "base", "found", "said"),
    [
        # names on both sides decide
        (ended(1, "a- b+"), ended(1, "a- b+"), [OLD], "as on the base: 1 failed test: a"),
        (ended(1, "a- b-"), ended(1, "a- b- c+"), [OLD, LOST], "ran on the base, and not now: 1 test: c"),
        (ended(1, "a- b-"), ended(1, "a- b+"), ["gate!", OLD], "`x` ended with exit code 1; 1 new failed test: b"),
        (ended(1, "a- new-"), ended(1, "a-"), ["gate!", OLD], "1 new failed test: new"),
        (ended(0, "a+"), ended(1, "a-"), [], ""),
        (ended(0, "a-"), ended(0, "a-"), [OLD], "as on the base"),  # a command that hides its exit code
        (ended(0, "a- b-"), ended(0, "a- b+"), ["gate!", OLD], "exit code 0; 1 new failed test: b"),
        (ended(1, "a- bo"), ended(1, "a- b-"), [OLD, LOST], "ran on the base, and not now: 1 test: b"),
        # what names cannot explain
        (ended(4), ended(1, "a-"), ["gate!", OLD], "it wrote no results of its tests, as it did on the base"),
        (ended(0), ended(0, "a-"), ["gate!"], "it wrote no results"),
        (ended(0, remark="broken"), ended(0, "a+"), ["gate!", ODD], "its results cannot be read: broken"),
        (ended(1, "a-"), ended(0, "a-"), ["gate!", OLD], "it exited with 0 on the base"),
        (ended(3, "a+"), ended(1, "a-"), ["gate!"], "no failed test accounts for that"),
        (ended(1, "a+"), ended(1, "a-"), ["gate!"], "no failed test accounts for that"),
        (ended(5, ""), ended(5, ""), [OLD], "without names of failed tests"),
        (ended(4, ""), ended(5, ""), ["gate!", OLD], "no failed test accounts for that"),
        (ended(2, "a-"), ended(1, "a- b+"), ["gate!", OLD, LOST], "its exit code was 1 on the base, and it is without 1 test: b"),
        (ended(2, "a-"), ended(1, "a-"), ["gate!", OLD], "its exit code was 1 on the base, though the same tests failed"),
        (ended(1, "a- b+"), ended(2, "a- b-"), [OLD], ""),  # an exit code that counts failures
        (ended(1, "a-"), stuck("a-"), ["gate!", OLD], "it timed out on the base, though the same tests failed"),
        (stuck("a-"), ended(1, "a-"), ["gate-timed-out!", OLD], "it ended in time on the base"),
        (stuck("a-"), stuck("a-"), [OLD], "as on the base"),
        # no names on the base
        (ended(1), ended(1), [OLD], "nobody can tell whether for the same reason"),
        (ended(2), ended(1), [OLD], "nobody can tell"),
        (ended(1, "a-"), ended(4), [OLD], "nobody can tell"),
        (ended(1), ended(0), ["gate!"], "it exited with 0 on the base"),
        (ended(1), stuck(), [OLD], "nobody can tell"),
        (stuck(), ended(1), ["gate-timed-out!", OLD], "it ended in time on the base"),
        (stuck(), stuck(), [OLD], "nobody can tell"),
        (ended(0, "a-"), ended(4), [ODD], "it exited with 0, though its results have 1 failed test: a"),
        # no base
        (ended(), None, [], ""),
        (ended(0, "a-"), None, ["gate!"], "`x` ended with exit code 0; 1 failed test: a"),
        *((ended(1, "a-"), base, ["gate!"], "1 failed test: a") for base in (None, STOPPED, MISSING, NOT_STARTED)),
        # no verdict, and none that others could mend
        (STOPPED, ended(1), ["gate-stopped!"], "was stopped"),
        (MISSING, MISSING, ["gate-missing!"], "the command does not exist"),
    ],
)  # fmt: skip
def test_a_gate_without_new_failures(
    outcome: GateOutcome, base: GateOutcome | None, found: list[str], said: str
) -> None:
    result = judge(NEW, outcome, base)
    assert kinds(result) == found
    assert any(said in v.message for v in result.violations) or not said
    assert result.passed == (not any(kind.endswith("!") for kind in found))


def test_names_are_cleaned_and_ten_are_shown() -> None:
    many = {f"t{n:02}": CaseState.FAILED for n in range(12)} | {"\x1b[31m a\nb" * 999: CaseState.FAILED}
    (error,) = judge(MUST, replace(ended(1), tests=many)).violations
    assert error.message.startswith("`x` ended with exit code 1; 13 failed tests: a b a b")
    assert error.message.endswith("…, t00, t01, t02, t03, t04, t05, t06, t07, t08, and 3 more")
    assert len(error.message) < 400
    assert "\n" not in error.message


@pytest.mark.parametrize(
    ("gate", "first", "second", "found", "said"),
    [
        (MUST, ended(1), ended(), ["gate-flaky"], "it passed when it was run again on the same files; at first, `x` ended"),
        (MUST, ended(1, "a- b+"), ended(0, "a+ b+"), ["gate-flaky"], "exit code 1, with 1 failed test: a"),
        (MUST, ended(1, output="o"), ended(), ["gate-flaky"], "; see o"),
        (MUST, ended(1), ended(1), ["gate!", OLD], ""),
        (MUST, ended(1, "a- b-"), ended(1, "a- b+"), ["gate!", OLD, "gate-flaky"], "only one of two runs on the same files has"),
        (MUST, ended(1, "b-"), ended(1, "b-"), ["gate!", LOST], ""),
        (MUST, ended(1), STOPPED, ["gate-stopped!"], ""),
        (NEW, ended(1, "a- b-"), ended(1, "a- b+"), [OLD, "gate-flaky"], "with 1 failed test: b"),
    ],
)  # fmt: skip
def test_the_second_run_decides(
    gate: Gate, first: GateOutcome, second: GateOutcome, found: list[str], said: str
) -> None:
    result = judge_again(gate, replace(first, seconds=1.0), replace(second, seconds=2.0), ended(1, "a-"))
    assert kinds(result) == found
    assert any(said in v.message for v in result.violations) or not said
    assert result.seconds == 3.0


def test_two_runs_on_the_base_tell_all_that_may_fail_there() -> None:
    assert either(ended(1, "a- b+ c-"), ended(2, "a+ b-")) == ended(2, "a- b- c-")
    assert either(ended(1, "a- b+"), ended(0, "a+ b+")) == ended(1, "a- b+")
    assert either(ended(1), ended(0)) == ended(0)
    assert either(ended(1, "a-"), ended(0)) == ended(0)
    assert either(ended(1), ended(1, "a-")) == ended(1, "a-")


FAILS, MEND = "The gate g fails on the base already: `x`", "Nothing can land until a task mends it."


@pytest.mark.parametrize(
    ("gate", "outcome", "said"),
    [
        (MUST, ended(), ""),
        (MUST, STOPPED, ""),
        (MUST, ended(1, "a-"), f"{FAILS} ended with exit code 1, with 1 failed test: a. {MEND}"),
        (NEW, ended(1), f"{FAILS} ended with exit code 1. What fails there keeps nothing from landing."),
        (NEW, MISSING, f"{FAILS}: the command does not exist, or may not be run. {MEND}"),
    ],
)
def test_what_is_said_at_the_start_of_a_run(gate: Gate, outcome: GateOutcome, said: str) -> None:
    assert said_of_base(gate, outcome) == said


TESTS = st.none() | st.dictionaries(st.sampled_from("abcd"), st.sampled_from(CaseState))
OUTCOMES = st.builds(GateOutcome, ending=st.sampled_from(GateEnding), code=st.integers(-1, 2), tests=TESTS)
VERDICTS = OUTCOMES.filter(lambda o: o.ending in {GateEnding.EXITED, GateEnding.TIMED_OUT})


@given(OUTCOMES, st.none() | OUTCOMES)
def test_a_gate_that_must_pass_passes_if_it_exits_with_0_and_only_then(
    outcome: GateOutcome, base: GateOutcome | None
) -> None:
    assert judge(MUST, outcome, base).passed == outcome.passed


@given(VERDICTS)
def test_what_ends_as_on_the_base_passes(outcome: GateOutcome) -> None:
    assert judge(NEW, outcome, outcome).passed


@given(OUTCOMES, OUTCOMES)
def test_no_failure_that_is_new_by_its_name_passes(outcome: GateOutcome, base: GateOutcome) -> None:
    if base.tests is not None and outcome.failed_tests - base.failed_tests:
        assert not judge(NEW, outcome, base).passed


@given(OUTCOMES, st.none() | OUTCOMES)
def test_a_gate_without_any_failure_passes_unless_its_results_are_missing(
    outcome: GateOutcome, base: GateOutcome | None
) -> None:
    compared = base is not None and base.ending in {GateEnding.EXITED, GateEnding.TIMED_OUT} and base.tests is not None
    if outcome.passed and not outcome.failed_tests:
        assert judge(NEW, outcome, base).passed == (outcome.tests is not None or not compared)


@given(OUTCOMES, OUTCOMES)
def test_a_gate_that_passed_on_the_base_must_pass(outcome: GateOutcome, base: GateOutcome) -> None:
    if base.passed and not outcome.passed:
        assert not judge(NEW, outcome, base).passed


@given(OUTCOMES, OUTCOMES, OUTCOMES)
def test_a_second_run_that_passes_is_always_called_flaky(
    first: GateOutcome, second: GateOutcome, base: GateOutcome
) -> None:
    again, alone = judge_again(NEW, first, second, base), judge(NEW, second, base)
    assert again.passed == alone.passed
    assert not again.passed or has([again], GateFinding.FLAKY)
    assert not has([alone], GateFinding.FLAKY)


@given(st.sets(st.sampled_from("abcd"), min_size=1), st.sets(st.sampled_from("abcd")))
def test_what_happened_once_on_the_base_may_happen_again(first: set[str], second: set[str]) -> None:
    runs = [ended(int(bool(failed)), " ".join(t + "+-"[t in failed] for t in "abcd")) for failed in (first, second)]
    assert all(judge(NEW, run, either(*runs)).passed for run in runs)
