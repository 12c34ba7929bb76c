"""Removing what old runs left, as far as every file content in it is proved to be kept elsewhere.

Refs that stay vouch for those that go: branches, tags, and what runs keep. Remote-tracking branches and stashes do not, because
git drops them by itself in everyday work. A ref goes only from where it was when the proof was made, and as long as those
that vouch for it are there; a folder is moved aside, looked at once more, and then deleted. What cannot be proved stays.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.effects import reached
from orchestrator.errors import StoreError, WorkspaceError
from orchestrator.files import delete, folder_id
from orchestrator.folders import entries_of
from orchestrator.git import change, query
from orchestrator.git.parse import decode
from orchestrator.journal.journal import is_free, state_in
from orchestrator.model.items import candidate_ref, generation_of_ref, held_by_one, redundant, unfinished
from orchestrator.model.text import printable
from orchestrator.worktrees.layers import Layers
from orchestrator.worktrees.worktrees import Worktrees, is_gate_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from orchestrator.git.command import Git
    from orchestrator.git.parse import Ref
    from orchestrator.git.repository import Repository
    from orchestrator.model.items import Item

__all__ = ["Verdict", "clean", "left_alone"]

_BRANCHES = "refs/heads/"
_VOUCHING = (_BRANCHES, "refs/tags/", "refs/orch/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one thing that a run left: it went if `why` is empty, else it stays, for that reason."""

    run: str
    name: str
    why: str


def left_alone(repository: Repository, runs: Iterable[str]) -> dict[str, str]:
    """Return run → why, for those of these runs whose leavings must not be touched: they are worked on, or can be resumed."""
    found = {}
    for run in runs:
        with _held(repository, run) as why:
            found[run] = why
    return {run: why for run, why in found.items() if why}


@contextmanager
def _held(repository: Repository, run: str) -> Iterator[str]:
    """Keep others from taking a run up meanwhile; yield why it must be left alone, or an empty text."""
    journal = repository.runs_folder / run / "journal"
    if not journal.is_file():
        yield ""
    elif not is_free(journal):
        yield "a process is working on it"
    else:
        with change.file_lock(journal):
            yield _why_needed(journal)


def _why_needed(journal: Path) -> str:
    try:
        why = unfinished(state_in(journal))
    except StoreError as error:
        return error.message
    return why and f"{why}; `orch resume {journal.parent.name}` goes on with it"


def clean(
    repository: Repository,
    home: Path,
    runs: Iterable[str],
    items: Sequence[Item],
    *,
    dry_run: bool,
    templates: bool = False,
) -> list[Verdict]:
    """Remove what can be proved to be kept elsewhere, and say of each item what became of it; `dry_run` only says so.

    `items` are all that these runs left, run by run; `home` is the folder for this repository's worktrees. With `templates`,
    those that no overlay needs go as well; the next run writes a new one.

    Raises:
        GitError: git cannot read what it must, or cannot delete a ref; what was removed by then was proved.
    """
    verdicts: list[Verdict] = []
    with (
        nullcontext() if dry_run else change.file_lock(repository.runs_folder / "clean.lock")
    ):  # two would trust each other
        proof = _prove(repository.own, {item.ref: item for item in items if item.ref})
        for run, of_run in itertools.groupby(items, key=lambda item: item.run):
            with _held(repository, run) as busy:  # somebody may have taken it up in the meantime
                for item in of_run:
                    why = busy or _clean_item(repository, item, proof, dry_run=dry_run)
                    verdicts.append(Verdict(run=run, name=item.name, why=why))
        gone = {item.folder for item, verdict in zip(items, verdicts, strict=True) if item.folder and not verdict.why}
        verdicts += _clean_candidates(repository, runs, proof, dry_run=dry_run)
    verdicts += _clean_homes(home, runs, items, gone, dry_run=dry_run)
    idle = Layers(repository, home / "none").clear(keep_newest=False, dry_run=dry_run) if templates else ()
    return [*verdicts, *(Verdict(run="", name=str(place), why="") for place in idle)]


def _clean_item(repository: Repository, item: Item, proof: _Proof, *, dry_run: bool) -> str:
    """Remove one item if it may go; return why it stays, or an empty text."""
    if item.generation is None:
        return f"nobody can tell whether they are elsewhere; bring them back with `{item.command}`"
    if not item.ref:
        return _clean_folder(repository, item, proof, dry_run=dry_run)
    return proof.why.get(item.ref, "") or ("" if dry_run else _delete_ref(repository.own, item.ref, item.commit, proof))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proof:
    """Why refs of runs must stay, those that may go left out; and all refs that stay, with what they point at."""

    why: dict[str, str]
    staying: dict[str, str]


def _prove(own: Git, refs: Mapping[str, Item]) -> _Proof:
    others = {ref.name: ref.id for ref in query.refs(own, *_VOUCHING) if ref.name not in refs and _vouches(own, ref)}
    beyond = query.commits_beyond(own, [item.commit for item in refs.values()], others.values())
    loose = {ref: item for ref, item in refs.items() if item.commit in beyond}
    contents = {
        **dict.fromkeys(refs, frozenset[str]()),
        **_contents(own, {ref: item.commit for ref, item in loose.items()}, others.values()),
    }
    shared = {ref: loose[ref] for ref, count in held_by_one(list(loose), contents).items() if count == 0}
    unlike, checked_out = _in_no_branch_like_this(own, shared, others), _checked_out(own)
    order = sorted(
        refs.keys() - unlike.keys() - checked_out.keys(),
        key=lambda ref: (ref.startswith(_BRANCHES), refs[ref].generation),
    )
    going = set(redundant(order, contents))
    staying = {ref: item for ref, item in refs.items() if ref not in going}
    only_there = {ref: _nowhere_else(count) for ref, count in held_by_one(list(staying), contents).items() if count}
    reasons = {**unlike, **only_there, **checked_out}
    return _Proof(
        why={ref: f"{reasons[ref]}; {_ways_out(item)}" for ref, item in staying.items()},
        staying={**others, **{ref: item.commit for ref, item in staying.items()}},
    )


def _vouches(own: Git, ref: Ref) -> bool:
    """Tell whether a ref may vouch for others: it leads to a commit that is here, and does not go by itself after a landing."""
    lasting = not ref.name.startswith("refs/orch/") or generation_of_ref(ref.name) is not None
    return lasting and not ref.symbolic and query.resolve(own, ref.id) is not None


def _contents(own: Git, commits: Mapping[str, str], known: Collection[str]) -> dict[str, frozenset[str]]:
    """Return for each name the blobs that its commit leads to and none of the known ones does."""
    found = {name: query.blobs_beyond(own, [commit], known) for name, commit in commits.items()}
    # Git left out only what it saw in the newest of the known commits; an older one may hold the rest.
    elsewhere = query.blobs_beyond(own, known, ()) if any(found.values()) else frozenset[str]()
    return {name: blobs - elsewhere for name, blobs in found.items()}


def _in_no_branch_like_this(own: Git, items: Mapping[str, Item], others: Mapping[str, str]) -> dict[str, str]:
    """Return the attempts that no branch agrees with on every path that they changed: they renamed, deleted, or set a mode."""
    pending: dict[str, dict[str, tuple[str, str] | None]] = {}
    for ref, item in items.items():
        if ref.startswith(_BRANCHES) and item.start:
            changes = query.changed_paths(own, item.start, item.commit)
            pending[ref] = {c.path: None if c.deleted else (c.new_mode, c.new_blob) for c in changes}
        elif ref.startswith(_BRANCHES):
            pending[ref] = dict(query.files_at(own, item.commit))
    for tip in dict.fromkeys(tip for name, tip in others.items() if name.startswith(_BRANCHES)):
        if pending:
            files = query.files_at(own, tip)
            pending = {ref: left for ref, left in pending.items() if any(files.get(p) != e for p, e in left.items())}
    return dict.fromkeys(pending, "its files are elsewhere, but no branch has them as it left them")


def _checked_out(own: Git) -> dict[str, str]:
    return {
        f"{_BRANCHES}{entry.branch}": f"it is checked out in {entry.path}"
        for entry in query.worktrees(own)
        if entry.branch
    }


def _nowhere_else(count: int) -> str:
    return f"{count} file{'s are' if count != 1 else ' is'} nowhere else"


def _ways_out(item: Item) -> str:
    return f"bring it back with `{item.command}`, or delete it yourself: git update-ref -d {item.ref} {item.commit}"


def _delete_ref(own: Git, ref: str, commit: str, proof: _Proof) -> str:
    """Delete a ref that may go, as long as all that vouches for it is there; return why it was not, or an empty text."""
    if not _still_there(own, proof.staying):
        return "refs were moved back or deleted meanwhile; run `orch clean` again"
    return "" if change.delete_ref(own, ref, commit) else "it was moved or deleted meanwhile"


def _clean_candidates(
    repository: Repository, runs: Iterable[str], proof: _Proof, *, dry_run: bool
) -> Iterator[Verdict]:
    """Remove what the merge trains of killed runs held, if all in it is elsewhere."""
    own = repository.own
    for run in runs:
        with _held(repository, run) as busy:
            for ref in query.refs(own, candidate_ref(run)):
                count = len(_contents(own, {"": ref.id}, proof.staying.values())[""])
                why = (
                    f"{_nowhere_else(count)}; delete it yourself: git update-ref -d {ref.name} {ref.id}"
                    if count
                    else ""
                )
                why = busy or why or ("" if dry_run else _delete_ref(own, ref.name, ref.id, proof))
                yield Verdict(run=run, name=ref.name, why=why)


def _still_there(own: Git, staying: Mapping[str, str]) -> bool:
    now = {ref.name: ref.id for ref in query.refs(own, *_VOUCHING)}
    return all(
        now.get(name) == before or (name in now and query.is_ancestor(own, before, now[name]))
        for name, before in staying.items()
    )


def _clean_folder(repository: Repository, item: Item, proof: _Proof, *, dry_run: bool) -> str:
    """Remove a worktree if every file in it is in a commit that stays; return why not, or an empty text."""
    tips = list(dict.fromkeys([*_of_same_generation(item, proof), *proof.staying.values()]))
    folder = Path(item.folder)
    original = folder.with_name(folder.name.removeprefix(".").removesuffix(".trash"))
    why = _not_elsewhere(repository, folder, original, tips)
    if why or dry_run:
        return why
    layers = Layers(repository, folder.parent)
    if layers.of(folder.name):
        return _clean_layered(repository, item, layers, tips)
    trash = folder.with_name(f".{original.name}.trash")
    try:
        folder.rename(trash)  # whoever still writes by its name writes elsewhere now
    except OSError as error:
        return f"it cannot be moved aside: {error}"
    reached("worktree-trashed")
    if why := _not_elsewhere(repository, trash, original, tips):
        trash.rename(folder)
        return why
    if not os.path.lexists(original):
        worktrees = Worktrees(
            repository, original.parent, repository.runs_folder / item.run / "indexes", lambda _: None
        )
        asyncio.run(worktrees.discard(original.name))  # git's record of it
        reached("worktree-forgotten")
    delete(trash)
    reached("worktree-removed")
    return f"not all of {trash} could be deleted" if os.path.lexists(trash) else ""


def _clean_layered(repository: Repository, item: Item, layers: Layers, tips: Sequence[str]) -> str:
    """Remove an overlay that may go, after a second look while nobody can reach it; return why it stays, or an empty text."""
    folder = Path(item.folder)
    trash = folder.with_name(f".{folder.name}.trash")
    try:
        with layers.set_aside(folder) as aside:
            why = _not_elsewhere(repository, aside, folder, tips)
        if not why:
            layers.take_down(folder, trash)
            folder.rename(trash / "folder")
    except OSError as error:
        why = f"it cannot be unmounted: {error}"
    if why:
        layers.bring_back()
        return why
    reached("worktree-trashed")
    indexes = repository.runs_folder / item.run / "indexes"
    asyncio.run(Worktrees(repository, folder.parent, indexes, lambda _: None).discard(folder.name))
    delete(trash)
    return f"not all of {trash} could be deleted" if os.path.lexists(trash) else ""


def _of_same_generation(item: Item, proof: _Proof) -> list[str]:
    """Return the commits that most likely hold what is in a folder."""
    return [
        tip for ref, tip in proof.staying.items() if (named := generation_of_ref(ref)) and named[0] == item.generation
    ]


def _not_elsewhere(repository: Repository, folder: Path, original: Path, tips: Sequence[str]) -> str:
    own = repository.own
    try:
        left = entries_of(folder, query.object_format(own))
    except WorkspaceError as error:
        return f"{error.message}, so it is not known what is in it; look into {folder}"
    for number, tip in enumerate(tips):
        there = query.files_at(own, tip)
        left = {path: entry for path, entry in left.items() if there.get(path) != entry}
        if not left or (number == 0 and any(own.find(blob) is None for _, blob in left.values())):
            break  # what git does not have at all is in no commit
    if left:
        files = f"{len(left)} file{'s' * (len(left) != 1)} in it, such as {printable(min(left))},"
        return f"{files} {'are' if len(left) != 1 else 'is'} in no commit that stays; look into {folder}"
    head = _head_of(repository, original)
    if head and any(_contents(own, {"": head}, tips).values()):
        return f"what its agent committed there ({head[:12]}) is nowhere else; look into {folder}"
    return ""


def _head_of(repository: Repository, folder: Path) -> str | None:
    """Return the commit at which a worktree's HEAD is by git's record of it, if there is one."""
    for pointer in repository.common_dir.glob("worktrees/*/gitdir"):
        if decode(pointer.read_bytes()).strip() == f"{folder}/.git":
            return query.resolve(repository.own, f"worktrees/{pointer.parent.name}/HEAD")
    return None


def _clean_homes(
    home: Path, runs: Iterable[str], items: Sequence[Item], gone: Collection[str], *, dry_run: bool
) -> Iterator[Verdict]:
    """Remove the folders of runs' worktrees that are empty; name what is in the others and is no item."""
    known = {item.folder for item in items}
    for run in runs:
        place = home / run
        if folder_id(place) is None:
            continue
        inside = [str(path) for path in place.iterdir()]
        for path in sorted({*inside} - known):
            why = (
                "gates ran there; `orch doctor` removes it"
                if is_gate_folder(path)
                else "it is no worktree of an attempt"
            )
            yield Verdict(run=run, name=path, why=why)
        if set(inside) <= set(gone):
            with suppress(OSError):  # somebody has put something there
                if not dry_run:
                    place.rmdir()
                yield Verdict(run=run, name=str(place), why="")
