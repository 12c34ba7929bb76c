"""What runs have left apart from worktrees: processes, files that only a running run needs, refs, and runs to go on with."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.confine.confinement import scratch_left
from orchestrator.doctor.leftover import Kind, Leftover
from orchestrator.files import delete, drafts_left
from orchestrator.git import query
from orchestrator.leftovers.recoverable import find_set_aside
from orchestrator.processes.orphans import processes_in
from orchestrator.processes.process import end_group_of, marked_processes
from orchestrator.processes.table import start_time, still_there

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.doctor.scene import KnownRun, Scene
    from orchestrator.processes.table import Process

__all__ = ["left_by_runs", "left_refs", "orphaned_processes", "set_aside"]

_OURS = ("refs/heads/orch/", "refs/orch/")
_PATIENCE = 3.0  # seconds that a killed process may take to end


def orphaned_processes(scene: Scene) -> Iterator[Leftover]:
    """Yield the processes of runs that nobody works on.

    Who is at work in a worktree without any mark is one of them only if the run was killed. Else the run has ended those itself,
    and it is somebody who looks at what was kept.
    """
    found = marked_processes(scene.repository.runs_folder)
    for run in scene.quiet:
        working = processes_in(scene.home / run.name) if scene.home and run.cut_off else []
        found |= dict.fromkeys((*_recorded(run), *working), run.name)
    for process, name in sorted(found.items(), key=lambda item: item[0].pid):
        run = scene.run(name)
        if not run.worked_on:
            yield Leftover(
                kind=Kind.PROCESS, name=f"process {process.pid}",
                what=f"`{process.name}`, left by the run {run.name}, which nobody works on",
                deed="ended", repair=run.alone(partial(_end, process)),
            )  # fmt: skip


def _recorded(run: KnownRun) -> Iterator[Process]:
    """Yield the processes that the journal says are at work, if they still are."""
    for task in run.state.tasks.values() if run.state else ():
        for noted in task.processes:
            if process := still_there(noted.pid, noted.started, noted.boot):
                yield process


def _end(process: Process) -> str:
    asyncio.run(end_group_of(process.pid, process.started))
    until = time.monotonic() + _PATIENCE
    while (runs_on := start_time(process.pid) == process.started) and time.monotonic() < until:
        time.sleep(0.01)  # it is not our child: nothing tells us when it ends
    return "it could not be ended" if runs_on else ""


def left_by_runs(scene: Scene) -> Iterator[Leftover]:
    """Yield what only a running run needs, in the folders of those that do not run, and the runs to go on with."""
    for run in scene.quiet:
        if run.gone:
            continue
        for place in _temporary(run):
            yield Leftover(
                kind=Kind.TEMPORARY, name=str(place), what="left by a killed orch", deed="removed",
                repair=run.alone(partial(_delete, place)),
            )  # fmt: skip
        yield from _run(run)


def _temporary(run: KnownRun) -> Iterator[Path]:
    if run.state is None:
        return  # nobody can tell what a run without a journal needs
    places = [
        *run.folder.glob("git-*"),
        *drafts_left(run.folder),
        *scratch_left(run.folder),
    ]
    places += [run.folder / ".report.json"]
    if not run.cut_off:
        places += [run.folder / "indexes"]
    yield from sorted(place for place in places if os.path.lexists(place))


def _delete(place: Path) -> str:
    delete(place)
    return f"not all of {place} could be deleted" if os.path.lexists(place) else ""


def _run(run: KnownRun) -> Iterator[Leftover]:
    if run.fault:
        advice = "What it did is still in its branches: `orch recover` lists them."
        yield Leftover(kind=Kind.RUN, name=f"run {run.name}", what=run.fault, advice=advice)
    elif run.state is None or run.state.started is None:
        what = "it ended before it began, or begins just now"
        advice = f"If it does not begin, nothing in {run.folder} is needed."
        yield Leftover(kind=Kind.RUN, name=f"run {run.name}", what=what, advice=advice, harmless=True)
    elif run.to_resume:
        advice = f"Go on with it: orch resume {run.name}"
        yield Leftover(kind=Kind.RUN, name=f"run {run.name}", what=run.to_resume, advice=advice, harmless=True)


def left_refs(scene: Scene) -> Iterator[Leftover]:
    """Yield the runs whose folder has vanished while branches or refs of theirs are there."""
    refs = query.refs(scene.repository.own, *_OURS)
    names = Counter(ref.name.removeprefix(_OURS[0]).removeprefix(_OURS[1]).partition("/")[0] for ref in refs)
    for name, count in names.items():
        if scene.run(name).gone:
            yield Leftover(
                kind=Kind.REFS, name=f"run {name}", what=f"its folder is gone, but not its branches and refs ({count})",
                advice=f"`orch recover {name}` brings work back; `orch clean {name}` deletes what is kept elsewhere.",
            )  # fmt: skip


def set_aside(scene: Scene) -> Iterator[Leftover]:
    """Yield the files of the user's that a killed landing had moved out of its way."""
    for item in find_set_aside(scene.repository) if not scene.at_work() else ():
        what = f"files of yours: {item.why}"
        yield Leftover(kind=Kind.ASIDE, name=item.folder, what=what, advice=f"Bring them back: {item.command}")
