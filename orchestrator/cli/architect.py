"""`orch plan REQUIREMENTS`: lets an agent write a plan, shows it, and asks whether to run it."""

from __future__ import annotations

import os
import secrets
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from orchestrator.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

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
    from orchestrator.architect import refuse_taken
    from orchestrator.cli.overview import overview
    from orchestrator.cli.running import execute
    from orchestrator.planfile import load_plan
    from orchestrator.run import begin_run, new_run_id

    refuse_taken(out)  # before an agent is paid for
    code, files = _written(repository, requirements, spec, attempts, out)
    if code is not ExitCode.LANDED:
        return code
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


def _written(
    repository: Repository, requirements: str, spec: Mapping[str, Any], attempts: int, out: Path
) -> tuple[int, list[str]]:
    """Let an agent write a plan into `out`; return the exit code of its run, and the names of the files."""
    from orchestrator.architect import bring_plan, own_repository, plan_for
    from orchestrator.cli.running import execute
    from orchestrator.files import delete
    from orchestrator.leftovers.owned_folder import ARCHITECT, owned_folder
    from orchestrator.planfile import load_plan
    from orchestrator.run import begin_run

    with owned_folder(ARCHITECT, _place(repository)) as folder:
        text = folder / "plan.yaml"
        text.write_text(plan_for(requirements, _AGENT, spec, attempts))
        loaded, own = load_plan(text), own_repository(repository, "HEAD", folder)
        name = f"architect-{secrets.token_hex(2)}"
        code = execute(own, lambda recorder: begin_run(loaded, own, run=name, jobs=1, recorder=recorder))
        if code is not ExitCode.LANDED:
            click.echo(f"No plan was written. What was tried is in {folder}; `orch recover` lists it.", err=True)
            return code, []
        files = bring_plan(own, out)
        delete(folder)
        return code, files


def _place(repository: Repository) -> Path:
    repository.runs_folder.mkdir(exist_ok=True)
    return repository.runs_folder
