"""`orch compare`: modes against each other, with statistics that say what they are worth."""

from __future__ import annotations

import json
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.common import json_option, repo_option, say
from orchestrator.cli.trying import jobs_of, modes_of, try_out
from orchestrator.errors import ExitCode, UsageError

__all__ = ["compare"]

_FILE = click.Path(path_type=Path)
_LIBRARIES = ("matplotlib", "numpy", "scipy", "statsmodels")


# Options that say how trials are made.
_MAKING = ("repo", "modes", "trials", "jobs", "warm_up", "seed", "judge", "judgements")


@click.command(short_help="Compare modes: on a plan, on a simulated model, or on recorded trials.")
@click.argument("plan", type=_FILE, required=False)
@click.option("--simulate", "simulation", type=_FILE, metavar="SPEC.yaml", help="Instead of PLAN: a simulated model.")
@click.option("--from", "source", type=_FILE, metavar="TRIALS.csv", help="Instead of PLAN: recorded trials.")
@click.option("--modes", default="sequential,worktree,crdt", show_default=True, help="The modes to try.")
@click.option("--trials", type=click.IntRange(1, 10_000), default=5, show_default=True, help="How many in each mode.")
@click.option("--jobs", help="Agents at once, or several numbers to try: 1,4,16 (default: the plan's).")
@click.option(
    "--warm-up",
    type=click.IntRange(0, 100),
    default=0,
    show_default=True,
    help="Trials of each mode that do not count.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Decides the order of the trials.")
@click.option("--judge", metavar="MODEL", help="A model of Anthropic's that scores what the trials wrote.")
@click.option(
    "--judgements", type=click.IntRange(1, 100), default=3, show_default=True, help="How often it scores each trial."
)
@click.option("--published", type=_FILE, metavar="FILE.json", help="Stated results, to be checked against the trials.")
@click.option("--outputs", type=_FILE, metavar="FILE.jsonl", help="The files that the trials wrote, plain or gzipped.")
@click.option(
    "--out", type=_FILE, required=True, metavar="DIR", help="A folder for trials and report; made if it is not there."
)
@repo_option
@json_option
@click.pass_context
def compare(
    context: click.Context, *, plan: Path | None, simulation: Path | None, source: Path | None, modes: str, trials: int,
    jobs: str | None, warm_up: int, seed: int, judge: str | None, judgements: int, published: Path | None,
    outputs: Path | None, out: Path, repo: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Run PLAN in each mode again and again, in copies of the repository; analyse the trials, and write a report.

    Each trial is added to DIR/trials.csv when it ends; the same command goes on where an earlier one was ended. The report is
    report.html, report.md, report.json, tables/ and plots/ in DIR.
    """
    if missing := [name for name in _LIBRARIES if find_spec(name) is None]:
        raise UsageError(
            f"`orch compare` needs {', '.join(missing)}.",
            hint="Install them: pip install '.[compare]' in orch's own folder.",
        )
    if [plan, simulation, source].count(None) != 2:
        raise click.UsageError("Name one of these: a PLAN, --simulate SPEC.yaml, or --from TRIALS.csv.")
    read = [] if source is None else [name for name in _MAKING if _given(context, name)]
    if read:
        raise click.UsageError(f"--{read[0].replace('_', '-')} says how trials are made; with --from they are there.")
    if judge is None and _given(context, "judgements"):
        raise click.UsageError("--judgements says how often a judge scores; name one with --judge.")
    if source is None:
        source = try_out(
            plan, simulation, out, repo=repo, modes=modes_of(modes), jobs=jobs_of(jobs), trials=trials, warm_up=warm_up,
            seed=seed, judge=(judge, judgements) if judge else None,
        )  # fmt: skip
    report = _reported(source, published, outputs, out)
    say([json.dumps(report)] if as_json else _summary(report, out))
    return ExitCode.LANDED


def _given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT


def _reported(source: Path, published: Path | None, outputs: Path | None, out: Path) -> dict[str, Any]:
    """Analyse trials, write the report, and return what `report.json` holds."""
    from orchestrator.compare.analysis import analyse
    from orchestrator.compare.outputs import outputs_part, read_outputs, with_parses
    from orchestrator.compare.published import read_published
    from orchestrator.compare.report_folder import Origin, write_report
    from orchestrator.compare.trials import read_trials

    trials = read_trials(source)
    stated = read_published(published) if published else {}
    written = read_outputs(outputs) if outputs else ()
    analysis = analyse(with_parses(trials, written), stated)
    origin = Origin(
        command=_command(source, published, outputs, out), files=tuple(f for f in (source, published, outputs) if f)
    )
    return write_report(analysis, origin, outputs_part(written) if written else None, out)


def _command(source: Path, published: Path | None, outputs: Path | None, out: Path) -> str:
    options = [("--from", source), ("--published", published), ("--outputs", outputs), ("--out", out)]
    return shlex.join(["orch", "compare", *(str(word) for name, path in options if path for word in (name, path))])


def _summary(report: dict[str, Any], out: Path) -> list[str]:
    tasks = [f"{each['task']}: {each['advice']} ({each['sure']})" for each in report["tables"]["advice"]]
    notice = ["Simulation: these trials are of a simulated model."] if report["simulated"] else []
    stated = report["said"].get("Stated results against these trials", [])
    return [*notice, *report["said"]["Which mode"], *tasks, *stated[:2], f"The report: {out / 'report.html'}"]
