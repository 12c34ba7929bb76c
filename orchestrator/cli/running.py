"""`orch run`, the main job, and `orch resume`, the same one taken up again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.common import json_option, open_repository, remembered, repo_option, run_folder, say
from orchestrator.cli.serving import listen_options
from orchestrator.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.board.publication import Publication
    from orchestrator.driver import Recorder
    from orchestrator.git.repository import Repository
    from orchestrator.model.formats import Mode, Report
    from orchestrator.model.state import RunState
    from orchestrator.planfile import LoadedPlan
    from orchestrator.run import Run

__all__ = ["carry_out", "execute", "resume", "run", "seen_to_its_end"]

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


jobs_option = click.option(
    "--jobs", type=click.IntRange(1, 1000), help="Agents at once (default: the plan's, else one a processor)."
)
heartbeat_option = click.option(
    "--heartbeat", type=click.FloatRange(min=0.05, max=3600), default=5.0, show_default=True,
    help="Seconds between two looks at a worktree, which keep what its agent has written so far.",
)  # fmt: skip


@click.command(short_help="Run a plan: agents work, and what fits together lands.")
@click.argument("plan", type=click.Path(path_type=Path))
@click.option(
    "--mode", type=click.Choice(["worktree", "sequential", "crdt"]), default="worktree", show_default=True,
    help="How agents share the work: a worktree for each task, one agent for all of it, or all in shared files.",
)  # fmt: skip
@click.option("--agent", help="Who does all of it, in mode sequential (default: the agent of most tasks).")
@jobs_option
@heartbeat_option
@listen_options
@click.option("--run", "run_id", help="A name for this run (default: the date, the plan's name, and four hex digits).")
@click.option("--new", is_flag=True, help="Start anew, even if a run of this plan has not ended.")
@repo_option
@json_option
def run(
    *, plan: Path, mode: Mode, agent: str | None, jobs: int | None, heartbeat: float, run_id: str | None, new: bool,
    repo: Path | None, publication: Publication | None, as_json: bool,
) -> int:  # fmt: skip
    """Run PLAN: contracts first, then agents side by side, landing what is proved to fit."""
    from orchestrator.planfile import load_plan
    from orchestrator.run import begin_run, new_run_id, take_over_run

    if agent is not None and mode != "sequential":
        raise click.BadParameter(
            "is for --mode sequential; in a plan, each task names its agent.", param_hint="--agent"
        )
    loaded = load_plan(plan)
    repository = open_repository(repo)
    if not new and run_id is None and (unfinished := _unfinished(repository, loaded, mode)):
        folder, state = unfinished
        _offer(folder, state, loaded, plan)
        return execute(
            repository,
            lambda recorder: take_over_run(repository, folder, jobs=jobs, recorder=recorder, edited=loaded),
            heartbeat=heartbeat,
            publication=publication,
            as_json=as_json,
        )
    slots = jobs or loaded.plan.limits.jobs or os.cpu_count() or 1
    name = _checked_run_id(run_id) if run_id else new_run_id(loaded.plan.name, time.strftime("%Y-%m-%d"))
    return execute(
        repository,
        lambda recorder: begin_run(loaded, repository, run=name, jobs=slots, recorder=recorder, mode=mode, agent=agent),
        heartbeat=heartbeat,
        publication=publication,
        as_json=as_json,
    )


@click.command(short_help="Go on with a run that was ended or killed.")
@click.argument("run", required=False)
@click.option(
    "--plan", type=click.Path(path_type=Path), help="Go on with this edited plan (default: the plan as it was)."
)
@click.option("--retry", is_flag=True, help="Let tasks that had failed start anew.")
@jobs_option
@heartbeat_option
@listen_options
@repo_option
@json_option
def resume(
    *, run: str | None, plan: Path | None, retry: bool, jobs: int | None, heartbeat: float, publication: Publication | None,
    repo: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Go on with RUN (default: the newest that has not landed everything), however it was ended."""
    from orchestrator.planfile import load_plan
    from orchestrator.run import take_over_run

    edited = load_plan(plan) if plan else None
    repository = open_repository(repo)
    folder = run_folder(repository, run) if run else _newest_open(repository, edited)
    return execute(
        repository,
        lambda recorder: take_over_run(repository, folder, jobs=jobs, recorder=recorder, edited=edited, retry=retry),
        heartbeat=heartbeat,
        publication=publication,
        as_json=as_json,
    )


def execute(
    repository: Repository, begin: Callable[[Recorder], Run], *, heartbeat: float = 5.0,
    publication: Publication | None = None, as_json: bool = False,
) -> int:  # fmt: skip
    """Begin a run and see it to its end, and the one that follows if nothing came of it; return the exit code."""
    how: Any = {"heartbeat": heartbeat, "publication": publication, "as_json": as_json}
    report, interrupted = seen_to_its_end(begin, **how)
    if not interrupted and (next_one := _fallback_of(repository, report)):
        if not as_json:
            _told(report, interrupted=False, as_json=False)
        click.echo("\nNothing has landed. As the plan says, one agent does all of it now.", err=as_json)
        report, interrupted = seen_to_its_end(next_one, **how)
    return _told(report, interrupted=interrupted, as_json=as_json)


def seen_to_its_end(
    begin: Callable[[Recorder], Run], *, heartbeat: float, publication: Publication | None, as_json: bool
) -> tuple[Report, bool]:
    """Begin a run and see it to its end, with its events on the terminal; return its report, and whether it was stopped."""
    from orchestrator.cli.live import Display
    from orchestrator.driver import Recorder
    from orchestrator.model.state import RunState

    with Display(plain=as_json or not sys.stdout.isatty(), to_stderr=as_json) as display:
        recorder = Recorder(state=RunState(), tell=display.tell)
        served = (lambda recorder: replace(begin(recorder), publication=publication)) if publication else begin
        return carry_out(served, recorder, heartbeat)


def _told(report: Report, *, interrupted: bool, as_json: bool) -> int:
    """Print what a run came to, and return the exit code."""
    from orchestrator.report import summary_of

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 200
    say([json.dumps(report)] if as_json else ["", *summary_of(report, width)])
    if interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.LANDED if report["status"] == "landed" else ExitCode.NOT_LANDED


def _fallback_of(repository: Repository, report: Report) -> Callable[[Recorder], Run] | None:
    """Return how the run begins in which one agent does all that this one was to do; None if none is due, or it has begun.

    All of that is asked of what is written down, since whoever was to begin it may have been killed.
    """
    from orchestrator.journal.journal import state_in
    from orchestrator.model.decide import falls_back
    from orchestrator.planfile import load_plan
    from orchestrator.run import begin_run, new_run_id

    folder = Path(report["folder"])
    state = state_in(folder / "journal")
    loaded = load_plan(folder / state.plan_folder / "plan.yaml")
    if state.started is None or not falls_back(loaded.plan, state):
        return None
    if any(other.started and other.started.instead_of == folder.name for _, other in remembered(repository)):
        return None
    same_base = replace(loaded, plan=loaded.plan.model_copy(update={"base": state.started.base}))
    name = new_run_id(loaded.plan.name, time.strftime("%Y-%m-%d"))
    return lambda recorder: begin_run(
        same_base, repository, run=name, jobs=state.jobs, recorder=recorder, mode="sequential", instead_of=folder.name
    )


def carry_out(begin: Callable[[Recorder], Run], recorder: Recorder, heartbeat: float = 5.0) -> tuple[Report, bool]:
    """Begin a run and see it to its end; return its report, and whether a signal has stopped it."""
    import asyncio

    return asyncio.run(_with_signals(begin, recorder, heartbeat))


def _unfinished(repository: Repository, loaded: LoadedPlan, mode: Mode) -> tuple[Path, RunState] | None:
    """Return the newest run of this plan, in this mode, that was begun, has not ended, and that nobody is working on.

    One that followed on a run in this mode, as the plan says, is one of them; and the last one of all, if it was interrupted.
    """
    from orchestrator.journal.journal import is_free
    from orchestrator.model.items import unfinished

    last = True
    for folder, state in remembered(repository):
        began = state.started
        if began is None or began.plan != loaded.plan.name or not (began.mode == mode or began.instead_of):
            continue
        interrupted = last and not state.lands and unfinished(state)
        if (state.ended is None or interrupted) and is_free(folder / "journal"):
            return folder, state
        last = False
    return None


def _newest_open(repository: Repository, loaded: LoadedPlan | None) -> Path:
    """Return the newest run, of this plan if there is one, that has work left; one that nobody is working on goes first.

    What one has left is no more to do if another one followed in its place.
    """
    from orchestrator.journal.journal import is_free

    worked_on, followed = [], set()
    for folder, state in remembered(repository):
        if state.started is None or (loaded is not None and state.started.plan != loaded.plan.name):
            continue
        followed.add(state.started.instead_of)
        if (state.ended is None or state.ended.status != "landed") and folder.name not in followed:
            if is_free(folder / "journal"):
                return folder
            worked_on.append(folder)
    if worked_on:
        return worked_on[0]  # to open it says by whom
    of = f" of {loaded.plan.name}" if loaded else ""
    raise UsageError(
        f"No run{of} in this repository has work left.", hint="Name the run, or start one with `orch run PLAN`."
    )


def _offer(folder: Path, state: RunState, loaded: LoadedPlan, plan: Path) -> None:
    """Offer to go on with a run that has not ended or was interrupted, with the plan as it is now.

    Raises:
        UsageError: there is nobody to ask, or the answer is no; it names the ways to go on.
    """
    from orchestrator.model.replan import compare
    from orchestrator.model.sentences import edit_lines
    from orchestrator.plan_of_run import in_mode, pinned_plan

    so_far = f"The run {folder.name} of this plan {'was interrupted' if state.ended else 'has not ended'}"
    as_it_was = f"Go on with the plan as it was: orch resume {folder.name}"
    another = f"Start another run: orch run --new {plan}"
    assert state.started is not None, "it was begun"
    replan = compare(pinned_plan(folder, state), in_mode(loaded, state.started.mode, state.started.agent), state)
    if replan.refused:
        so_far += f", and cannot go on with the plan as it is now: {replan.refused[0]}."
        raise UsageError(so_far, hint=f"{as_it_was}\n{another}")
    if replan.edit is None:
        message, question = f"{so_far}.", "Go on with it?"
        ways = f"Go on with it: orch resume {folder.name}"
    else:
        message = "\n  ".join([f"{so_far}, and the plan was edited since:", *edit_lines(replan.edit)])
        question = "Go on with the plan as it is now?"
        ways = f"Go on with the plan as it is now: orch resume {folder.name} --plan {plan}\n{as_it_was}"
    asked = sys.stdin.isatty() and sys.stdout.isatty()
    if not (asked and click.confirm(f"{message}\n{question}", default=True)):
        raise UsageError(message, hint=f"{ways}\n{another}")


def _checked_run_id(run_id: str) -> str:
    import re

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", run_id) or len(run_id) > 100:
        raise click.BadParameter(
            f"{run_id!r} cannot be part of a branch name; use letters, digits, '-' and '_'.", param_hint="--run"
        )
    return run_id


async def _with_signals(begin: Callable[[Recorder], Run], recorder: Recorder, heartbeat: float) -> tuple[Report, bool]:
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
        if received and number is signal.SIGHUP:
            return  # a terminal that closes sends it twice, once by its shell: that is nobody's second word
        received += 1
        if received > 1 or recorder.state.started is None:
            main_task.cancel()
            end_all()
            return
        recorder.emit(happened.StopRequested(reason=f"interrupted by {number.name}", lands=False))
        stop_agents.set()
        stop_gates.set()

    for number in _STOP_SIGNALS:
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # `nohup orch run`
            loop.add_signal_handler(number, on_signal, number)
    try:
        report = await begin(recorder).go(stop_agents=stop_agents, stop_gates=stop_gates, heartbeat=heartbeat)
    except asyncio.CancelledError:
        if recorder.state.started is not None:
            name = recorder.state.started.run
            click.echo(f"The run {name} was ended at once. Go on with it: orch resume {name}", err=True)
        raise KeyboardInterrupt from None
    return report, received > 0
