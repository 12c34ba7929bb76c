"""`orch doctor`: check the machine, and repair what killed processes have left."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.common import json_option, open_repository, repo_option, say
from orchestrator.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.doctor import Found, Machine

__all__ = ["doctor"]


@click.command(short_help="Check the machine, and repair what killed processes have left.")
@click.option("--dry-run", is_flag=True, help="Only say what was found, and what would be done.")
@click.option("--probe", metavar="AGENT", help="Only let this agent show that it can read, edit, run and report.")
@click.option(
    "--plan", type=click.Path(path_type=Path), help="The plan that has the agent (default: plan.yaml, if it is here)."
)
@click.option(
    "--within",
    type=click.FloatRange(min=1, max=3600),
    default=30.0,
    show_default=True,
    help="Seconds that a probe may take.",
)
@repo_option
@json_option
def doctor(
    *, dry_run: bool, probe: str | None, plan: Path | None, within: float, repo: Path | None, as_json: bool
) -> int:  # fmt: skip
    """Check the machine; find what killed processes and runs have left, and repair what nobody can need.

    It ends with 1 if something is wrong that was not repaired, or if an agent has not passed its probe.
    """
    if probe is not None:
        from orchestrator.cli.probing import probe_agent

        return probe_agent(open_repository(repo), probe, plan, within, as_json=as_json)
    from orchestrator.doctor import examine, lines_on, look_at_machine, problems_of
    from orchestrator.model.text import clean_text
    from orchestrator.worktrees.home import worktrees_home

    repository = open_repository(repo)
    home, no_home = None, ""
    try:
        home = worktrees_home(repository)
    except UsageError as error:
        no_home = f"{error.message} {error.hint}"
    machine = look_at_machine(repository, home, no_home)
    found: list[Found] = []
    if as_json:
        found += examine(repository, home, dry_run=dry_run)
        say([json.dumps(_as_json(machine, found))])
    else:
        say(lines_on(machine))
        for each in examine(repository, home, dry_run=dry_run):
            found.append(each)
            say([clean_text(each.sentence)])
        say([_summary(found)])
    wrong = problems_of(machine) or any(each.is_wrong for each in found)
    return ExitCode.NOT_LANDED if wrong else ExitCode.LANDED


def _as_json(machine: Machine, found: Iterable[Found]) -> dict[str, Any]:
    from orchestrator.doctor import problems_of

    return {
        "machine": {**asdict(machine), "problems": problems_of(machine)},
        "found": [
            {
                "kind": each.leftover.kind.value,
                "name": each.leftover.name,
                "outcome": each.outcome.value,
                "text": each.sentence,
            }
            for each in found
        ],
    }


def _summary(found: list[Found]) -> str:
    from orchestrator.doctor import Outcome

    wrong = sum(each.is_wrong for each in found)
    done = sum(each.outcome is Outcome.REPAIRED for each in found)
    if not wrong and not done:
        return "Nothing has to be repaired."
    return f"{done} repaired, {wrong} left."
