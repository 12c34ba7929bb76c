"""Commands that only look: `status`, `log`, `board`, `blame`."""

from __future__ import annotations

import json
import os
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.common import json_option, open_repository, remembered, repo_option, run_folder, say
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.git.repository import Repository
    from orchestrator.provenance import AllLines, Origin

__all__ = ["blame", "board", "log", "status"]


@click.command()
@click.argument("run", required=False)
@repo_option
@json_option
def status(*, run: str | None, repo: Path | None, as_json: bool) -> None:
    """Show where RUN (default: the newest) stands."""
    from orchestrator.journal import is_free, state_in
    from orchestrator.model.state import TaskStatus
    from orchestrator.model.text import clean_text

    folder = run_folder(open_repository(repo), run)
    state = state_in(folder / "journal")
    rows = [
        {
            "id": task_id,
            "status": task.status.value,
            "generation": task.generation,
            "reason": clean_text(task.reason) or None,
        }
        for task_id, task in state.tasks.items()
    ]
    over = state.ended.status if state.ended else "not ended"
    if as_json:
        say([json.dumps({"run": folder.name, "status": over, "tasks": rows})])
        return
    landed = len(state.with_status(TaskStatus.LANDED))
    lines = [f"{folder.name}: {over}, {landed} of {len(rows)} task{'s' * (len(rows) != 1)} landed"]
    lines += [
        f"  {row['id']:24} {row['status']:10} gen {row['generation']}  {row['reason'] or ''}".rstrip() for row in rows
    ]
    if over != "landed":
        free = is_free(folder / "journal")
        lines.append(f"Go on with it: orch resume {folder.name}" if free else "A process is working on it.")
    say(lines)


@click.command()
@click.argument("run", required=False)
@click.option("--task", help="Only what happened to this task.")
@click.option("--follow", is_flag=True, help="Go on until the run has ended.")
@repo_option
@json_option
def log(*, run: str | None, task: str | None, follow: bool, repo: Path | None, as_json: bool) -> None:
    """Show what happened in RUN (default: the newest), in order."""
    from orchestrator.journal import follow_journal, read_journal, state_in
    from orchestrator.model.events import event_as_json
    from orchestrator.model.sentences import sentence_for

    journal = run_folder(open_repository(repo), run) / "journal"
    if task is not None and task not in state_in(journal).all_tasks:
        raise UsageError(f"The run {journal.parent.name} has no task {task}.")
    say(
        json.dumps({"at": at, **event_as_json(event)})
        if as_json
        else f"{time.strftime('%H:%M:%S', time.localtime(at))}  {sentence_for(event)}"
        for at, event in (follow_journal(journal) if follow else read_journal(journal))
        if (task is None or getattr(event, "task", None) == task) and (as_json or sentence_for(event))
    )


@click.command()
@click.argument("run", required=False)
@repo_option
@json_option
def board(*, run: str | None, repo: Path | None, as_json: bool) -> None:
    """Show the shared board of RUN (default: the newest) as text."""
    from orchestrator.board.log import read_board
    from orchestrator.board.snapshot import render, take

    folder = run_folder(open_repository(repo), run)
    seen = take(read_board(folder / "board.log"))
    say([json.dumps(seen.as_json()) if as_json else render(seen)])


@click.command()
@click.argument("place", metavar="[PATH[:LINE]]", required=False)
@click.option("--task", help="Show which lines this task wrote, in all files.")
@click.option("--all", "everything", is_flag=True, help="Show what each task, agent and model wrote, in all files.")
@click.option("--rev", help="At this revision (default: the newest run's base branch, else HEAD).")
@repo_option
@json_option
def blame(
    *, place: str | None, task: str | None, everything: bool, rev: str | None, repo: Path | None, as_json: bool
) -> None:
    """Tell who wrote each line of PATH, which lines a task wrote, or how much each wrote of all files."""
    from orchestrator.provenance import all_lines, lines_of_task, origins

    if (place is not None) + (task is not None) + everything != 1:
        raise click.UsageError("Say either PATH[:LINE], --task ID or --all.")
    repository = open_repository(repo)
    revision = rev or _base_of_newest_run(repository)
    if everything:
        total = all_lines(repository.own, revision)
        say([json.dumps(total.as_json())] if as_json else _tables(total))
        return
    if task is not None:
        files = lines_of_task(repository.own, revision, task)
        spans = {p: ", ".join(f"{a}-{b}" if a != b else str(a) for a, b in found) for p, found in files.items()}
        say([json.dumps({"task": task, "files": files})] if as_json else (f"{p}: {text}" for p, text in spans.items()))
        return
    assert place is not None
    path, line = _split_place(repository, place)
    found = origins(repository.own, revision, path, line)
    say(json.dumps(origin.as_json()) if as_json else _blame_line(origin) for origin in found)


def _base_of_newest_run(repository: Repository) -> str:
    from orchestrator.git import query

    for _, state in remembered(repository):
        if state.started is not None and query.tip(repository.own, state.started.base):
            return f"refs/heads/{state.started.base}"
    return "HEAD"


def _split_place(repository: Repository, place: str) -> tuple[str, int | None]:
    """Return the path as git stores it, and the line; a file whose name ends in `:7` is found first."""
    path, colon, number = place.rpartition(":")
    line = int(number) if colon and number.isdigit() and not _exists(repository, place) else None
    return _from_root(repository, path if line is not None else place), line


def _exists(repository: Repository, place: str) -> bool:
    return (Path.cwd() / place).is_file() or bool(repository.work_tree and (repository.work_tree / place).is_file())


def _from_root(repository: Repository, path: str) -> str:
    """Return a path that counts from here as one that counts from the repository's root, if here is inside it."""
    root, here = repository.work_tree, Path.cwd().resolve()
    if root is None or not here.is_relative_to(root):
        return path if not (root and Path(path).is_absolute()) else os.path.relpath(path, root)
    wanted = os.path.relpath(os.path.normpath(here / path), root)
    if wanted.split("/", 1)[0] == "..":
        raise UsageError(f"{path} lies outside the repository {root}.")
    return wanted


def _blame_line(origin: Origin) -> str:
    from orchestrator.model.text import printable

    by = origin.provenance
    who = f"{by.task} gen {by.generation} {by.agent} {by.model}" if by else _NOT_BY_A_RUN
    return f"{origin.commit[:12]} {who:44} {origin.line:5}  {printable(origin.text)}"


_NOT_BY_A_RUN = "not written by a run"


def _tables(found: AllLines) -> Iterator[str]:
    """Yield what was written of all lines: a table by task, and one by agent and model; the greatest share first."""
    total = sum(last - first + 1 for ranges in found.files.values() for first, last, _ in ranges)
    yield f"{found.revision[:12]}: {total} lines in {len(found.files)} files"
    columns = {
        "task": {commit: by.task for commit, by in found.written.items()},
        "agent and model": {commit: f"{by.agent} {by.model}" for commit, by in found.written.items()},
    }
    for title, names in columns.items():
        lines: Counter[str] = Counter()
        files: dict[str, set[str]] = defaultdict(set)
        for path, ranges in found.files.items():
            for first, last, commit in ranges:
                name = names[commit] if commit else _NOT_BY_A_RUN
                lines[name] += last - first + 1
                files[name].add(path)
        yield ""
        yield f"{title:44} {'lines':>8}  {'share':>7}  {'files':>6}"
        for name in sorted(lines, key=lambda name: (name == _NOT_BY_A_RUN, -lines[name], name)):
            yield f"{name:44} {lines[name]:8}  {lines[name] / total:7.1%}  {len(files[name]):6}"
