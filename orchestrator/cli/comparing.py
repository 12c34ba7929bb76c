"""`orch compare`: modes against each other, with statistics that say what they are worth."""

from __future__ import annotations

import json
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.common import json_option, say
from orchestrator.errors import ExitCode, UsageError

__all__ = ["compare"]

_FILE = click.Path(path_type=Path)
_LIBRARIES = ("matplotlib", "numpy", "scipy", "statsmodels")


@click.command(short_help="Compare modes on recorded trials.")
@click.option(
    "--from", "source", type=_FILE, required=True, metavar="TRIALS.csv", help="Recorded trials, a row for each."
)
@click.option("--published", type=_FILE, metavar="FILE.json", help="Stated results, to be checked against the trials.")
@click.option("--outputs", type=_FILE, metavar="FILE.jsonl", help="The files that the trials wrote, plain or gzipped.")
@click.option(
    "--out", type=_FILE, required=True, metavar="DIR", help="A folder for the report; made if it is not there."
)
@json_option
def compare(*, source: Path, published: Path | None, outputs: Path | None, out: Path, as_json: bool) -> int:
    """Analyse recorded trials of two or more modes, and write a report: report.html, report.md, report.json, tables/, plots/."""
    if missing := [name for name in _LIBRARIES if find_spec(name) is None]:
        raise UsageError(
            f"`orch compare` needs {', '.join(missing)}.", hint="Install them: pip install '.[compare]' in orch's own folder."
        )
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
    report = write_report(analysis, origin, outputs_part(written) if written else None, out)
    say([json.dumps(report)] if as_json else _summary(report, out))
    return ExitCode.LANDED


def _command(source: Path, published: Path | None, outputs: Path | None, out: Path) -> str:
    options = [("--from", source), ("--published", published), ("--outputs", outputs), ("--out", out)]
    return shlex.join(["orch", "compare", *(str(word) for name, path in options if path for word in (name, path))])


def _summary(report: dict[str, Any], out: Path) -> list[str]:
    tasks = [f"{each['task']}: {each['advice']} ({each['sure']})" for each in report["tables"]["advice"]]
    notice = ["Simulation: these trials are of a simulated model."] if report["simulated"] else []
    stated = report["said"].get("Stated results against these trials", [])
    return [*notice, *report["said"]["Which mode"], *tasks, *stated[:2], f"The report: {out / 'report.html'}"]
