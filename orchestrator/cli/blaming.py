"""`blame`: who wrote a line, a file, a folder or everything."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.common import json_option, open_repository, remembered, repo_option, run_folders, say
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchestrator.git.repository import Repository
    from orchestrator.model.replay import Owner
    from orchestrator.model.trailers import Provenance
    from orchestrator.provenance import AllLines, Origin, View, Who

__all__ = ["blame"]

_LINES = re.compile(r"(.+):(\d+)(?:-(\d+))?", re.DOTALL)
_NOTES = "notes"


@click.command(short_help="Tell which task, agent and model wrote each line.")
@click.argument("place", metavar="[PATH[:LINE[-LINE]]]", required=False)
@click.option("--all", "everything", is_flag=True, help="All files: how much each task, agent and model wrote.")
@click.option("--task", help="Only the lines that this task wrote.")
@click.option("--agent", help="Only the lines that this agent wrote.")
@click.option("--model", help="Only the lines that were written with this model.")
@click.option(
    "--summary", is_flag=True, help="How much each task, agent and model wrote there, and how much is by hand."
)
@click.option("--why", is_flag=True, help="How one line came about: task, prompt, gates, transcript, cost.")
@click.option("--chars", is_flag=True, help="Who wrote each character of a file that several agents wrote together.")
@click.option("--history", is_flag=True, help="Which generations wrote a file, refused ones too, and how many tasks.")
@click.option(
    "--export", metavar="notes|DIR", help="Write it as git notes, or as one JSON file a file into a new folder."
)
@click.option(
    "--copies", is_flag=True, help="Follow lines that were copied from other files (slow: a blame for each file)."
)
@click.option(
    "--ignore-revs/--no-ignore-revs", default=True, help="Look past the commits in .git-blame-ignore-revs (default)."
)
@click.option("--rev", help="At this revision (default: the newest run's base branch, else HEAD).")
@repo_option
@json_option
def blame(
    *, place: str | None, everything: bool, task: str | None, agent: str | None, model: str | None, summary: bool, why: bool,
    chars: bool, history: bool, export: str | None, copies: bool, ignore_revs: bool, rev: str | None, repo: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Tell who wrote each line of PATH (a file or a folder), or how much each task, agent and model wrote.

    PATH:10 is one line, PATH:10-20 some. --task, --agent and --model choose lines, of PATH or of all files.
    """
    from orchestrator.provenance import View, Who

    who = Who(task=task, agent=agent, model=model)
    modes = {"--summary": summary, "--why": why, "--chars": chars, "--history": history, "--export": export is not None}
    _check(place, everything=everything, who=who, modes=[name for name, on in modes.items() if on])
    repository = open_repository(repo)
    view = View(repository.own, rev or _base_of_newest_run(repository), ignore_revs=ignore_revs, copies=copies)
    asked = _Asked.at(repository, view, place)
    if export is not None:
        say(_export(repository, view, asked, export, as_json=as_json))
    elif why:
        say(_why(repository, view, asked, as_json=as_json))
    elif chars:
        say(_characters(repository, asked, as_json=as_json))
    elif history:
        say(_history(repository, view, asked, as_json=as_json))
    elif summary or (everything and not who.named and not as_json):
        say(_summary(view, asked, who, as_json=as_json))
    elif who.named:
        say(_lines_by(view, asked, who, as_json=as_json))
    elif asked.is_file:
        say(_origins(view, asked, as_json=as_json))
    else:
        say(_ranges(view, asked, as_json=as_json))


def _check(place: str | None, *, everything: bool, who: Who, modes: list[str]) -> None:
    """Make sure that the options fit together."""
    if len(modes) > 1:
        raise click.UsageError(f"{modes[0]} and {modes[1]} are different questions: ask one.")
    if place is not None and everything:
        raise click.UsageError("Say either PATH or --all.")
    mode = modes[0] if modes else ""
    if who.named and mode not in {"", "--summary"}:
        raise click.UsageError(f"--{next(iter(who.named))} does not go with {mode}.")
    if place is None and mode in {"--why", "--history", "--chars"}:
        raise click.UsageError(f"{mode} is asked of {'a line: PATH:LINE' if mode == '--why' else 'a file: PATH'}.")
    if place is None and not (everything or who.named or mode):
        raise click.UsageError(
            "Say what to look at: PATH[:LINE[-LINE]], --task ID, --agent NAME, --model NAME or --all."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A place at a revision: a path as git stores it (empty is the root), lines of it if some were named, and its files."""

    path: str
    span: tuple[int, int] | None
    files: Mapping[str, str]

    @classmethod
    def at(cls, repository: Repository, view: View, place: str | None) -> _Asked:
        """Find what a place on the command line means; a file whose name ends in `:7` counts before a line.

        Raises:
            UsageError: there is no such file, folder or line.
        """
        from orchestrator.git import query
        from orchestrator.provenance.lines import check_span

        path, span = _from_root(repository, place) if place else "", None
        if place and (named := _LINES.fullmatch(place)) and not query.files_at(view.git, view.head, [path]):
            path, span = _from_root(repository, named[1]), (int(named[2]), int(named[3] or named[2]))
        asked = cls(path=path, span=span, files=view.files(path))
        if span is not None:
            if not asked.is_file:
                raise UsageError(
                    f"{path or 'The root'} is a folder at {view.revision}; it has no lines.", hint="Name a file in it."
                )
            check_span(view, path, span)
        return asked

    @property
    def is_file(self) -> bool:
        """Tell whether the place is one file, or lines of it."""
        return self.path in self.files

    def lines(self, view: View) -> AllLines:
        """Return whose the lines at the place are."""
        from orchestrator.provenance import all_lines

        found = all_lines(view, self.files)
        return found.clipped(self.span) if self.span else found

    def file(self, option: str) -> str:
        """Return the path of the one file that is meant.

        Raises:
            UsageError: it is a folder.
        """
        if not self.is_file:
            raise UsageError(
                f"{self.path or 'The root'} is a folder; {option} is asked of a file.", hint="Name a file in it."
            )
        return self.path


def _from_root(repository: Repository, path: str) -> str:
    """Return a path that counts from here as one that counts from the repository's root, if here is inside it."""
    root, here = repository.work_tree, Path.cwd().resolve()
    if root is not None and (here.is_relative_to(root) or Path(path).is_absolute()):
        wanted = os.path.relpath(os.path.normpath(here / path), root)
    else:
        wanted = os.path.normpath(path)
    if wanted.split("/", 1)[0] in {"..", ""}:
        raise UsageError(f"{path} lies outside the repository {root or repository.common_dir}.")
    return "" if wanted == "." else wanted


def _base_of_newest_run(repository: Repository) -> str:
    from orchestrator.git import query

    for _, state in remembered(repository):
        if state.started is not None and query.tip(repository.own, state.started.base):
            return f"refs/heads/{state.started.base}"
    return "HEAD"


def _origins(view: View, asked: _Asked, *, as_json: bool) -> Iterator[str]:
    from orchestrator.model.text import printable
    from orchestrator.provenance import origins

    for origin in origins(view, asked.path, asked.span):
        if as_json:
            yield json.dumps(origin.as_json())
        else:
            yield f"{origin.commit[:12]} {_who(origin):44} {origin.line:5}  {printable(origin.text)}"


def _characters(repository: Repository, asked: _Asked, *, as_json: bool) -> Iterator[str]:
    from orchestrator.git import query
    from orchestrator.provenance.characters import characters_of

    path = asked.file("--chars")
    text = query.read_blob(repository.own, asked.files[path]).decode("utf-8", "replace")
    found = characters_of((folder for folder, _ in remembered(repository)), path, text)
    if found is None:
        raise UsageError(
            f"{path} is not as a run in mode crdt has left it, so only its lines have authors.",
            hint=f"orch blame {path}",
        )
    yield from [json.dumps(asdict(found))] if as_json else found.lines()


def _who(origin: Origin) -> str:
    from orchestrator.provenance.share import BY_HAND

    if origin.provenance is not None:
        return _named(origin.provenance)
    return f"{BY_HAND}, was {origin.was.task} gen {origin.was.generation}" if origin.was else BY_HAND


def _named(by: Provenance) -> str:
    return f"{by.task} gen {by.generation} {by.agent} {by.model}"


def _ranges(view: View, asked: _Asked, *, as_json: bool) -> Iterator[str]:
    """Yield each range of lines of each file with whose it is."""
    found = asked.lines(view)
    if as_json:
        yield json.dumps(found.as_json())
        return
    from orchestrator.model.text import printable

    for path, ranges in found.files.items():
        for part in ranges:
            commit, who = _owner(found, part.owner)
            yield f"{commit[:12]:12} {who:44} {printable(path)}:{_span(part.first, part.last)}"


def _owner(found: AllLines, owner: Owner) -> tuple[str, str]:
    """Return a commit, if one is known, and whose lines they are in words."""
    from orchestrator.provenance.share import BY_HAND

    if owner is None:
        return "", BY_HAND
    if isinstance(owner, str):
        return owner, _named(found.written[owner])
    was = found.written[owner.was]
    return owner.by, f"{BY_HAND}, was {was.task} gen {was.generation}"


def _span(first: int, last: int) -> str:
    return f"{first}-{last}" if first != last else str(first)


def _lines_by(view: View, asked: _Asked, who: Who, *, as_json: bool) -> Iterator[str]:
    """Yield which lines somebody wrote."""
    from orchestrator.model.text import printable
    from orchestrator.provenance import lines_by

    files = lines_by(view, who, asked.files)
    if asked.span:
        low, high = asked.span
        clipped = {
            path: [(max(a, low), min(b, high)) for a, b in found if a <= high and b >= low]
            for path, found in files.items()
        }
        files = {path: found for path, found in clipped.items() if found}
    if as_json:
        yield json.dumps({**who.named, "files": files})
    else:
        yield from (f"{printable(path)}: {', '.join(_span(*part) for part in found)}" for path, found in files.items())


def _summary(view: View, asked: _Asked, who: Who, *, as_json: bool) -> Iterator[str]:
    from orchestrator.provenance.share import shares_of

    found = asked.lines(view)
    if who.named:
        view.written_by(who)
        found = found.only(who)
    shares = shares_of(found)
    return iter([json.dumps(shares.as_json())]) if as_json else shares.as_text()


def _why(repository: Repository, view: View, asked: _Asked, *, as_json: bool) -> Iterator[str]:
    from orchestrator.provenance.why import why

    path = asked.file("--why")
    if asked.span is None or asked.span[0] != asked.span[1]:
        raise UsageError("--why is asked of one line.", hint=f"Name it: orch blame --why {path}:LINE.")
    found = why(view, run_folders(repository), path, asked.span[0])
    return iter([json.dumps(found.as_json())]) if as_json else found.as_text()


def _history(repository: Repository, view: View, asked: _Asked, *, as_json: bool) -> Iterator[str]:
    from orchestrator.provenance.files import provenance_of_files
    from orchestrator.provenance.records import read_records_of_runs

    asked.file("--history")
    if asked.span is not None:
        raise UsageError(
            "--history is asked of a whole file.", hint=f"Leave the lines out: orch blame --history {asked.path}."
        )
    (found,) = provenance_of_files(view, asked.files, read_records_of_runs(run_folders(repository)))
    return iter([json.dumps(found.as_json())]) if as_json else found.as_text()


def _export(repository: Repository, view: View, asked: _Asked, target: str, *, as_json: bool) -> Iterable[str]:
    from orchestrator.provenance.export import NOTES, export_files, export_notes
    from orchestrator.provenance.files import provenance_of_files
    from orchestrator.provenance.records import read_records_of_runs

    if asked.span is not None:
        raise UsageError("--export writes whole files.", hint=f"Leave the lines out: {asked.path}.")
    if not target:
        raise UsageError("--export has no name.", hint=f"Say `--export {_NOTES}`, or name a new folder.")
    if target == _NOTES:
        count, where, what = export_notes(view, asked.lines(view)), NOTES, "commit"
    else:
        records = read_records_of_runs(run_folders(repository))
        count, where, what = export_files(provenance_of_files(view, asked.files, records), Path(target)), target, "file"
    if as_json:
        return [json.dumps({"exported": where, "revision": view.head, f"{what}s": count})]
    return [f"{where}: {count} {what}{'s' * (count != 1)}, at {view.head[:12]}"]
