"""The folder of a comparison, written after each trial, so that a second call goes on.

It holds `trials.csv`, `environment.json`, and in `written/` the files that each trial wrote, for a judge.
"""

from __future__ import annotations

import json
import os
import platform
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator import __version__
from orchestrator.compare.trials import read_trials, trials_text
from orchestrator.errors import UsageError
from orchestrator.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from orchestrator.compare.sources import Source
    from orchestrator.compare.trials import Trial
    from orchestrator.git.command import Git

__all__ = ["SeriesFolder", "opened"]

_SAME = {"plan": "the plan", "base": "the base branch", "seed": "the seed"}


@dataclass(slots=True, kw_only=True)
class SeriesFolder:
    """The trials so far, and what they were made with; `add` has reached the disk when it returns."""

    path: Path
    about: dict[str, Any]
    trials: list[Trial] = field(default_factory=list)

    @property
    def rows(self) -> Path:
        """The file of trials."""
        return self.path / "trials.csv"

    def add(self, trial: Trial, models: set[str], files: Mapping[str, str]) -> None:
        """Take a trial, the models that worked in it, and the text of the files that it wrote."""
        if files:
            place = self._written(trial)
            place.parent.mkdir(exist_ok=True)
            _write(place, json.dumps(files, indent=1, ensure_ascii=False) + "\n")
        if new := models - set(self.about["models"]):
            self.about["models"] = sorted({*self.about["models"], *new})
            self.write_about()
        self.trials.append(trial)
        _write(self.rows, trials_text(self.trials))

    def replace(self, trial: Trial, by: Trial) -> None:
        """Put a trial in the place of one that was added."""
        self.trials[self.trials.index(trial)] = by
        _write(self.rows, trials_text(self.trials))

    def written(self, trial: Trial) -> dict[str, str]:
        """Return the text of the files that a trial wrote, by path; empty if they were not kept."""
        try:
            found: dict[str, str] = json.loads(self._written(trial).read_bytes())
        except (OSError, ValueError):
            return {}
        return found

    def _written(self, trial: Trial) -> Path:
        return self.path / "written" / f"{trial.mode}-{trial.agents}-{trial.run}.json"

    def write_about(self) -> None:
        """Write `environment.json`."""
        _write(self.path / "environment.json", json.dumps(self.about, indent=1, ensure_ascii=False) + "\n")


@contextmanager
def opened(path: Path, source: Source, seed: int, git: Git) -> Iterator[SeriesFolder]:
    """Hold the folder of a comparison, a new one or one that was left unfinished; nobody else may work in it meanwhile.

    Raises:
        UsageError: it cannot be written, somebody works in it, or its trials are of another plan, base or seed.
    """
    import fcntl  # Linux and macOS; there is no such module elsewhere

    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"{path} cannot be used: {error.strerror}.", hint="Name another --out.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"Another process is working in {path}.", hint="Wait for it, or name another --out."
            ) from error
        folder = _read(path, {"plan": source.sha256, "base": source.commit, "seed": seed})
        folder.about["environments"] = _with_this_one(folder.about["environments"], source, git)
        folder.write_about()
        yield folder
    finally:
        os.close(descriptor)


def _read(path: Path, design: dict[str, Any]) -> SeriesFolder:
    about_file, rows = path / "environment.json", path / "trials.csv"
    if not about_file.exists():
        if rows.exists():
            raise UsageError(
                f"{rows} is there, and nothing says of what plan its trials are.",
                hint="Name another --out, or analyse them: orch compare --from.",
            )
        return SeriesFolder(path=path, about={"version": 1, **design, "models": [], "environments": []})
    try:
        about = json.loads(about_file.read_text(encoding="utf-8"))
        other = [word for key, word in _SAME.items() if about[key] != design[key]]
        about["models"], about["environments"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{about_file} cannot be read.", hint="Name another --out.") from error
    if other:
        raise UsageError(
            f"{path} holds trials of something else: {' and '.join(other)} changed since.", hint="Name another --out."
        )
    return SeriesFolder(path=path, about=about, trials=list(read_trials(rows)) if rows.exists() else [])


def _with_this_one(known: list[dict[str, Any]], source: Source, git: Git) -> list[dict[str, Any]]:
    """Return the environments in which trials were made, with this one unless it is the last of them."""
    plan = source.loaded.plan
    agents = {task.agent: plan.agent_of(task) for task in plan.tasks}
    now = {
        "plan": plan.name,
        "agents": {
            name: spec.model_dump(mode="json", include={"kind", "preset", "model"}, exclude_none=True)
            for name, spec in sorted(agents.items())
        },
        "versions": {
            "orch": __version__,
            "python": platform.python_version(),
            "git": git.text("--version").split()[-1],
        },
        "machine": {
            "system": platform.platform(),
            "kind": platform.machine(),
            "processors": os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        },
    }
    last = {key: value for key, value in known[-1].items() if key not in {"since", "load"}} if known else {}
    if last == now:
        return known
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return [*known, {"since": stamp, "load": [round(each, 2) for each in os.getloadavg()], **now}]


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all, and force it to the disk."""
    write_whole(path, text.encode())
    for each in (path, path.parent):
        descriptor = os.open(each, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
