"""The system's table of processes, as Linux shows it in /proc; on other systems it is empty.

Processes come and go while one looks. What has ended meanwhile, or may not be looked into, is left out, and nothing here raises.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "Process",
    "all_processes",
    "ancestors",
    "arguments",
    "below",
    "boot_id",
    "descendants",
    "environment",
    "find",
    "is_complete",
    "parse_stat",
    "paths_of",
    "start_time",
    "still_there",
    "user_of",
    "working_folder",
]

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process at one moment; `started` (clock ticks since boot) tells it from a later one that has its number.

    `terminal` is 0 without a controlling terminal; `ended` says that it only waits for its parent to collect it. Two values
    are equal if they are about the same process.
    """

    pid: int
    started: int
    name: str = field(compare=False)
    parent: int = field(compare=False)
    session: int = field(compare=False)
    terminal: int = field(compare=False)
    ended: bool = field(compare=False)


def parse_stat(stat: bytes) -> Process | None:
    """Return the process that a `/proc/<pid>/stat` tells of (proc(5)); None if it is cut short."""
    head, _, tail = stat.rpartition(b")")  # a process may have any name, with brackets and spaces in it
    number, _, name = head.partition(b" (")
    fields = tail.split()
    try:
        return Process(
            pid=int(number), started=int(fields[19]), name=name.decode("utf-8", "replace"), parent=int(fields[1]),
            session=int(fields[3]), terminal=int(fields[4]), ended=fields[0] in {b"Z", b"X"},
        )  # fmt: skip
    except (IndexError, ValueError):
        return None


def find(pid: int) -> Process | None:
    """Return the process that has a number now."""
    try:
        return parse_stat((_PROC / str(pid) / "stat").read_bytes())
    except OSError:
        return None


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if it does not run, or the system does not tell."""
    process = find(pid)
    return None if process is None or process.ended else process.started


def boot_id() -> str:
    """Return what tells this start of the system from every other, in which any process may have any number and start time."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def still_there(pid: int, started: int | None, boot: str) -> Process | None:
    """Return a process that was written down, unless it has ended, or its number is another's by now."""
    process = find(pid)
    if process is None or process.ended or (process.started, boot_id()) != (started, boot):
        return None
    return process


def all_processes() -> list[Process]:
    """Return every process there is."""
    try:
        names = os.listdir(_PROC)  # noqa: PTH208 - this is read often, and a Path each costs more than the reading
    except OSError:
        return []
    found = (find(int(name)) for name in names if name.isdigit())
    return [process for process in found if process is not None]


def is_complete() -> bool:
    """Tell whether the table shows other people's processes too: a mount of /proc may hide them (`hidepid`)."""
    return find(1) is not None


def descendants(table: Iterable[Process], roots: Iterable[Process]) -> set[Process]:
    """Return these processes with their children, their children's children, and so on."""
    children: dict[int, list[Process]] = {}
    for process in table:
        children.setdefault(process.parent, []).append(process)
    found: set[Process] = set()
    left = list(roots)
    while left:
        process = left.pop()
        if process not in found:
            found.add(process)
            left.extend(children.get(process.pid, ()))
    return found


def ancestors(table: Iterable[Process], process: Process) -> set[Process]:
    """Return a process's parent, the parent's parent, and so on."""
    by_pid = {each.pid: each for each in table}
    found: set[Process] = set()
    above = by_pid.get(process.parent)
    while above is not None and above not in found:
        found.add(above)
        above = by_pid.get(above.parent)
    return found


def paths_of(pid: int) -> Iterator[str]:
    """Yield where a process is, what it runs, and what it has open: paths, and such as `pipe:[1234]`.

    A file that was deleted is yielded under the name that it had.
    """
    place = f"{_PROC}/{pid}"
    links = [f"{place}/cwd", f"{place}/root", f"{place}/exe"]
    with contextlib.suppress(OSError):
        links += [f"{place}/fd/{number}" for number in os.listdir(f"{place}/fd")]  # noqa: PTH208
    for link in links:
        try:
            yield os.readlink(link).removesuffix(" (deleted)")  # noqa: PTH115 - it may be no path at all
        except OSError:
            continue


def working_folder(pid: int) -> str | None:
    """Return where a process is; None if it may not be looked into."""
    try:
        return os.readlink(f"{_PROC}/{pid}/cwd").removesuffix(" (deleted)")  # noqa: PTH115 - as above
    except OSError:
        return None


def below(path: str, folder: Path) -> bool:
    """Tell whether a path of a process is this folder, or in it."""
    return path == str(folder) or path.startswith(f"{folder}/")


def environment(pid: int) -> frozenset[bytes]:
    """Return the `NAME=value` with which a process was started."""
    return frozenset(_words(pid, "environ"))


def arguments(pid: int) -> list[bytes]:
    """Return the words of the command that a process is."""
    return _words(pid, "cmdline")


def _words(pid: int, file: str) -> list[bytes]:
    try:
        return (_PROC / str(pid) / file).read_bytes().split(b"\0")
    except OSError:
        return []


def user_of(pid: int) -> int | None:
    """Return whose process it is (real user id); the owner of its folder is another's for one that hides its memory."""
    try:
        status = (_PROC / str(pid) / "status").read_bytes()
    except OSError:
        return None
    found = [line.split() for line in status.splitlines() if line.startswith(b"Uid:")]
    return int(found[0][1]) if found else None
