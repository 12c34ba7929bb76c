"""Gates as processes: what they find, what is kept of them, when they run again, and when they need not."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from orchestrator.checks.gate import Subject, run_gates, run_on_base
from orchestrator.checks.gate_cache import GateCache
from orchestrator.errors import WorkspaceError
from orchestrator.model.gates import CaseState, GateEnding, GateFinding, GateOutcome, has
from orchestrator.model.plan import Gate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.model.finding import CheckResult

pytestmark = pytest.mark.unconfined  # its gates talk with the tests through files beside their folder

PYTEST = f'PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 {sys.executable} -m pytest -q -p no:cacheprovider --junitxml="$ORCH_JUNIT"'


def gate(run: str, name: str = "g", timeout: str = "10m", baseline: str = "must-pass") -> Gate:
    return Gate.model_validate({"name": name, "run": run, "timeout": timeout, "baseline": baseline})


@dataclass
class Bench:
    """A folder for the tree under test, made anew for each run, and the folder of the run of orch."""

    path: Path
    files: Mapping[str, str] = field(default_factory=dict)
    cached: bool = False
    stop_at: int = 0  # at which run of a gate everything is stopped
    held: int = 0
    told: list[CheckResult] = field(default_factory=list)

    def subject(self, tree: str, label: str = "A.gen-1") -> Subject:
        stop, folder = asyncio.Event(), self.path / f"folder of {label}"

        async def hold() -> Path:
            self.held += 1
            if self.held == self.stop_at:
                stop.set()
            shutil.rmtree(folder, ignore_errors=True)
            for name, text in self.files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(text)
            folder.mkdir(parents=True, exist_ok=True)
            return folder

        return Subject(
            tree=tree, label=label, hold=hold, run_folder=self.path / "the run", stop=stop,
            cache=GateCache(self.path / "cache") if self.cached else None,
        )  # fmt: skip

    def run(
        self, *gates: Gate, base: Mapping[str, GateOutcome] | None = None, tree: str = "t"
    ) -> tuple[CheckResult, ...]:
        async def on_base(gate: Gate) -> GateOutcome | None:
            return (base or {}).get(gate.name)

        self.told.clear()
        return asyncio.run(run_gates(gates, self.subject(tree), base=on_base, tell=self.told.append))

    def on_base(self, *gates: Gate, tree: str = "base") -> dict[str, GateOutcome]:
        told: dict[str, GateOutcome] = {}
        found = asyncio.run(run_on_base(gates, self.subject(tree, "base"), lambda g, o: told.update({g.name: o})))
        assert told == found
        return found

    def kept(self, name: str) -> str:
        return (self.path / "the run" / "gates" / name).read_text()

    def outputs(self) -> set[str]:
        folder = self.path / "the run" / "gates"
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "with spaces")


def counting(bench: Bench, rest: str) -> str:
    """A command that counts its runs outside of every tree, in `$n`."""
    place = bench.path / "count"
    return f"echo >> '{place}'; n=$(wc -l < '{place}'); echo run $n; {rest}"


def test_gates_run_in_order_up_to_the_first_that_fails(bench: Bench) -> None:
    leaves = gate("test ! -e left && touch left && echo $ORCH_GATE $PYTHONDONTWRITEBYTECODE", "a")
    results = bench.run(leaves, gate("test ! -e left; echo no; exit 3", "b"), gate("true", "c"))
    assert [(r.name, r.passed, r.output) for r in results] == [
        ("gate:a", True, "gates/A.gen-1.a.log"),
        ("gate:b", False, "gates/again/A.gen-1.b.log"),
    ]
    assert bench.told == list(results)
    assert results[1].violations[0].message.endswith("exit code 3; its last words:\nno")
    assert bench.kept("A.gen-1.a.log") == "a 1\n"
    assert bench.kept("A.gen-1.b.log") == bench.kept("again/A.gen-1.b.log") == "no\n"
    assert bench.outputs() == {"A.gen-1.a.log", "A.gen-1.b.log", "again/A.gen-1.b.log"}
    assert all(r.seconds > 0 and not r.cached for r in results)


def test_a_gate_that_passes_the_second_time_is_flaky(bench: Bench) -> None:
    (result,) = bench.run(gate(counting(bench, "test $n = 2")))
    assert result.passed
    (warning,) = result.violations
    assert warning.kind == "gate-flaky"
    assert "ended with exit code 1; see gates/A.gen-1.g.log" in warning.message
    assert (bench.kept("A.gen-1.g.log"), bench.kept("again/A.gen-1.g.log")) == ("run 1\n", "run 2\n")


@pytest.mark.parametrize(
    ("run", "kind"),
    [
        ("echo up; exec sleep 60", GateFinding.TIMED_OUT),
        ("no-such-program", GateFinding.MISSING),
        ("./folder/program", GateFinding.MISSING),
        ("kill -9 $$", GateFinding.FAILED),
    ],
)
def test_only_what_fails_by_itself_is_run_again(bench: Bench, run: str, kind: GateFinding) -> None:
    (result,) = bench.run(gate(run, timeout="300ms"))
    assert not result.passed
    assert has([result], kind)
    assert bench.held == (2 if kind is GateFinding.FAILED else 1)


@pytest.mark.parametrize("stop_at", [1, 2])
def test_a_gate_that_is_stopped_gives_no_verdict(bench: Bench, stop_at: int) -> None:
    bench.stop_at = stop_at
    (result,) = bench.run(gate(counting(bench, f"test $n = {stop_at} && exec sleep 60")))
    assert has([result], GateFinding.STOPPED)
    assert not result.passed
    assert not bench.told
    assert bench.held == stop_at


def test_what_the_folder_says_against_it_ends_all(bench: Bench) -> None:
    async def hold() -> Path:
        raise WorkspaceError("it is another folder")

    async def main() -> None:
        subject = Subject(tree="t", label="x", hold=hold, run_folder=bench.path, stop=asyncio.Event())
        await run_on_base([gate("true")], subject, lambda *_: None)

    with pytest.raises(WorkspaceError, match="another folder"):
        asyncio.run(main())


def test_a_folder_that_is_gone_is_no_fault_of_the_gate(bench: Bench) -> None:
    async def hold() -> Path:
        return bench.path / "gone"

    async def main() -> GateOutcome:
        subject = Subject(tree="t", label="x", hold=hold, run_folder=bench.path, stop=asyncio.Event())
        return (await run_on_base([gate("true")], subject, lambda *_: None))["g"]

    outcome = asyncio.run(main())
    assert outcome.ending is GateEnding.NOT_STARTED
    assert "cannot be started" in outcome.said


def test_two_trees_are_judged_at_once(bench: Bench) -> None:
    # Each waits for what the other writes, so neither passes unless both run.
    bench.path.mkdir()
    paths = [bench.path / "1", bench.path / "2"]
    for path in paths:
        os.mkfifo(path)

    async def none(_gate: Gate) -> None:
        return None

    async def judged(mine: Path, other: Path) -> bool:
        meet = gate(f"echo x > '{mine}' & cat '{other}'; wait", timeout="20s")
        results = await run_gates([meet], bench.subject("t", mine.name), base=none, tell=bench.told.append)
        return results[0].passed

    async def main() -> list[bool]:
        return [*await asyncio.gather(judged(*paths), judged(*reversed(paths)))]

    assert asyncio.run(main()) == [True, True]
    assert bench.outputs() == {"1.g.log", "2.g.log"}


TESTS = {
    "tests/test_a.py": "import pytest\ndef test_good(): pass\ndef test_old(): assert 0\n@pytest.mark.skip\ndef test_not(): pass\n"
}
NEW = {
    "tests/test_b.py": "import pytest\n@pytest.mark.parametrize('x', ['a b', 'ä'])\ndef test_new(x): assert x == 'ä'\n"
}


def test_single_tests_are_compared_with_those_of_the_base(bench: Bench) -> None:
    tests = gate(PYTEST, "tests", baseline="no-new-failures")
    bench.files = TESTS
    base = bench.on_base(tests)
    assert base["tests"].tests == {
        "tests.test_a::test_good": CaseState.PASSED,
        "tests.test_a::test_old": CaseState.FAILED,
        "tests.test_a::test_not": CaseState.SKIPPED,
    }
    bench.files = {**TESTS, "tests/test_c.py": "def test_fine(): pass\n"}
    (passed,) = bench.run(tests, base=base)
    assert passed.passed
    assert [v.message for v in passed.violations] == ["as on the base: 1 failed test: tests.test_a::test_old"]
    bench.files = {**TESTS, **NEW}
    (failed,) = bench.run(tests, base=base)
    assert "exit code 1; 1 new failed test: tests.test_b::test_new[a b]; its last words" in failed.violations[0].message
    bench.files = {**TESTS, "conftest.py": "import nothing\n"}
    (broken,) = bench.run(tests, base=base)
    assert "exit code 4; it wrote no results of its tests, as it did on the base" in broken.violations[0].message
    assert bench.outputs() == {
        f"{again}{label}.tests.log" for again in ("", "again/") for label in ("base", "A.gen-1")
    }  # and no file with results


@pytest.mark.parametrize(
    ("write", "said"),
    [
        ("echo '<x' > $F", "its results cannot be read: it is no JUnit XML: unclosed token"),
        ("mkfifo $F", "its results cannot be read: it is no ordinary file"),
        ("mkdir -p $F/x", "its results cannot be read: Is a directory"),
        ("ln -s /etc/passwd $F", "its results cannot be read: Too many levels of symbolic links"),
        ("truncate -s 40M $F", "its results cannot be read: it is longer than 33554432 bytes"),
        ("echo '<!DOCTYPE x [<!ENTITY a \"a\">]><testsuites>&a;</testsuites>' > $F", "it declares a document type"),
    ],
)
def test_results_that_cannot_be_read_are_a_remark(bench: Bench, write: str, said: str) -> None:
    (result,) = bench.run(gate(f'cd /; F="$ORCH_JUNIT"; {write.replace("$F", chr(34) + "$F" + chr(34))}'))
    assert result.passed
    (warning,) = result.violations
    assert said in warning.message
    assert bench.outputs() == {"A.gen-1.g.log"}
    assert not (bench.path / "the run" / "gates" / "A.gen-1.g.xml").exists()


def test_results_of_another_run_are_not_taken_for_this_one(bench: Bench) -> None:
    place = bench.path / "the run" / "gates" / "A.gen-1.g.xml"
    place.parent.mkdir(parents=True)
    place.write_text("<testsuites><testsuite><testcase name='a'><failure/></testcase></testsuite></testsuites>")
    (result,) = bench.run(gate('test ! -e "$ORCH_JUNIT"'))
    assert result.passed
    assert not result.violations


def test_what_passed_is_not_run_again_on_the_same_files(bench: Bench) -> None:
    bench.cached = True
    counted = gate(counting(bench, "true"))
    (first,) = bench.run(counted)
    (second,) = bench.run(counted)
    (other,) = bench.run(counted, tree="u")
    assert [r.cached for r in (first, second, other)] == [False, True, False]
    assert (second.passed, second.seconds, second.output) == (True, 0.0, None)
    assert bench.told == [other]
    assert bench.held == 2
    assert bench.on_base(counted, tree="u")["g"].passed
    assert bench.held == 2


def test_what_failed_or_was_flaky_is_run_again(bench: Bench) -> None:
    bench.cached = True
    assert bench.run(gate(counting(bench, "test $n = 2")))[0].passed
    assert not bench.run(gate(counting(bench, "test $n = 2")))[0].passed
    assert bench.held == 4


def test_a_kept_pass_is_judged_anew_and_run_if_it_does_not_do(bench: Bench) -> None:
    bench.cached = True
    strict = gate(counting(bench, "true"), baseline="no-new-failures")
    assert bench.run(strict)[0].passed
    base = GateOutcome(ending=GateEnding.EXITED, code=0, tests={"a": CaseState.PASSED})
    assert not bench.run(strict, base={"g": base})[0].passed  # it names no tests, as the base did
    assert bench.held == 3


def test_on_the_base_all_gates_run_and_a_failing_one_twice(bench: Bench) -> None:
    results = (
        "<testsuites><testsuite><testcase name='$x'><failure/></testcase><testcase name='c'/></testsuite></testsuites>"
    )
    flaky = gate(counting(bench, f'test $n = 1 && x=a || x=b; echo "{results}" > "$ORCH_JUNIT"; exit 1'), "flaky")
    found = bench.on_base(flaky, gate("true", "fine"), gate("no-such-program", "missing"))
    assert found["flaky"].failed_tests == {"a", "b"}
    assert [found[name].ending for name in ("fine", "missing")] == [GateEnding.EXITED, GateEnding.MISSING]
    assert bench.held == 4


def test_gates_that_are_stopped_on_the_base_are_left_out(bench: Bench) -> None:
    bench.stop_at = 3
    stopped = gate(counting(bench, "test $n = 2 && exec sleep 60"), "b")
    assert list(bench.on_base(gate("true", "a"), stopped, gate("true", "c"))) == ["a"]


def test_a_gate_that_is_cancelled_is_killed(bench: Bench) -> None:
    bench.path.mkdir()
    os.mkfifo(bench.path / "up")

    async def main() -> bool:
        sleeping = gate(f"echo $$ > '{bench.path}/up'; exec sleep 60")
        task = asyncio.create_task(run_on_base([sleeping], bench.subject("t"), lambda *_: None))
        pid = int(await asyncio.to_thread((bench.path / "up").read_text))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return os.path.exists(f"/proc/{pid}")  # noqa: ASYNC240, PTH110 - the process is collected by now

    assert not asyncio.run(main())
