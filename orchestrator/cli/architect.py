"""`orch plan REQUIREMENTS`: lets an agent write a plan, shows it, and asks whether to run it."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.git.repository import Repository

__all__ = ["write_plan"]

_AGENT = "coder"


def write_plan(
    repository: Repository, requirements: str, spec: Mapping[str, Any], *, attempts: int, out: Path, run_it: bool | None
) -> int:
    """Let an agent write a plan into `out`, show it, and run it if that is wanted (None: ask, if somebody can answer).

    Raises:
        PlanError: the agent cannot be started.
        UsageError: there is nothing to plan for, or the folder is taken.
    """
    from orchestrator.architect import bring_plan, own_repository, plan_for, refuse_taken
    from orchestrator.cli.overview import overview
    from orchestrator.cli.running import execute
    from orchestrator.files import delete
    from orchestrator.planfile import load_plan
    from orchestrator.run import begin_run, new_run_id

    refuse_taken(out)  # before an agent is paid for
    folder = Path(tempfile.mkdtemp(prefix=".architect-", dir=_place(repository)))
    text = folder / "plan.yaml"
    text.write_text(plan_for(requirements, _AGENT, spec, attempts))
    loaded, own = load_plan(text), own_repository(repository, "HEAD", folder)
    name = f"architect-{secrets.token_hex(2)}"
    code = execute(own, lambda recorder: begin_run(loaded, own, run=name, jobs=1, recorder=recorder))
    if code is not ExitCode.LANDED:
        click.echo(f"No plan was written. What was tried is in {folder}.", err=True)
        return code
    files = bring_plan(own, out)
    delete(folder)
    click.echo(f"\n{out}: {', '.join(files)}\n")
    planned = load_plan(out / "plan.yaml")
    click.echo("\n".join(overview(planned)))
    if run_it is None:
        run_it = sys.stdin.isatty() and click.confirm("\nRun it now?", default=False)
    if not run_it:
        click.echo(f"\nRun it: orch run {out / 'plan.yaml'}")
        return ExitCode.LANDED
    name = new_run_id(planned.plan.name, time.strftime("%Y-%m-%d"))
    slots = planned.plan.limits.jobs or os.cpu_count() or 1
    return execute(repository, lambda recorder: begin_run(planned, repository, run=name, jobs=slots, recorder=recorder))


def _place(repository: Repository) -> Path:
    repository.runs_folder.mkdir(exist_ok=True)
    return repository.runs_folder
