"""Run a program that may write only where it was told, and reach only some TCP ports: Landlock, a part of Linux since 5.13.

Started as a script of its own by an isolated Python, before the program and in its place, so it uses the standard library
alone. Arguments: a JSON object `{"write": [folders], "open": [files and folders], "tcp": [ports] or null}`, then the program
and its arguments. In folders of `write` everything can be made, changed and removed; below those of `open` only what is there
can be written, such as devices. The system calls, the structures and the bits are those of linux/landlock.h up to version 7
of the interface; what a kernel does not know is left out. What was forbidden once stays so for the program and all that it
starts, also under root.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import stat
import sys

__all__ = ["version"]

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on every architecture
_VERSION = 1  # flag: only tell the interface's version
_PATH, _PORT = 1, 2  # types of rules
_NO_NEW_PRIVILEGES, _GIVE_UP = 38, 24  # of prctl(2)
# What root can do (capabilities(7)) and would lead out: by handles of files, modules, devices, other processes' memory, mounts,
# the clock, higher limits, the kernel's messages, programs in the kernel.
_ROOTS = (2, 9, 12, 16, 17, 19, 21, 22, 24, 25, 27, 34, 38, 39)

_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
_CHANGE = (
    _WRITE_FILE | 1 << 4 | 1 << 5  # remove folders and files
    | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 12  # make folders, files, sockets, pipes, links
)  # fmt: skip
_NEVER = 1 << 6 | 1 << 11  # make devices
_REFER = 1 << 13  # rename and link across folders; since version 2
_CONNECT = 1 << 1  # since version 4
_SCOPES = 1 << 0 | 1 << 1  # abstract sockets of others, and signals to others; since version 6
_LONGEST_FILE = 4 << 30  # bytes; a sparse file of more costs nothing to make, and hours to take in
_PROCESSES = 4096  # more than the user has at the start; root is not counted
_CANNOT = 125  # what we exit with if the program may not be started at all


class _Rules(ctypes.Structure):
    _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32)]


class _Port(ctypes.Structure):
    _fields_ = [("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64)]


def version() -> int:
    """Return the version of the kernel's interface; 0 if there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    try:
        return _call(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    except OSError:
        return 0


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    result: int = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _allow(handle: int, path: str, wanted: int) -> None:
    """Allow what is wanted below a folder, or of it what can be done to a file; a link is not followed."""
    place = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    folder = stat.S_ISDIR(os.fstat(place).st_mode)
    allowed = wanted if folder else wanted & (_WRITE_FILE | _TRUNCATE)
    _call(_ADD, ctypes.c_int(handle), ctypes.c_int(_PATH), ctypes.byref(_Beneath(allowed, place)), ctypes.c_uint32(0))
    os.close(place)


def restrict(write: list[str], opened: list[str], tcp: list[int] | None) -> None:
    """Let this process write only below these paths, and connect only to these ports (None: to any).

    Raises:
        OSError: there is no Landlock here, or a path is gone.
    """
    abi = version()
    if not abi:
        raise OSError("this kernel has no Landlock")
    known = _REFER if abi >= 2 else 0
    known |= _TRUNCATE if abi >= 3 else 0
    change = _CHANGE | known
    rules = _Rules(change | _NEVER, _CONNECT if tcp is not None and abi >= 4 else 0, _SCOPES if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    handle = _call(_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0))
    for path in write:
        _allow(handle, path, change)
    for path in opened:
        if os.path.lexists(path):
            _allow(handle, path, _WRITE_FILE | (known & _TRUNCATE))
    for port in (tcp or ()) if rules.net else ():
        rule = _Port(_CONNECT, port)
        _call(_ADD, ctypes.c_int(handle), ctypes.c_int(_PORT), ctypes.byref(rule), ctypes.c_uint32(0))
    libc = ctypes.CDLL(None, use_errno=True)
    for number in _ROOTS:
        libc.prctl(_GIVE_UP, *map(ctypes.c_ulong, (number, 0, 0, 0)))  # fails for those who are not root, and have none
    if libc.prctl(_NO_NEW_PRIVILEGES, *map(ctypes.c_ulong, (1, 0, 0, 0))):
        raise OSError(ctypes.get_errno(), "no_new_privs")
    _call(_RESTRICT, ctypes.c_int(handle), ctypes.c_uint32(0))
    os.close(handle)


def _threads() -> int:
    """Return how many threads the user has: the system counts them all."""
    found = 0
    with os.scandir("/proc") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and entry.stat().st_uid == os.getuid():
                    found += len(list(os.scandir(f"{entry.path}/task")))
    return found


def _limit() -> None:
    """Bound what one program can take at once: the length of a file, and the number of processes of an ordinary user."""
    limits = [(resource.RLIMIT_FSIZE, _LONGEST_FILE)]
    if os.getuid():
        limits.append((resource.RLIMIT_NPROC, _threads() + _PROCESSES))
    for what, most in limits:
        hard = resource.getrlimit(what)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (least, least))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Restrict this process, and become the program."""
    try:
        told = json.loads(sys.argv[1])
        _limit()
        if told["write"] is not None:
            restrict(told["write"], told["open"], told["tcp"])
    except (OSError, ValueError, KeyError, IndexError) as fault:
        sys.stderr.write(f"the program was not started, since it cannot be confined: {fault}\n")
        sys.exit(_CANNOT)
    program = sys.argv[2:]
    try:
        os.execvp(program[0], program)  # noqa: S606 - what we were started for
    except OSError as fault:
        sys.stderr.write(f"{program[0]}: {fault.strerror}\n")
        sys.exit(127 if isinstance(fault, FileNotFoundError) else 126)


if __name__ == "__main__":
    main()
