"""What the machine has, and what of it a run needs."""

from __future__ import annotations

import os
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.confine.level import demanded_level, said_of_levels
from orchestrator.errors import UsageError
from orchestrator.worktrees.technique import LARGE, Technique, demanded_technique, techniques_here

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.git.repository import Repository

__all__ = ["Machine", "file_system_of", "git_version", "lines_on", "look_at_machine", "problems_of"]

_OLDEST_GIT = (2, 38)  # merges in memory
_GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What there is; `home` is the folder for worktrees (None: there is none), `free` is in bytes.

    `technique` is how worktrees of large repositories are made, or of all if `$ORCH_WORKTREES` asks for it; `why_no_faster`
    says what keeps it from a faster one, and `no_technique` why the one that is asked for cannot be. `confinement` are
    sentences on what agents can be confined by, and `no_level` why the level that `$ORCH_CONFINE` asks for cannot be had.
    """

    git: str
    python: str
    processors: int
    home: str | None
    no_home: str
    file_system: str
    free: int
    writable: bool
    technique: str
    why_no_faster: str = ""
    no_technique: str = ""
    confinement: tuple[str, ...] = ()
    no_level: str = ""


def look_at_machine(repository: Repository, home: Path | None, no_home: str = "") -> Machine:
    """Look what there is; `no_home` says why there is no folder for worktrees."""
    place = home or repository.common_dir
    place = next(above for above in (place, *place.parents) if above.is_dir())
    try:
        mounts = Path("/proc/self/mountinfo").read_text(errors="replace")
    except OSError:
        mounts = ""
    (technique, why_no_faster), no_technique = techniques_here(place), ""
    try:
        technique = demanded_technique(place) or technique
    except UsageError as error:
        no_technique = f"{error.message} {error.hint}"
    no_level = ""
    try:
        demanded_level()
    except UsageError as error:
        no_level = f"{error.message} {error.hint}"
    return Machine(
        git=repository.own.text("version").removeprefix("git version "), python=platform.python_version(),
        processors=os.cpu_count() or 1, home=str(home) if home else None, no_home=no_home,
        file_system=file_system_of(str(place), mounts), free=shutil.disk_usage(place).free,
        writable=os.access(place, os.W_OK | os.X_OK), technique=technique, why_no_faster=why_no_faster,
        no_technique=no_technique, confinement=tuple(said_of_levels()), no_level=no_level,
    )  # fmt: skip


def git_version(text: str) -> tuple[int, int]:
    """Return the first two numbers of a version such as `2.39.5 (Apple Git-154)`; zeros if it has none."""
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _needed() -> str:
    return ".".join(map(str, _OLDEST_GIT))


def file_system_of(path: str, mounts: str) -> str:
    """Return the type of the file system that a path is on, by what `/proc/self/mountinfo` says (proc(5))."""
    found = ("", "unknown")
    for line in mounts.splitlines():
        mounted, _, source = line.partition(" - ")
        fields, kind = mounted.split(), source.split()
        if len(fields) < 5 or not kind:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(found[0]):  # of two on one point, the later one hides the other
            found = (point, kind[0])
    return found[1]


def problems_of(machine: Machine) -> list[str]:
    """Return what keeps runs from working here."""
    problems = []
    if git_version(machine.git) < _OLDEST_GIT:
        needed = ".".join(map(str, _OLDEST_GIT))
        problems.append(
            f"git {machine.git} is too old: merging in memory needs git {needed} or newer. Install a newer one."
        )
    if machine.home is None:
        problems.append(machine.no_home)
    elif not machine.writable:
        problems.append(f"{machine.home} cannot be written to. Set ORCH_HOME to a folder that can.")
    problems += filter(None, (machine.no_technique, machine.no_level))
    return problems


def _how_made(machine: Machine) -> str:
    how = {
        Technique.OVERLAY: f"are mounted over a template if there are {LARGE} files or more, else moved on to the next attempt",
        Technique.POOL: "are moved on from one attempt to the next",
        Technique.PLAIN: "are written out for each attempt",
    }[Technique(machine.technique)]
    slower = f"; no overlays, since {machine.why_no_faster}" if machine.why_no_faster else ""
    return f"worktrees {how} ({machine.technique}{slower})"


def lines_on(machine: Machine) -> Iterator[str]:
    """Yield what to tell about the machine; problems and warnings last."""
    processors = f"{machine.processors} processor{'s' * (machine.processors != 1)}"
    yield f"git {machine.git} ({_needed()} or newer is needed), Python {machine.python}, {processors}"
    if machine.home is not None:
        free, can = machine.free / _GIB, "writable" if machine.writable else "not writable"
        yield f"worktrees go to {machine.home} ({machine.file_system}, {free:.1f} GiB free, {can})"
        yield _how_made(machine)
    yield from machine.confinement
    yield from (f"problem: {problem}" for problem in problems_of(machine))
    if machine.free < _GIB:
        yield f"warning: less than 1 GiB is free ({machine.free >> 20} MiB); agents' worktrees may fill the disk."
