"""Commands about what runs have left: `recover` brings work back, `clean` removes what is kept elsewhere."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.common import json_option, named_run, open_repository, repo_option, run_folders, say
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.git.repository import Repository
    from orchestrator.leftovers.cleaning import Verdict
    from orchestrator.model.items import Item

__all__ = ["clean", "recover"]


@click.command(short_help="Bring back work that did not land.")
@click.argument("run", required=False)
@click.option("--task", help="Only what this task has left.")
@click.option("--item", "name", help="Only this item, by its name; `~2` after a snapshot's name is the last but two.")
@click.option("--to", type=click.Path(path_type=Path), help="Write the files into this new or empty folder.")
@click.option("--branch", help="Make a branch of this name at the commit.")
@click.option("--all", "landed_too", is_flag=True, help="List also what belongs to work that has landed.")
@repo_option
@json_option
def recover(
    *, run: str | None, task: str | None, name: str | None, to: Path | None, branch: str | None, landed_too: bool,
    repo: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """List what RUN (default: every run) has left that did not land, or bring one item of it back. Nothing is removed."""
    from orchestrator.leftovers.recoverable import find_items, find_plans_tried, find_set_aside
    from orchestrator.worktrees.home import worktrees_home

    if to is not None and branch is not None:
        raise UsageError("Say either --to or --branch.")
    repository = open_repository(repo)
    home = worktrees_home(repository)
    items = find_items(repository, home, _runs(repository, home, run))
    if run is None:
        items += find_set_aside(repository)
    found = [item for item in items if task is None or (item.generation and item.generation.task == task)]
    unlanded = [item for item in found if landed_too or not item.landed]
    found = unlanded if name is None else _named(repository, found, name)
    if to is None and branch is None:
        tried = find_plans_tried(repository) if run is None and task is None and name is None else []
        _list([(repository, found), *tried], as_json=as_json)
    else:
        _bring_back(repository, _the_one(found, name), to, branch, as_json=as_json)


def _runs(repository: Repository, home: Path, run: str | None) -> list[str]:
    """Return the runs that are meant, newest first; those whose folder has gone come last."""
    from orchestrator.leftovers.recoverable import runs_found

    remembered = [folder.name for folder in run_folders(repository)]
    names = [*remembered, *sorted(runs_found(repository, home) - set(remembered), reverse=True)]
    return [named_run(names, run)] if run is not None else names


def _named(repository: Repository, items: Sequence[Item], name: str) -> list[Item]:
    """Return the items of a name; with `~n` the snapshot so many before the newest."""
    from orchestrator.leftovers.recoverable import snapshots_of

    parts = re.fullmatch(r"(.*?)(?:~([0-9]{1,9}))?", name, re.DOTALL)
    assert parts is not None, "every text has this form"
    found = [item for item in items if item.name == parts[1]]
    if parts[2] is None:
        return found
    older = []
    for item in found:
        chain = snapshots_of(repository.own, item)
        if int(parts[2]) >= len(chain):
            there = (
                f"its {len(chain)} snapshots end at ~{len(chain) - 1}" if chain else "only snapshots have older ones"
            )
            raise UsageError(f"There is no {name}: {there}.", hint="`orch recover` lists what there is.")
        older.append(replace(item, name=name, commit=chain[int(parts[2])]))
    return older


def _the_one(items: Sequence[Item], name: str | None) -> Item:
    if len(items) == 1:
        return items[0]
    if not items:
        wanted = f"is called {name}" if name else "could be brought back"
        raise UsageError(f"There is nothing here that {wanted}.", hint="`orch recover --all` lists what there is.")
    names = ", ".join(f"{item.name} of {item.run}" if item.run else item.name for item in items[:10])
    more = f" and {len(items) - 10} more" if len(items) > 10 else ""
    raise UsageError("More than one thing could be meant.", hint=f"Name the run and the --item: {names}{more}.")


def _bring_back(repository: Repository, item: Item, to: Path | None, branch: str | None, *, as_json: bool) -> None:
    from orchestrator.leftovers.recoverable import branch_at, write_out
    from orchestrator.model.text import printable

    left_out: list[str] = []
    if to is not None:
        left_out = write_out(repository, item, to)
    else:
        assert branch is not None
        if not item.commit:
            raise UsageError(f"{item.name} is a folder and no commit.", hint=f"Copy it: {item.command}")
        branch_at(repository, branch, item.commit)
    if as_json:
        place = {"to": str(to.absolute())} if to else {"branch": branch}
        found = {"run": item.run or None, "item": item.name, "commit": item.commit or None}
        say([json.dumps({**found, **place, "left_out": left_out})])
        return
    what = f"{item.name} of {item.run}" if item.run else item.name
    done = f"{what} is in {printable(str(to))}." if to else f"{what} is on the branch {branch}."
    say([done, *(f"Left out, since it is no file, folder or link: {printable(path)}" for path in left_out)])


def _list(found: Sequence[tuple[Repository, Sequence[Item]]], *, as_json: bool) -> None:
    from orchestrator.leftovers.recoverable import differing_files, snapshots_of

    rows = [
        {
            "run": item.run or None, "item": item.name, "kind": item.kind.value, "when": item.when, "landed": item.landed,
            "files": differing_files(repository, item), "snapshots": len(snapshots_of(repository.own, item)) or None,
            "why": item.why, "commit": item.commit or None, "folder": item.folder or None, "command": item.command,
        }
        for repository, items in found
        for item in items
    ]  # fmt: skip
    say([json.dumps({"items": rows})] if as_json else _lines(rows) if rows else ["There is nothing to bring back."])


def _lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    run = ""
    for row in rows:
        if row["run"] != run:
            run = row["run"]
            yield f"{run}:" if run else "No run:"
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(row["when"]))
        files = "? files" if row["files"] is None else f"{row['files']} file{'s' * (row['files'] != 1)}"
        chain = f" in the last of {row['snapshots']} (older ones: ~1 …)" if (row["snapshots"] or 0) > 1 else ""
        yield f"  {row['item']:28} {row['kind']:18} {when}  {files}{chain}: {row['why']}"
        yield f"      {row['command']}"


@click.command(short_help="Remove what old runs left, if it is kept elsewhere.")
@click.argument("run", required=False)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@repo_option
@json_option
def clean(*, run: str | None, dry_run: bool, repo: Path | None, as_json: bool) -> None:
    """Remove branches, refs and worktrees of RUN (default: of every run) as far as all in them is proved to be elsewhere."""
    from orchestrator.leftovers import cleaning
    from orchestrator.leftovers.recoverable import find_items, find_plans_tried, find_set_aside
    from orchestrator.worktrees.home import worktrees_home

    repository = open_repository(repo)
    home = worktrees_home(repository)
    runs = _runs(repository, home, run)
    spared = cleaning.left_alone(repository, runs)
    ours = [name for name in runs if name not in spared]
    items = find_items(repository, home, ours) + ([] if run else find_set_aside(repository))
    verdicts = cleaning.clean(repository, home, ours, items, dry_run=dry_run, templates=run is None)
    if run is None:
        verdicts += [_kept_plan(own) for own, _ in find_plans_tried(repository)]
    if as_json:
        gone = [{"run": verdict.run, "name": verdict.name} for verdict in verdicts if not verdict.why]
        alone = [{"run": name, "name": name, "why": why} for name, why in spared.items()]
        stays = [{"run": v.run or None, "name": v.name, "why": v.why} for v in verdicts if v.why]
        say([json.dumps({"removed": gone, "kept": [*alone, *stays]})])
        return
    say(_verdict_lines(verdicts, spared, dry_run=dry_run))


def _kept_plan(own: Repository) -> Verdict:
    from orchestrator.leftovers.cleaning import Verdict

    folder = own.common_dir.parent
    why = f"what an `orch plan` wrote there may be nowhere else; `orch recover` lists it, or delete it yourself: rm -r {folder}"
    return Verdict(run="", name=str(folder), why=why)


def _verdict_lines(verdicts: Sequence[Verdict], spared: Mapping[str, str], *, dry_run: bool) -> Iterator[str]:
    from orchestrator.model.text import clean_text

    yield from (f"left alone: {run}: {why}" for run, why in spared.items())
    for verdict in verdicts:
        what = clean_text(f"{verdict.name} of {verdict.run}" if verdict.run else verdict.name)
        done = "would remove" if dry_run else "removed"
        yield f"kept: {what}: {clean_text(verdict.why)}" if verdict.why else f"{done}: {what}"
    if all(verdict.why for verdict in verdicts):
        yield "Nothing can be removed." if dry_run else "Nothing was removed."
