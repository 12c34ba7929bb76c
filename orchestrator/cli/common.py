"""What several commands share: the repository option, and which run is meant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.git.repository import Repository

__all__ = ["json_option", "open_repository", "repo_option", "run_folder"]


def repo_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--repo DIR`."""
    return click.option(
        "--repo", type=click.Path(path_type=Path), help="The repository (default: the one around this folder)."
    )(command)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for other programs.")(command)


def open_repository(repo: Path | None) -> Repository:
    """Find the repository that a command is about.

    Raises:
        UsageError: there is none.
    """
    from orchestrator.git.repository import Repository

    if repo is not None and not repo.is_dir():
        raise UsageError(f"{repo} is not a folder.")
    return Repository.open(repo or Path.cwd())


def run_folder(repository: Repository, run: str | None) -> Path:
    """Return the folder of the named run, or of the newest one.

    Raises:
        UsageError: there is no such run, or none at all.
    """
    runs = {folder.name: folder for folder in repository.runs() if (folder / "journal.jsonl").is_file()}
    if not runs:
        raise UsageError("No run is remembered in this repository.", hint="Start one with `orch run PLAN`.")
    if run is None:
        return next(iter(runs.values()))
    if run not in runs:
        raise UsageError(f"There is no run {run}.", hint=f"The newest are: {', '.join(list(runs)[:5])}.")
    return runs[run]
