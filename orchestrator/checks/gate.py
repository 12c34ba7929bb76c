"""Gates: the commands of the plan that must succeed on a tree before it lands.

`run_gates` gives the verdict on one tree, `run_on_base` tells how the gates end on the commit that the run starts from. Both are
given a folder for each single run, so many trees can be judged at once, each in a folder of its own. A gate that fails by
itself is run once more on the same files, and one that passed on them before is not run at all.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.checks.gate_cache import key_of
from orchestrator.checks.junit import read_results
from orchestrator.confine.confinement import landlocked, scratch_folder
from orchestrator.confine.level import Level, gate_level
from orchestrator.errors import ProcessError
from orchestrator.files import open_new
from orchestrator.model.gates import GateEnding, GateFinding, GateOutcome, either, has, judge, judge_again
from orchestrator.processes.process import Ending, clean_environment, marks_of, run_group

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from orchestrator.checks.gate_cache import CacheKey, GateCache
    from orchestrator.model.finding import CheckResult
    from orchestrator.model.plan import Gate

__all__ = ["Subject", "run_gate", "run_gates", "run_on_base"]

_OUTPUT_LIMIT = 8 * 1024 * 1024
_NO_COMMAND = (126, 127)  # what a shell exits with when a command may not be run, or does not exist
_SHOWN = 3000  # bytes of a gate's output that the next generation is told
_ENDINGS = {Ending.EXITED: GateEnding.EXITED, Ending.TIMED_OUT: GateEnding.TIMED_OUT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A tree whose gates are run.

    `hold` returns a folder that holds exactly this tree; it is called before each single run, since the last one may have
    left something there. `label` begins the names of the kept outputs, so no two subjects of a run that are tested at the
    same time may share it. `stop` ends the gates without a verdict. The cache may be left out.
    """

    tree: str
    label: str
    hold: Callable[[], Awaitable[Path]]
    run_folder: Path
    stop: asyncio.Event
    cache: GateCache | None = None


async def run_gates(
    gates: Sequence[Gate],
    subject: Subject,
    *,
    base: Callable[[Gate], Awaitable[GateOutcome | None]],
    tell: Callable[[CheckResult], None],
) -> tuple[CheckResult, ...]:
    """Run gates in their order, up to the first that does not pass, and return their verdicts; `tell` gets each as it comes.

    `base` returns how a gate ended on the base commit, once that is known; None if it will not be known. It is asked after the
    gate has run, and the subject's folder stays taken meanwhile, so it must not wait for that. A gate that was stopped gave
    no verdict: `tell` does not get it, and it is the last in what is returned (`GateFinding.STOPPED`).
    What `hold` raises ends this. If this is cancelled, the gate that runs is killed.
    """
    results: list[CheckResult] = []
    for gate in gates:
        result = await _verdict(gate, subject, base)
        results.append(result)
        if not has([result], GateFinding.STOPPED):
            tell(result)
        if not result.passed:
            break
    return tuple(results)


async def run_on_base(
    gates: Sequence[Gate], subject: Subject, tell: Callable[[Gate, GateOutcome], None]
) -> dict[str, GateOutcome]:
    """Run every gate on the base commit and return how each ended, by its name; those are left out that were stopped.

    A gate that fails is run twice there, too, and a test that failed in one of the runs counts as failing (`either`).
    """
    found: dict[str, GateOutcome] = {}
    for gate in gates:
        outcome, key = await _cached(gate, subject)
        if outcome is None:
            outcome = await run_gate(gate, subject)
            if not outcome.passed and outcome.ending is GateEnding.EXITED:
                outcome = either(outcome, await run_gate(gate, subject, again=True))
            else:
                await _keep(subject, key, outcome)
        if outcome.ending is GateEnding.STOPPED:
            break
        found[gate.name] = outcome
        tell(gate, outcome)
    return found


async def run_gate(gate: Gate, subject: Subject, *, again: bool = False) -> GateOutcome:
    """Run a gate once and return how it ended; its output is kept in `gates/` in the run's folder, or in `gates/again/`."""
    folder = await subject.hold()
    shown = f"gates/{'again/' if again else ''}{subject.label}.{gate.name}.log"
    written, tail = 0, b""
    with open_new(subject.run_folder / shown) as file, scratch_folder(subject.run_folder) as scratch:
        results = scratch / "junit.xml"

        def keep(chunk: bytes) -> None:
            nonlocal written, tail
            tail = (tail + chunk)[-_SHOWN:]
            if written < _OUTPUT_LIMIT:
                written += file.write(chunk[: _OUTPUT_LIMIT - written])

        env = clean_environment(_variables(gate, subject, scratch, results))
        try:
            ended = await run_group(
                _command(gate, folder, scratch),
                cwd=folder,
                env=env,
                on_output=keep,
                wall=gate.timeout,
                stop=subject.stop,
            )
            tests, remark = await asyncio.to_thread(read_results, results)
        except ProcessError as error:
            return GateOutcome(ending=GateEnding.NOT_STARTED, code=_NO_COMMAND[0], said=error.message, output=shown)
    ending = _ENDINGS.get(ended.ending, GateEnding.STOPPED)
    return GateOutcome(
        ending=GateEnding.MISSING if ending is GateEnding.EXITED and ended.code in _NO_COMMAND else ending,
        code=ended.code,
        seconds=ended.seconds,
        tests=tests,
        remark=remark,
        said=tail.decode("utf-8", "replace"),
        output=shown,
    )


def _command(gate: Gate, folder: Path, scratch: Path) -> str | list[str]:
    """Return the command line of a gate: what it runs was written by agents, so it writes in its own folders only."""
    if gate_level(gate) is Level.AUDIT:
        return gate.run
    return landlocked(["/bin/sh", "-c", gate.run], [folder, scratch], None)


def _variables(gate: Gate, subject: Subject, scratch: Path, results: Path) -> dict[str, str]:
    return {
        **marks_of(subject.run_folder),
        "ORCH_GATE": gate.name,
        "ORCH_JUNIT": str(results),
        "TMPDIR": str(scratch / "tmp"),
        "XDG_CACHE_HOME": str(scratch / "home"),
        "PYTHONDONTWRITEBYTECODE": "1",  # compiled files of one candidate must not be found by the next
    }


async def _verdict(gate: Gate, subject: Subject, base: Callable[[Gate], Awaitable[GateOutcome | None]]) -> CheckResult:
    kept, key = await _cached(gate, subject)
    if kept is not None:
        result = judge(gate, kept, await base(gate))
        if result.passed:
            return replace(result, seconds=0.0, cached=True)
    first = await run_gate(gate, subject)
    on_base = await base(gate)
    result = judge(gate, first, on_base)
    if not result.passed and first.ending is GateEnding.EXITED:
        return judge_again(gate, first, await run_gate(gate, subject, again=True), on_base)
    await _keep(subject, key, first)
    return result


async def _cached(gate: Gate, subject: Subject) -> tuple[GateOutcome | None, CacheKey | None]:
    """Return what is known of a gate on these files, and under which key; the key is of before the gate is run."""
    if subject.cache is None:
        return None, None
    key = await asyncio.to_thread(key_of, gate, subject.tree, clean_environment())
    return await asyncio.to_thread(subject.cache.get, key), key


async def _keep(subject: Subject, key: CacheKey | None, outcome: GateOutcome) -> None:
    if subject.cache is not None and key is not None:
        await asyncio.to_thread(subject.cache.put, key, outcome)
