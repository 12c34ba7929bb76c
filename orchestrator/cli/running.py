"""`orch run`, the main job, and `orch resume`, the same one taken up again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.common import json_option, open_repository, remembered, repo_option, run_folder, say
from orchestrator.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.driver import Recorder
    from orchestrator.git.repository import Repository
    from orchestrator.model.formats import Report
    from orchestrator.planfile import LoadedPlan
    from orchestrator.run import Run

__all__ = ["resume", "run"]

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


jobs_option = click.option(
    "--jobs", type=click.IntRange(1, 1000), help="Agents at once (default: the plan's, else one a processor)."
)


@click.command(short_help="Run a plan.")
@click.argument("plan", type=click.Path(path_type=Path))
@click.option(
    "--mode", type=click.Choice(["worktree"]), default="worktree", show_default=True, help="How agents share the work."
)
@jobs_option
@click.option("--run", "run_id", help="A name for this run (default: the date, the plan's name, and four hex digits).")
@click.option("--new", is_flag=True, help="Start anew, even if a run of this plan has not ended.")
@repo_option
@json_option
def run(
    *, plan: Path, mode: str, jobs: int | None, run_id: str | None, new: bool, repo: Path | None, as_json: bool
) -> int:  # fmt: skip
    """Run PLAN: contracts first, then agents side by side, landing what is proved to fit."""
    from orchestrator.planfile import load_plan
    from orchestrator.run import begin_run, new_run_id, take_over_run

    assert mode == "worktree", "click knows no other"
    loaded = load_plan(plan)
    repository = open_repository(repo)
    if not new and run_id is None and (unfinished := _unfinished(repository, loaded)):
        if not _wants_to_go_on(unfinished.name):
            raise UsageError(
                f"The run {unfinished.name} of this plan has not ended.",
                hint=f"Go on with it: orch resume {unfinished.name}. Or start another: orch run --new {plan}",
            )
        return _execute(
            lambda recorder: take_over_run(repository, unfinished, jobs=jobs, recorder=recorder), as_json=as_json
        )
    name = _checked_run_id(run_id) if run_id else new_run_id(loaded.plan.name, time.strftime("%Y-%m-%d"))
    slots = jobs or loaded.plan.limits.jobs or os.cpu_count() or 1
    return _execute(
        lambda recorder: begin_run(loaded, repository, run=name, jobs=slots, recorder=recorder), as_json=as_json
    )


@click.command(short_help="Go on with a run that was ended or killed.")
@click.argument("run", required=False)
@jobs_option
@repo_option
@json_option
def resume(*, run: str | None, jobs: int | None, repo: Path | None, as_json: bool) -> int:
    """Go on with RUN (default: the newest that has not landed everything), however it was ended."""
    from orchestrator.run import take_over_run

    repository = open_repository(repo)
    folder = run_folder(repository, run) if run else _newest_open(repository)
    return _execute(lambda recorder: take_over_run(repository, folder, jobs=jobs, recorder=recorder), as_json=as_json)


def _execute(begin: Callable[[Recorder], Run], *, as_json: bool) -> int:
    import asyncio

    from orchestrator.cli.live import Display
    from orchestrator.driver import Recorder
    from orchestrator.model.state import RunState
    from orchestrator.report import summary_of

    with Display(plain=as_json or not sys.stdout.isatty(), to_stderr=as_json) as display:
        recorder = Recorder(state=RunState(), tell=display.tell)
        report, interrupted = asyncio.run(_with_signals(begin, recorder))
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 200
    say([json.dumps(report)] if as_json else ["", *summary_of(report, width)])
    if interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.LANDED if report["status"] == "landed" else ExitCode.NOT_LANDED


def _unfinished(repository: Repository, loaded: LoadedPlan) -> Path | None:
    """Return the newest run of this plan that was begun, has not ended, and that nobody is working on."""
    from orchestrator.journal import is_free

    for folder, state in remembered(repository):
        same = state.started is not None and state.started.plan == loaded.plan.name
        if same and state.ended is None and is_free(folder / "journal"):
            return folder
    return None


def _newest_open(repository: Repository) -> Path:
    from orchestrator.journal import is_free

    for folder, state in remembered(repository):
        if (state.ended is None or state.ended.status != "landed") and state.started and is_free(folder / "journal"):
            return folder
    raise UsageError("No run in this repository has work left.", hint="Start one with `orch run PLAN`.")


def _wants_to_go_on(name: str) -> bool:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    return click.confirm(f"The run {name} of this plan has not ended. Go on with it?", default=True)


def _checked_run_id(run_id: str) -> str:
    import re

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", run_id) or len(run_id) > 100:
        raise click.BadParameter(
            f"{run_id!r} cannot be part of a branch name; use letters, digits, '-' and '_'.", param_hint="--run"
        )
    return run_id


async def _with_signals(begin: Callable[[Recorder], Run], recorder: Recorder) -> tuple[Report, bool]:
    """Run to the end; the first signal stops agents politely and starts no further landing, the second ends it all now."""
    import asyncio

    from orchestrator.git.command import end_all
    from orchestrator.model import events as happened

    stop_agents, stop_gates = asyncio.Event(), asyncio.Event()
    loop, main_task = asyncio.get_running_loop(), asyncio.current_task()
    assert main_task is not None
    received = 0

    def on_signal(number: signal.Signals) -> None:
        nonlocal received
        received += 1
        if received > 1 or recorder.state.started is None:
            main_task.cancel()
            end_all()
            return
        recorder.emit(happened.StopRequested(reason=f"interrupted by {number.name}", lands=False))
        stop_agents.set()
        stop_gates.set()

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    try:
        report = await begin(recorder).go(stop_agents=stop_agents, stop_gates=stop_gates)
    except asyncio.CancelledError:
        if recorder.state.started is not None:
            name = recorder.state.started.run
            click.echo(f"The run {name} was ended at once. Go on with it: orch resume {name}", err=True)
        raise KeyboardInterrupt from None
    return report, received > 0
