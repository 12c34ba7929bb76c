"""What is looked at: a repository, where its worktrees go, and the runs that it remembers or that have left something."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import StoreError
from orchestrator.journal.journal import is_free, state_in
from orchestrator.leftovers.recoverable import runs_found
from orchestrator.model.items import is_run_name, unfinished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from orchestrator.git.repository import Repository
    from orchestrator.model.state import RunState

__all__ = ["KnownRun", "Scene", "look_around"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRun:
    """A run, as far as its folder tells of it; `state` is None if the folder or its journal is gone or damaged (`fault`)."""

    name: str
    folder: Path
    worked_on: bool = False
    state: RunState | None = None
    fault: str = ""

    @property
    def gone(self) -> bool:
        """Tell whether the run's folder has vanished."""
        return not self.folder.is_dir()

    @property
    def cut_off(self) -> bool:
        """Tell whether it was killed, so that its worktrees and indexes wait for `orch resume`."""
        return self.state is not None and self.state.started is not None and self.state.ended is None

    @property
    def to_resume(self) -> str:
        """Why `orch resume` would go on with it; empty if it would not."""
        return unfinished(self.state) if self.state else ""

    def alone(self, deed: Callable[[], str]) -> Callable[[], str]:
        """Return the deed as it may be done: while nobody else can take the run up, and if nobody works on it."""

        def do() -> str:
            with self._held() as held:
                return deed() if held else f"a process is working on the run {self.name} now"

        return do

    @contextmanager
    def _held(self) -> Iterator[bool]:
        try:
            descriptor = os.open(self.folder / "journal", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # it has no journal, so nobody can take it up
            yield True
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            held = True
        except BlockingIOError:
            held = False
        try:
            yield held
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A repository, the folder for its worktrees (None: none can be used), and its runs by name."""

    repository: Repository
    home: Path | None
    runs: Mapping[str, KnownRun]

    def at_work(self) -> str:
        """Return a run that a process is working on at this moment, a new one too; empty if there is none."""
        journals = (folder / "journal" for folder in self.repository.runs())
        return next((path.parent.name for path in journals if path.is_file() and not is_free(path)), "")

    @property
    def quiet(self) -> list[KnownRun]:
        """The runs that nobody works on."""
        return [run for run in self.runs.values() if not run.worked_on]

    def run(self, name: str) -> KnownRun:
        """Return a run by its name, also one of which there is nothing here."""
        return self.runs.get(name) or _known(self.repository.runs_folder / name, name)


def look_around(repository: Repository, home: Path | None) -> Scene:
    """Find the runs of a repository, newest first; those whose folder has gone come last."""
    names = [folder.name for folder in repository.runs() if is_run_name(folder.name)]
    names += sorted(runs_found(repository, home) - set(names)) if home else []
    return Scene(repository=repository, home=home, runs={name: _known(repository.runs_folder / name) for name in names})


def _known(folder: Path, name: str = "") -> KnownRun:
    """Look at the folder of a run; the name of one in a repository of a probe's or an architect's own is longer."""
    journal, name = folder / "journal", name or folder.name
    if not journal.is_file():
        return KnownRun(name=name, folder=folder)
    if not is_free(journal):
        return KnownRun(name=name, folder=folder, worked_on=True)
    try:
        return KnownRun(name=name, folder=folder, state=state_in(journal))
    except StoreError as error:
        return KnownRun(name=name, folder=folder, fault=error.message)
