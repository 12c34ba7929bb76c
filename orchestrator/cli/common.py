"""What several commands share: the repository option, and which run is meant."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from orchestrator.git.repository import Repository
    from orchestrator.model.state import RunState

__all__ = [
    "json_option",
    "named_run",
    "open_repository",
    "remembered",
    "repo_option",
    "run_folder",
    "run_folders",
    "say",
]


_LOOKED_AT = 50  # of the runs, when one is looked for by what became of it


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


def run_folders(repository: Repository) -> list[Path]:
    """Return the folders of the runs that this repository remembers, newest first."""
    return [folder for folder in repository.runs() if (folder / "journal").is_file()]


def remembered(repository: Repository) -> Iterator[tuple[Path, RunState]]:
    """Yield folder and state of the newest runs, newest first; one whose journal cannot be read is passed over."""
    from orchestrator.errors import StoreError
    from orchestrator.journal.journal import state_in

    for folder in run_folders(repository)[:_LOOKED_AT]:
        with contextlib.suppress(StoreError):
            yield folder, state_in(folder / "journal")


def run_folder(repository: Repository, run: str | None) -> Path:
    """Return the folder of the named run (a part of its name will do), or of the newest one.

    Raises:
        UsageError: there is no such run, or none at all.
    """
    folders = run_folders(repository)
    if not folders:
        raise UsageError("No run is remembered in this repository.", hint="Start one with `orch run PLAN`.")
    if run is None:
        return folders[0]
    name = named_run([folder.name for folder in folders], run)
    return next(folder for folder in folders if folder.name == name)


def named_run(names: Sequence[str], run: str) -> str:
    """Return which of these runs, newest first, is meant by a name or a part of one.

    Raises:
        UsageError: none of them, or more than one.
    """
    found = [name for name in names if name == run] or [name for name in names if run in name]
    if len(found) == 1:
        return found[0]
    some = ", ".join((found or names)[:5])
    if found:
        raise UsageError(f"More than one run has {run} in its name.", hint=f"They are: {some}.")
    raise UsageError(
        f"There is no run {run}.", hint=f"The newest are: {some}." if some else "No run has left anything here."
    )


def say(lines: Iterable[str], *, at_once: bool = False) -> None:
    """Print lines, each as soon as it is known if `at_once`; a reader who goes away, as `| head` does, is no fault of ours."""
    try:
        for line in lines:
            sys.stdout.write(f"{line}\n")
            if at_once:
                sys.stdout.flush()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains again at its end
