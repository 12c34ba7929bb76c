"""Commands about plans: `check` reads one, `plan from-history` makes one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.common import json_option, open_repository, repo_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.planfile import LoadedPlan

__all__ = ["check", "plan"]


@click.command()
@click.argument("plan_path", metavar="PLAN", type=click.Path(path_type=Path))
@repo_option
@json_option
def check(*, plan_path: Path, repo: Path | None, as_json: bool) -> None:
    """Name all that is wrong with PLAN, and show its order."""
    from orchestrator.agents.registry import agents_of
    from orchestrator.base_branch import open_base
    from orchestrator.model.graph import waves
    from orchestrator.planfile import load_plan
    from orchestrator.worktrees_home import worktrees_home

    loaded = load_plan(plan_path)
    agents_of(loaded.plan, loaded.path.name)
    if repo is not None:  # a plan can be read without a repository; with one, its base branch must be there
        repository = open_repository(repo)
        open_base(repository, loaded.plan.base, worktrees_home(repository))
    order = waves({task.id: task.needs for task in loaded.plan.tasks})
    if as_json:
        click.echo(
            json.dumps({"plan": loaded.plan.name, "waves": [list(w) for w in order], "warnings": list(loaded.warnings)})
        )
        return
    click.echo("\n".join([*_overview(loaded, [list(w) for w in order]), *loaded.warnings]))


def _overview(loaded: LoadedPlan, order: list[list[str]]) -> Iterator[str]:
    plan = loaded.plan
    counts = {"task": len(plan.tasks), "track": len(plan.tracks), "contract file": len(plan.contracts.files)}
    yield f"{plan.name}: " + ", ".join(f"{n} {word}{'s' * (n != 1)}" for word, n in counts.items()) + "."
    for number, wave in enumerate(order, start=1):
        yield f"Wave {number}: {', '.join(wave)}"
    for task in plan.tasks:
        needs = f", after {', '.join(task.needs)}" if task.needs else ""
        yield f"  {task.id}: {task.title or task.id} ({task.agent}{needs}); may write {_few(plan.owned(task))}"
    gates = ", ".join(gate.name for gate in plan.gates)
    yield (
        f"Gates on each merged tree: {gates}."
        if gates
        else "No gates: what merges, lands. Add `gates:` to test it first."
    )


def _few(globs: tuple[str, ...]) -> str:
    more = f" and {len(globs) - 5} more" if len(globs) > 5 else ""
    return (", ".join(globs[:5]) or "nothing") + more


@click.group()
def plan() -> None:
    """Make plans."""


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
