"""`orch compare PLAN`: makes the trials that are then compared."""

from __future__ import annotations

import os
import signal
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.common import open_repository
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.compare.judge import Judge
    from orchestrator.compare.series import Series
    from orchestrator.compare.series_folder import SeriesFolder
    from orchestrator.compare.sources import Source
    from orchestrator.model.formats import Mode

__all__ = ["jobs_of", "modes_of", "try_out"]

_MODES: dict[str, Mode] = {"sequential": "sequential", "worktree": "worktree", "crdt": "crdt"}


def modes_of(text: str) -> tuple[Mode, ...]:
    """Return the modes that an option names."""
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in _MODES]:
        raise click.BadParameter(f"{unknown[0]!r} is no mode; there are {', '.join(_MODES)}.", param_hint="--modes")
    return tuple(_MODES[name] for name in dict.fromkeys(names))


def jobs_of(text: str | None) -> tuple[int, ...] | None:
    """Return the numbers of agents that an option names; None if it is left out."""
    if text is None:
        return None
    numbers = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdecimal() and 1 <= int(word) <= 1000 for word in numbers):
        raise click.BadParameter(
            f"{text!r} is no list of numbers from 1 to 1000; write 4, or 1,4,16.", param_hint="--jobs"
        )
    return tuple(sorted({int(word) for word in numbers}))


def try_out(
    plan: Path | None, simulation: Path | None, out: Path, *, repo: Path | None, modes: tuple[Mode, ...],
    jobs: tuple[int, ...] | None, trials: int, warm_up: int, seed: int, judge: tuple[str, int] | None,
) -> Path:  # fmt: skip
    """Make trials of a plan, or of a simulation, and return their file; `judge` is a model, and how often it judges.

    Raises:
        UsageError: there are not two arms, the plan does not fit a mode, the folder is of other trials, or nobody can judge.
        KeyboardInterrupt: a signal has ended it; the trials so far are kept.
    """
    from orchestrator.compare.judge import open_judge, refuse_another
    from orchestrator.compare.series import Series
    from orchestrator.compare.series_folder import opened
    from orchestrator.git.command import Git
    from orchestrator.plan_of_run import agents_for, in_mode

    with _work_folder() as work:
        source = _source(plan, simulation, repo, seed, work)
        slots = jobs or (source.loaded.plan.limits.jobs or os.cpu_count() or 1,)
        for mode in modes:
            agents_for(in_mode(source.loaded, mode), slots[0])
        series = Series(modes=modes, jobs=slots, trials=trials, warm_up=warm_up, seed=seed)
        if len(modes) == 1 and (modes[0] == "sequential" or len(slots) == 1):
            raise UsageError(
                f"There is nothing to compare: only mode {modes[0]} was asked for.",
                hint="Name a second one in --modes.",
            )
        judging = open_judge(*judge, seed) if judge else None
        if source.simulated:
            click.echo("Simulation: what writes here is a simulated model.", err=True)
        with opened(out, source, seed, Git(git_dir=work, cwd=work)) as folder:
            if judging is not None:
                refuse_another(judging, folder.trials)
            if not _made(series, source, folder, work, judging):
                click.echo(f"The trials so far are in {folder.rows}. The same command goes on.", err=True)
                raise KeyboardInterrupt
            return folder.rows


@contextmanager
def _work_folder() -> Iterator[Path]:
    """Lend a folder in no repository, and not the user's; those that killed comparisons have left go first."""
    from orchestrator.leftovers.owned_folder import COMPARISON, delete_left, delete_with_runs, left_in, owned_folder

    above = Path(tempfile.gettempdir())
    for left in left_in(above, COMPARISON):
        why = delete_left(left)
        done = f"it could not be removed: {why}" if why else "removed"
        click.echo(f"{left}: left by an `orch compare` that was killed; {done}.", err=True)
    with owned_folder(COMPARISON, above) as work:
        try:
            yield work
        finally:
            delete_with_runs(work)


def _source(plan: Path | None, simulation: Path | None, repo: Path | None, seed: int, work: Path) -> Source:
    from orchestrator.base_branch import open_base
    from orchestrator.compare.simulate import read_simulation
    from orchestrator.compare.sources import PlanSource, SimulationSource
    from orchestrator.planfile import load_plan
    from orchestrator.worktrees.home import worktrees_home

    if simulation is not None:
        return SimulationSource.of(read_simulation(simulation), seed, work)
    assert plan is not None, "one of the two is there"
    loaded, repository = load_plan(plan), open_repository(repo)
    base = open_base(repository, loaded.plan.base, worktrees_home(repository))
    return PlanSource.of(loaded, repository, base, work)


def _made(series: Series, source: Source, folder: SeriesFolder, work: Path, judge: Judge | None) -> bool:
    """Make the trials, and have them judged; return whether all were. The first signal cuts off politely, the second at once."""
    import asyncio

    from orchestrator.compare.judge import judge_trials, text_of_task
    from orchestrator.compare.series import make_trials
    from orchestrator.processes.orphans import adopting

    def tell(line: str) -> None:
        click.echo(line, err=True)

    async def with_signals() -> bool:
        stop, main_task = asyncio.Event(), asyncio.current_task()
        assert main_task is not None

        def on_signal() -> None:
            if stop.is_set():
                main_task.cancel()
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup orch compare`
                asyncio.get_running_loop().add_signal_handler(number, on_signal)
        async with adopting():  # the agents of a trial whose own orch is killed are ended with it
            await make_trials(series, source, folder, work, stop=stop, tell=tell)
        if judge is not None and not stop.is_set():
            await judge_trials(judge, text_of_task(source.loaded.plan), folder, stop=stop, tell=tell)
        return not stop.is_set()

    try:
        return asyncio.run(with_signals())
    except asyncio.CancelledError:
        return False
