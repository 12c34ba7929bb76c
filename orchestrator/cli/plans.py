"""Commands about plans: `check` reads one, `plan` makes them, `init` makes a first one by hand."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.common import json_option, open_repository, remembered, repo_option

if TYPE_CHECKING:
    from orchestrator.git.repository import Repository

__all__ = ["check", "init", "plan"]


@click.command(short_help="Name all that is wrong with a plan, and show its order.")
@click.argument("plan_path", metavar="PLAN", type=click.Path(path_type=Path))
@repo_option
@json_option
def check(*, plan_path: Path, repo: Path | None, as_json: bool) -> None:
    """Name all that is wrong with PLAN, and show its order."""
    from orchestrator.agents.registry import agents_of
    from orchestrator.base_branch import open_base
    from orchestrator.cli.overview import overview
    from orchestrator.compare.coupling import coupling_lines, coupling_of_plan
    from orchestrator.compare.sources import texts_at
    from orchestrator.model.graph import waves
    from orchestrator.model.payoff import payoff_of
    from orchestrator.plan_of_run import in_mode
    from orchestrator.planfile import load_plan
    from orchestrator.worktrees.home import worktrees_home

    loaded = load_plan(plan_path)
    agents_of(loaded)
    in_mode(loaded, "worktree")  # tracks that are worked together must fit that
    landings: list[float] = []
    texts: dict[str, str] = {}
    if repo is not None:  # a plan can be read without a repository; with one, its base branch must be there
        repository = open_repository(repo)
        base = open_base(repository, loaded.plan.base, worktrees_home(repository))
        landings, texts = _landings(repository), texts_at(repository, base.tip(), loaded.plan)
    needs = {task.id: task.needs for task in loaded.plan.tasks}
    payoff = payoff_of(needs, loaded.plan.limits.jobs or os.cpu_count() or 1, landings)
    if as_json:
        said = {
            "plan": loaded.plan.name,
            "waves": [list(wave) for wave in waves(needs)],
            "payoff": {**asdict(payoff), "break_even": payoff.break_even},
            "coupling": coupling_of_plan(loaded, texts).share,
            "warnings": list(loaded.warnings),
        }
        click.echo(json.dumps(said))
        return
    click.echo("\n".join([*overview(loaded), *payoff.lines(), *coupling_lines(loaded, texts), *loaded.warnings]))


def _landings(repository: Repository) -> list[float]:
    """Return the seconds that merging, gates and landing took of each task that has landed in the newest runs."""
    return [task.landing_seconds for _, state in remembered(repository) for task in state.tasks.values() if task.landed]


class _PlanGroup(click.Group):
    """Takes what is no command for requirements: `orch plan "a shop with carts"`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None:
            return super().resolve_command(ctx, ["from-requirements", *args])
        return super().resolve_command(ctx, args)


@click.group(cls=_PlanGroup, short_help="Let an agent write a plan, or make one of a history.")
def plan() -> None:
    """Make plans: from a history, or let an agent write one: orch plan "WHAT IS WANTED" --kind anthropic."""


@plan.command("from-requirements")
@click.argument("requirements")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("plan"), show_default=True, help="A new folder for it."
)
@click.option("--kind", type=click.Choice(["anthropic", "command", "acp"]), default="anthropic", show_default=True)
@click.option("--model", help="The model that is to write it.")
@click.option("--preset", help="A known coding program, for --kind command.")
@click.option(
    "--command", "program", help="Any program that reads its task on standard input, for --kind command or acp."
)
@click.option("--attempts", type=click.IntRange(1, 20), default=5, show_default=True)
@click.option("--yes", is_flag=True, help="Run the plan at once, without asking.")
@repo_option
def from_requirements(
    *, requirements: str, out: Path, kind: str, model: str | None, preset: str | None, program: str | None, attempts: int,
    yes: bool, repo: Path | None,
) -> int:  # fmt: skip
    """Let an agent write a plan and contracts for REQUIREMENTS, until the plan is valid; show it, and ask whether to run it."""
    from orchestrator.cli.architect import write_plan

    given = {"kind": kind, "model": model, "preset": preset, "command": program}
    spec = {key: value for key, value in given.items() if value is not None}
    return write_plan(open_repository(repo), requirements, spec, attempts=attempts, out=out, run_it=yes or None)


@plan.command("from-history")
@click.argument("repo", type=click.Path(path_type=Path))
@click.argument("revisions", metavar="A..B")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="A new folder for plan.yaml and its patches."
)
@json_option
def from_history(*, repo: Path, revisions: str, out: Path, as_json: bool) -> None:
    """Turn the first-parent commits A..B of REPO into a plan: one task a commit, one patch a task."""
    from orchestrator.git import query
    from orchestrator.history import plan_from_history

    repository = open_repository(repo)
    folder = repository.work_tree or repository.common_dir
    name = re.sub(r"[^a-z0-9]+", "-", folder.name.lower().removesuffix(".git")).strip("-")[:40] or "history"
    count = plan_from_history(repository.own, f"{name}-history", revisions, out)
    if as_json:
        click.echo(json.dumps({"plan": str(out / "plan.yaml"), "tasks": count}))
        return
    start = query.resolve(repository.own, revisions.partition("..")[0])
    tasks = f"{count} task{'s' * (count != 1)}"
    click.echo(f"{out / 'plan.yaml'}: {tasks}. Run it on a clone that stands at {start}.")


@click.command(short_help="Write a first plan, to be filled in by hand.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("plan.yaml"), show_default=True, help="A new file."
)
@repo_option
def init(*, out: Path, repo: Path | None) -> None:
    """Write a first plan for the repository, to be filled in by hand."""
    from orchestrator.errors import UsageError
    from orchestrator.files import write_whole
    from orchestrator.git import query
    from orchestrator.planfile.scaffold import scaffold

    repository = open_repository(repo)
    if out.exists():
        raise UsageError(f"{out} is there already; nothing was written.", hint="Name another file with --out.")
    commit = query.resolve(repository.own, "HEAD")
    folder = repository.work_tree or repository.common_dir
    name = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-")[:60] or "plan"
    write_whole(out, scaffold(name, query.files_at(repository.own, commit).keys() if commit else ()).encode())
    click.echo(f"{out} is written. Fill it in, then: orch check {out}")
