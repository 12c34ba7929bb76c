"""`orch run`: the main job."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.common import json_option, open_repository, repo_option
from orchestrator.errors import ExitCode

if TYPE_CHECKING:
    from orchestrator.driver import Recorder
    from orchestrator.git.repository import Repository
    from orchestrator.model.formats import Report
    from orchestrator.planfile import LoadedPlan

__all__ = ["run"]

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command()
@click.argument("plan", type=click.Path(path_type=Path))
@click.option(
    "--mode", type=click.Choice(["worktree"]), default="worktree", show_default=True, help="How agents share the work."
)
@click.option(
    "--jobs", type=click.IntRange(1, 1000), help="Agents at once (default: the plan's, else one a processor)."
)
@click.option("--run", "run_id", help="A name for this run (default: the date, the plan's name, and four hex digits).")
@repo_option
@json_option
def run(*, plan: Path, mode: str, jobs: int | None, run_id: str | None, repo: Path | None, as_json: bool) -> int:  # noqa: ARG001
    """Run PLAN: contracts first, then agents side by side, landing what is proved to fit."""
    import asyncio

    from orchestrator.cli.live import Display
    from orchestrator.driver import Recorder
    from orchestrator.model.state import RunState
    from orchestrator.planfile import load_plan
    from orchestrator.report import summary_of
    from orchestrator.run import new_run_id

    loaded = load_plan(plan)
    repository = open_repository(repo)
    name = _checked_run_id(run_id) if run_id else new_run_id(loaded.plan.name, time.strftime("%Y-%m-%d"))
    slots = jobs or loaded.plan.limits.jobs or os.cpu_count() or 1
    with Display(plain=as_json or not sys.stdout.isatty(), to_stderr=as_json) as display:
        recorder = Recorder(state=RunState(), tell=display.tell)
        report, interrupted = asyncio.run(_with_signals(loaded, repository, name, slots, recorder))
    if as_json:
        click.echo(json.dumps(report))
    else:
        click.echo("\n" + "\n".join(summary_of(report)))
    if interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.LANDED if report["status"] == "landed" else ExitCode.NOT_LANDED


def _checked_run_id(run_id: str) -> str:
    import re

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", run_id) or len(run_id) > 100:
        raise click.BadParameter(
            f"{run_id!r} cannot be part of a branch name; use letters, digits, '-' and '_'.", param_hint="--run"
        )
    return run_id


async def _with_signals(
    loaded: LoadedPlan, repository: Repository, name: str, jobs: int, recorder: Recorder
) -> tuple[Report, bool]:
    """Run the plan; the first signal stops agents politely and lands nothing more, the second ends everything now."""
    import asyncio

    from orchestrator.model import events as happened
    from orchestrator.run import run_plan

    stop_agents, stop_gates = asyncio.Event(), asyncio.Event()
    loop, main_task = asyncio.get_running_loop(), asyncio.current_task()
    assert main_task is not None
    received = 0

    def on_signal(number: signal.Signals) -> None:
        nonlocal received
        received += 1
        if received > 1 or recorder.state.started is None:
            main_task.cancel()
            return
        recorder.emit(happened.StopRequested(reason=f"interrupted by {number.name}", lands=False))
        stop_agents.set()
        stop_gates.set()

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    try:
        report = await run_plan(
            loaded, repository, run=name, jobs=jobs, recorder=recorder, stop_agents=stop_agents, stop_gates=stop_gates
        )
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    return report, received > 0
