"""Finding what runs left in a repository, and bringing it back. Nothing is ever removed here.

What there is, is asked of the refs and folders themselves, so that it is found even if the run's own folder has gone; the journal
says what became of it.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import GitError, StoreError, UsageError, WorkspaceError
from orchestrator.files import delete, folder_id
from orchestrator.folders import copy_folder, entries_of
from orchestrator.git import change, query
from orchestrator.git.parse import commit_time
from orchestrator.git.repository import Repository
from orchestrator.journal.journal import is_free, read_journal
from orchestrator.leftovers.owned_folder import ARCHITECT, left_in, runs_below
from orchestrator.model.events import RunStarted
from orchestrator.model.items import (
    Item,
    Kind,
    Story,
    generation_of_folder,
    generation_of_ref,
    is_run_name,
    kind_of,
    stories,
    why_kept,
    why_not_landed,
)
from orchestrator.model.text import clean_text, printable
from orchestrator.worktrees.home import worktrees_home
from orchestrator.worktrees.layers import Layers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchestrator.git.command import Git
    from orchestrator.git.parse import Ref
    from orchestrator.model.items import Generation

__all__ = [
    "branch_at",
    "differing_files",
    "find_items",
    "find_plans_tried",
    "find_set_aside",
    "runs_found",
    "snapshots_of",
    "write_out",
]

_PARTS = {"snapshot": Kind.SNAPSHOT, "agent-commits": Kind.AGENT_COMMITS}
_OURS = ("refs/heads/orch/", "refs/orch/")
_NOT_OUT = "it was written, and `orch plan` was killed before it had copied it"


def runs_found(repository: Repository, home: Path) -> set[str]:
    """Return the names of the runs that have left a ref or a worktree, also of those whose own folder has gone."""
    named = {found[0].run for ref in query.refs(repository.own, *_OURS) if (found := generation_of_ref(ref.name))}
    return named | {place.name for place in _folders_in(home) if is_run_name(place.name)}


def find_items(repository: Repository, home: Path, runs: Iterable[str]) -> list[Item]:
    """Return everything that these runs left, in their order: attempts, snapshots, agents' own commits, worktrees.

    `home` is the folder for this repository's worktrees.
    """
    own = repository.own
    ours: dict[str, list[tuple[Ref, Generation, str]]] = {}
    for ref in query.refs(own, *_OURS):
        if (named := generation_of_ref(ref.name)) and not ref.symbolic:
            ours.setdefault(named[0].run, []).append((ref, *named))
    found: list[Item] = []
    for run in runs:
        journal = repository.runs_folder / run / "journal"
        if not journal.is_file() or is_free(journal):  # else its worktrees are being made and removed
            Layers(repository, home / run).bring_back()
        told, base = _told(repository, run)
        landed = (base and query.tip(own, base)) or query.resolve(own, "HEAD")
        items = [*_in_refs(own, ours.get(run, []), told, landed), *_in_folders(home / run, told)]
        found += sorted(items, key=lambda item: (item.generation or (), item.name))
    return found


def _told(repository: Repository, run: str) -> tuple[dict[Generation, Story], str]:
    """Return the stories of a run's generations, and its base branch, as far as there is a journal to tell them."""
    try:
        events = [event for _, event in read_journal(repository.runs_folder / run / "journal")]
    except StoreError:
        return {}, ""
    return stories(run, events), next((event.base for event in events if isinstance(event, RunStarted)), "")


def _in_refs(
    own: Git, refs: Sequence[tuple[Ref, Generation, str]], told: Mapping[Generation, Story], base: str | None
) -> Iterator[Item]:
    known = [base] if base else []
    stored = {ref.id: found for ref, _, _ in refs if (found := own.find(ref.id)) and found.kind == "commit"}
    beyond = query.commits_beyond(own, stored, known)
    for ref, generation, part in refs:
        if ref.id not in stored:
            continue
        story = told.get(generation)
        landed = ref.id not in beyond or (story is not None and story.landed)
        yield Item(
            generation=generation, name="/".join(filter(None, (generation.task, f"gen-{generation.number}", part))),
            kind=_PARTS.get(part) or (Kind.LANDED if landed else kind_of(story or Story())),
            why="it has landed" if landed else why_not_landed(story), landed=landed, ref=ref.name, commit=ref.id,
            when=commit_time(stored[ref.id].data), start=_start(own, ref.id, story, known),
        )  # fmt: skip


def _start(own: Git, commit: str, story: Story | None, known: Sequence[str]) -> str:
    """Return the commit that an attempt began from: by the journal, else the last one before its own."""
    if story is not None and story.start and query.resolve(own, story.start):
        return story.start
    own_commits = query.commits_between(own, "--first-parent", commit, *(f"^{tip}" for tip in known))
    first = own_commits[-1] if own_commits else query.commit_record(own, commit)
    return first.parents[0] if first.parents else ""


def _in_folders(home: Path, told: Mapping[Generation, Story]) -> Iterator[Item]:
    # By the journal, too: another ORCH_HOME may have been in force then.
    elsewhere = {Path(story.worktree) for story in told.values() if story.worktree}
    for place in sorted({*_folders_in(home), *(place for place in elsewhere if folder_id(place))}):
        if named := generation_of_folder(home.name, place.name):
            generation, part = named
            story = told.get(generation)
            yield Item(
                generation=generation, name=f"{generation.task}/gen-{generation.number}/{part}", kind=Kind.FOLDER,
                why=why_kept(story), when=int(place.lstat().st_mtime), folder=str(place),
                start=story.start if story else "",
            )  # fmt: skip


def _folders_in(home: Path) -> list[Path]:
    return [place for place in home.iterdir() if folder_id(place)] if folder_id(home) else []


def find_set_aside(repository: Repository) -> list[Item]:
    """Return the folders with files of the user's checkouts that a killed orchestrator had moved out of a landing's way."""
    common = repository.common_dir
    return [
        Item(
            generation=None, name=f"set-aside/{place.name.removeprefix(change.ASIDE)}", kind=Kind.ASIDE, folder=str(place),
            why="they were moved aside while a landing moved the checkout, and orch was killed",
            when=int(place.lstat().st_mtime),
        )
        for git_dir in (common, *sorted(common.glob("worktrees/*")))
        for place in sorted(git_dir.glob(f"{change.ASIDE}*"))
        if folder_id(place)
    ]  # fmt: skip


def find_plans_tried(repository: Repository) -> list[tuple[Repository, list[Item]]]:
    """Return what architects that were killed, or did not get it right, have left, each with the repository that they had."""
    found = []
    for folder in left_in(repository.runs_folder, ARCHITECT):
        runs = [run.name for run in runs_below(folder)]
        if not runs:
            continue  # killed before an agent was asked
        own = Repository.open(runs_below(folder)[0].parents[1])
        where = str(own.common_dir)
        items = find_items(own, worktrees_home(own), runs)
        found.append((own, [replace(i, repository=where, why=_NOT_OUT if i.landed else i.why) for i in items]))
    return found


def snapshots_of(own: Git, item: Item) -> list[str]:
    """Return the commits of a chain of snapshots, newest first; nothing else has any."""
    if item.kind is not Kind.SNAPSHOT:
        return []
    before = [f"^{item.start}"] if item.start else []
    return [record.id for record in query.commits_between(own, "--first-parent", item.commit, *before)]


def differing_files(repository: Repository, item: Item) -> int | None:
    """Return how many files of an item differ from where its attempt started; None if its folder cannot be read."""
    own = repository.own
    if item.commit:
        return len(
            query.changed_paths(own, item.start, item.commit) if item.start else query.files_at(own, item.commit)
        )
    try:
        here = entries_of(Path(item.folder), query.object_format(own))
    except WorkspaceError:
        return None
    before = query.files_at(own, item.start) if item.start and query.resolve(own, item.start) else {}
    return sum(here.get(path) != before.get(path) for path in {*here, *before})


def branch_at(repository: Repository, name: str, commit: str) -> None:
    """Make a branch at a commit.

    Raises:
        UsageError: no branch can have this name, or one has it, or one is in its way.
    """
    own, ref = repository.own, f"refs/heads/{name}"
    valid = not name.startswith("-") and name != "HEAD" and "\n" not in name and "\0" not in name
    if not valid or own.run("check-ref-format", ref, accept=(0, 1)).code:
        raise UsageError(
            f"{clean_text(name)} cannot be the name of a branch.", hint="Choose another one with --branch."
        )
    if name.startswith("orch/"):
        raise UsageError(f"{name} is a name for branches of runs.", hint="Choose one that does not begin with orch/.")
    for other in query.refs(own, "refs/heads/"):
        if other.name == ref:
            raise UsageError(f"There is a branch {name} already.", hint="Choose another name; no branch was moved.")
        if f"{other.name}/".startswith(f"{ref}/") or f"{ref}/".startswith(f"{other.name}/"):
            there = other.name.removeprefix("refs/heads/")
            raise UsageError(f"There is a branch {there}, so git cannot make {name}.", hint="Choose another name.")
    if not change.move_ref(own, ref, commit, None):
        raise UsageError(f"There is a branch {name} already.", hint="Choose another name; no branch was moved.")


def write_out(repository: Repository, item: Item, place: Path) -> list[str]:
    """Write the files of an item's commit, or of its folder, into a new or empty folder, which is there whole or not at all.

    Returns the paths that were left out, because they are no file, folder or link.

    Raises:
        UsageError: `place` is a link, a file, or not empty.
        WorkspaceError: it could not be written, or holds what cannot be read.
    """
    place = Path(os.path.abspath(place))  # noqa: PTH100 - resolve() would follow a link, which is refused instead
    try:
        if place.is_symlink() or (place.exists() and not (place.is_dir() and not any(place.iterdir()))):
            raise UsageError(
                f"{printable(str(place))} is there and is no empty folder.", hint="Name a new one with --to."
            )
        place.parent.mkdir(parents=True, exist_ok=True)
        with _draft_beside(place) as draft:
            left_out = copy_folder(Path(item.folder), draft) if item.folder else []
            if item.commit:
                _write_commit(repository.own, item.commit, draft)
            draft.rename(place)
    except (OSError, ValueError) as error:  # ValueError: a link to a name with a NUL, which somebody has made up
        raise WorkspaceError(f"{item.name} could not be written to {printable(str(place))}: {error}") from error
    return left_out


@contextmanager
def _draft_beside(place: Path) -> Iterator[Path]:
    """Make a folder that does not look like the whole one; what is still in it at the end is deleted."""
    above = Path(tempfile.mkdtemp(prefix=".orch-incomplete-", dir=place.parent))
    try:
        draft = above / "draft"
        draft.mkdir()  # with the mode that a new folder has here, unlike the one above it
        yield draft
    finally:
        delete(above)


def _write_commit(own: Git, commit: str, folder: Path) -> None:
    """Write a commit's files byte for byte: no filter, no line ends, no attributes. Links last, so that none leads astray."""
    files = query.files_at(own, commit)
    for path, (mode, blob) in sorted(files.items(), key=lambda entry: entry[1][0] == "120000"):
        parts = path.split("/")
        if any(part in {"", ".", ".."} or part.lower() == ".git" for part in parts):
            raise WorkspaceError(f"The commit {commit} holds {printable(path)}, which is no path that git would write.")
        place = folder / path
        if any(above.is_symlink() for above in place.parents[: len(parts) - 1]):
            raise WorkspaceError(f"The commit {commit} holds {printable(path)}, which leads through a link.")
        place.parent.mkdir(parents=True, exist_ok=True)
        if mode == "160000":
            place.mkdir()  # a submodule: a commit of another repository, whose files are not here
            continue
        stored = own.find(blob)
        if stored is None:
            raise GitError(
                ["git", "cat-file", "blob", blob], own.cwd, 128, f"it is gone, and {printable(path)} with it"
            )
        if mode == "120000":
            place.symlink_to(os.fsdecode(stored.data))
        else:
            bits = 0o777 if mode == "100755" else 0o666
            with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, bits), "wb") as file:
                file.write(stored.data)
