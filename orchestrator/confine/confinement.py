"""What one attempt's programs are started with: the command line that keeps them in, and a clean environment."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.confine import landlock
from orchestrator.confine.level import Level, why_not
from orchestrator.confine.places import writable_folders
from orchestrator.files import delete

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from orchestrator.model.globs import Scope

__all__ = ["Confinement", "delete_scratch", "landlocked", "scratch_folder", "scratch_left"]

_KEPT = frozenset(("PATH", "LANG", "LANGUAGE", "TERM", "TZ", "USER", "LOGNAME", "SHELL"))
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts")
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - semaphores of programs that run several processes are there


@contextmanager
def scratch_folder(run_folder: Path) -> Iterator[Path]:
    """Make a folder with `home` and `tmp` for the programs of one attempt, or gate, of a run, and delete it in the end.

    Its path is short, since sockets are made there, and the path of a socket may have 107 characters.
    """
    folder = Path(tempfile.mkdtemp(prefix=_prefix(run_folder)))
    try:
        for part in ("home", "tmp"):
            (folder / part).mkdir(mode=0o700)
        yield folder
    finally:
        delete_scratch(folder)


def scratch_left(run_folder: Path) -> list[Path]:
    """Return such folders that an orchestrator of the run which was killed has left; nobody may work on the run now."""
    return sorted(Path(tempfile.gettempdir()).glob(f"{_prefix(run_folder)}*"))


def delete_scratch(folder: Path) -> None:
    """Delete such a folder, as far as it can be."""
    for place, _, _ in os.walk(folder):  # some programs leave folders that nobody may change
        with suppress(OSError):
            Path(place).chmod(0o700)
    delete(folder)


def _prefix(run_folder: Path) -> str:
    return f"orch-{hashlib.sha256(os.fsencode(run_folder)).hexdigest()[:8]}-"


def landlocked(program: Sequence[str], write: Iterable[Path], ports: Iterable[int] | None) -> list[str]:
    """Return the command line that runs a program which writes only below these folders, as far as this machine offers that.

    It may connect to these TCP ports (None: to any). Where there is no Landlock, only its use of the machine is bounded.
    """
    held = not why_not(Level.LANDLOCK)
    told = {
        "write": [str(place) for place in (*write, _SHARED_MEMORY) if place.is_dir()] if held else None,
        "open": [f"/dev/{name}" for name in _DEVICES],
        "tcp": None if ports is None else sorted(set(ports)),
    }
    return [sys.executable, "-I", "-S", landlock.__file__, json.dumps(told), *program]


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """How the programs of one attempt are kept in.

    `worktree` is where they work and `scope` tells what they may write there now, or all of it if `whole`. `scratch` is
    theirs. `ports` are the TCP ports that they may connect to (None: any). `names` are the variables that they get besides the
    few that hold no secrets. `common_dir` and `runs` are the repository's git folder and that of its runs, `prompt` is what
    they may read there.
    """

    level: Level
    worktree: Path
    scope: Callable[[], Scope]
    whole: bool
    scratch: Path
    ports: tuple[int, ...] | None
    names: tuple[str, ...]
    common_dir: Path
    runs: Path
    prompt: Path

    def environment(self) -> dict[str, str]:
        """Return what of this process's environment the programs get, and a home of their own unless HOME is named."""
        wanted = _KEPT.union(self.names)
        kept = {name: value for name, value in os.environ.items() if name in wanted or name.startswith("LC_")}
        return {"HOME": str(self.scratch / "home"), "TMPDIR": str(self.scratch / "tmp"), **kept}

    def command(self, command: str | Sequence[str], reachable: Iterable[int]) -> list[str]:
        """Return the command line that runs a command confined; `reachable` are ports besides those of the plan.

        Raises:
            OSError: the worktree is gone.
        """
        program = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        if self.level is Level.AUDIT:
            return program
        write = [self.worktree] if self.whole else writable_folders(self.worktree, self.scope())
        write.append(self.scratch)
        ports = None if self.ports is None else (*self.ports, *reachable)
        confined = landlocked(program, write, ports)
        return confined if self.level is Level.LANDLOCK else [*self._bubblewrap(write), *confined]

    def _bubblewrap(self, write: Sequence[Path]) -> list[str]:
        """Return how a program is started that sees neither the user's files nor those of other attempts."""
        home = Path.home()
        hidden = {home, Path(tempfile.gettempdir()), self.worktree.parent, self.runs}
        shown = {self.common_dir, self.worktree, self.prompt, Path(landlock.__file__).parent}
        shown |= {Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).parent}
        shown |= {Path(entry) for entry in os.environ.get("PATH", "").split(":")}
        shown = {place for place in shown if place.exists() and any(place.is_relative_to(over) for over in hidden)}
        kinds: list[tuple[Path, tuple[str, ...]]] = [
            (place, ("--tmpfs", str(place))) for place in hidden if place.exists()
        ]
        kinds += [(place, ("--ro-bind", str(place), str(place))) for place in shown - set(write) - hidden]
        kinds += [(place, ("--bind", str(place), str(place))) for place in write]
        ordered = [words for _, words in sorted(kinds, key=lambda kind: len(kind[0].parts))]
        return [
            shutil.which("bwrap") or "bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
            *(word for words in ordered for word in words),
            "--unshare-pid", "--unshare-ipc", "--die-with-parent", "--chdir", str(self.worktree), "--",
        ]  # fmt: skip
