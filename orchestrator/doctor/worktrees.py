"""What is left of worktrees: drafts and records in git's folder, and folders below the home of our worktrees."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.doctor.leftover import Kind, Leftover
from orchestrator.doctor.locks import gather_evidence
from orchestrator.errors import GitError
from orchestrator.files import delete, folder_id
from orchestrator.git import change, query
from orchestrator.model.items import generation_of_folder
from orchestrator.processes.orphans import processes_in
from orchestrator.worktrees.layers import Layers
from orchestrator.worktrees.worktrees import Worktrees, is_gate_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.doctor.scene import KnownRun, Scene
    from orchestrator.git.repository import Repository

__all__ = ["worktree_leftovers"]


def worktree_leftovers(scene: Scene) -> Iterator[Leftover]:
    """Yield what is left of worktrees of runs that nobody works on, and the records of others that git would prune."""
    if not scene.at_work():  # else it may be a draft of that run
        yield from _drafts(scene.repository)
    for record in sorted(scene.repository.common_dir.glob("worktrees/*")):
        if folder_id(record) is not None:
            yield from _record(scene, record)
    if scene.home is not None:
        for run in scene.quiet:
            yield from _unmounted(Layers(scene.repository, scene.home / run.name), run)
            yield from _folders(scene, scene.home / run.name, run)


def _drafts(repository: Repository) -> Iterator[Leftover]:
    for draft in sorted(repository.runs_folder.glob(".worktree-*")):
        yield Leftover(
            kind=Kind.DRAFT, name=str(draft), what="a record of a worktree, half made or half deleted by a killed orch",
            deed="removed", repair=partial(_remove_draft, repository, draft),
        )  # fmt: skip


def _remove_draft(repository: Repository, draft: Path) -> str:
    with change.file_lock(repository.runs_folder / "worktrees.lock"):  # whoever makes a draft holds it
        return _delete(draft)


def _delete(place: Path) -> str:
    delete(place)
    return f"not all of {place} could be deleted" if os.path.lexists(place) else ""


def _record(scene: Scene, record: Path) -> Iterator[Leftover]:
    try:
        pointer = (record / "gitdir").read_text(errors="replace").strip()
    except OSError:
        yield _without_pointer(scene, record)
        return
    folder = (record / pointer).parent
    if scene.home is None or folder.parent.parent != scene.home:
        if not os.path.lexists(record / pointer) and not (record / "locked").exists():
            yield Leftover(
                kind=Kind.RECORD, name=str(record), what=f"git's record of a worktree elsewhere that is gone ({folder})",
                advice="To drop such records: git worktree prune",
            )  # fmt: skip
        return
    run = scene.run(folder.parent.name)
    if run.worked_on or os.path.lexists(folder):
        return
    what = f"git's record of a worktree of the run {run.name}, whose folder is gone"
    if why := _not_kept(scene.repository, record, folder):
        advice = f"It stays, since {why}. Look at it: git log worktrees/{record.name}/HEAD"
        yield Leftover(kind=Kind.RECORD, name=str(record), what=what, advice=advice)
        return
    worktrees = Worktrees(scene.repository, folder.parent, run.folder / "indexes", lambda _text: None)
    yield Leftover(
        kind=Kind.RECORD, name=str(record), what=what, deed="removed",
        repair=run.alone(partial(_forget, worktrees, folder, record)),
    )  # fmt: skip


def _forget(worktrees: Worktrees, folder: Path, record: Path) -> str:
    if os.path.lexists(folder):
        return f"{folder} is there again"
    asyncio.run(worktrees.discard(folder.name))
    return f"{record} is still there" if record.exists() else ""


def _not_kept(repository: Repository, record: Path, folder: Path) -> str:
    """Return what a record alone leads to, or an empty text: commits of its HEAD, and files that were only staged.

    Once an attempt's branch is there, all of its folder was taken in. Nothing in a folder of gates is anybody's work.
    """
    named = generation_of_folder(folder.parent.name, folder.name)
    if named is None:
        return ""
    own, generation = repository.own, named[0]
    branch = f"refs/heads/orch/{generation.run}/{generation.task}/gen-{generation.number}"
    try:
        head = query.resolve(own, f"worktrees/{record.name}/HEAD")
        if head is None:
            return "its HEAD leads to no commit"
        refs = {ref.name: ref.id for ref in query.refs(own)}
        if query.commits_beyond(own, [head], refs.values()):
            return f"the commit {head} of its agent is on no branch"
        index = record / "index"
        if index.is_file() and branch not in refs and not query.index_is(own.at(index=index), head):
            return "files are staged there that are on no branch"
    except GitError as error:
        return error.message
    return ""


def _without_pointer(scene: Scene, record: Path) -> Leftover:
    """Tell of what a `git worktree add` left that was killed in its first instants: git itself never drops it."""
    what = "git's record of a worktree that does not say where it is"
    if {place.name for place in record.iterdir()} - {"locked"}:
        advice = f"Look into it; `git worktree prune` drops it, unless {record / 'locked'} is there."
        return Leftover(kind=Kind.RECORD, name=str(record), what=what, advice=advice)

    def remove() -> str:
        evidence = gather_evidence(scene, [])
        if not evidence.complete or evidence.gits or evidence.run:
            return "a git may be at work on it"
        (record / "locked").unlink(missing_ok=True)
        record.rmdir()
        return ""

    return Leftover(kind=Kind.RECORD, name=str(record), what=what, deed="removed", repair=remove)


def _unmounted(layers: Layers, run: KnownRun) -> Iterator[Leftover]:
    """Yield the overlays of a run that are not mounted, as after the machine was started anew."""
    for folder in layers.unmounted():
        yield Leftover(
            kind=Kind.MOUNT, name=str(folder), what=f"a worktree of the run {run.name} that is not mounted",
            deed="mounted again", repair=run.alone(partial(_mount, layers, folder)),
        )  # fmt: skip


def _mount(layers: Layers, folder: Path) -> str:
    failed = folder in layers.bring_back()
    return "an overlay cannot be mounted here; what its agent changed is where the file in it says" if failed else ""


def _folders(scene: Scene, home: Path, run: KnownRun) -> Iterator[Leftover]:
    """Yield the folders of a run's worktrees; those of a run that can be resumed are needed for that, and are not told of."""
    if folder_id(home) is None:
        return
    for place in sorted(home.iterdir()):
        if place.name.startswith(".") and place.name.endswith(".trash") and not run.gone:
            yield Leftover(
                kind=Kind.TRASH, name=str(place), what="a worktree that was being deleted when orch was killed",
                deed="removed", repair=run.alone(partial(_remove_trash, place)),
            )  # fmt: skip
        elif folder_id(place) is not None and not run.cut_off and is_gate_folder(place):
            worktrees = Worktrees(scene.repository, home, run.folder / "indexes", lambda _text: None)
            yield Leftover(
                kind=Kind.TRASH, name=str(place), what=f"a folder in which gates of the run {run.name} ran", deed="removed",
                repair=run.alone(partial(_remove_gate_folder, worktrees, place)),
            )  # fmt: skip
        elif folder_id(place) is not None and not run.cut_off:
            yield Leftover(
                kind=Kind.FOLDER, name=str(place),
                what=f"a worktree of the run {run.name}, which may hold work that is nowhere else",
                advice=f"`orch recover {run.name}` brings it back; `orch clean {run.name}` removes what is kept elsewhere.",
            )  # fmt: skip


def _remove_gate_folder(worktrees: Worktrees, place: Path) -> str:
    if working := processes_in(place.resolve()):
        return f"process {working[0].pid} works there"
    asyncio.run(worktrees.discard(place.name))
    with suppress(OSError):  # it holds another worktree
        place.parent.rmdir()
    return f"not all of {place} could be deleted" if os.path.lexists(place) else ""


def _remove_trash(place: Path) -> str:
    why = _delete(place)
    with suppress(OSError):  # it holds another worktree
        place.parent.rmdir()
    return why
