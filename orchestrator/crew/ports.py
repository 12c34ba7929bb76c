"""Free ports, each leased to one attempt at a time: no two live runs on this machine hold the same.

A lease is a lock on a file that is named after the port; it ends with its process, however that ends. A port that somebody
else listens on is not given out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import socket
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import WorkspaceError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["leased_ports"]

_FIRST, _LAST = 20000, 29999  # below those that systems give to outgoing connections
_PLACE = "/tmp/orch-ports-{user}"  # noqa: S108 - one place for all runs of a user, whatever TMPDIR says; see _leases()


@contextmanager
def leased_ports(count: int) -> Iterator[tuple[int, ...]]:
    """Hold so many free ports.

    Raises:
        WorkspaceError: there are not so many, or leases cannot be kept.
    """
    with contextlib.ExitStack() as held:
        found: list[int] = []
        if count:
            place = _leases()
            start = random.randrange(_LAST - _FIRST + 1)  # noqa: S311 - so that runs seldom meet
            for number in range(_LAST - _FIRST + 1):
                port = _FIRST + (start + number) % (_LAST - _FIRST + 1)
                lease = _lease(place / str(port))
                if lease is None:
                    continue
                if not _is_free(port):
                    os.close(lease)
                    continue
                held.callback(os.close, lease)
                found.append(port)
                if len(found) == count:
                    break
            else:
                raise WorkspaceError(f"There are no {count} free ports between {_FIRST} and {_LAST}.")
        yield tuple(found)


def _leases() -> Path:
    """Return the folder of the leases, which is ours and nobody else's: anybody may have put something in its place."""
    place = Path(_PLACE.format(user=os.getuid()))
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        found = place.lstat()
    except OSError as error:
        raise WorkspaceError(f"Leases of ports cannot be kept in {place}: {error.strerror}.") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise WorkspaceError(f"Leases of ports cannot be kept in {place}: it is another user's.")
    return place


def _lease(file: Path) -> int | None:
    """Return what holds a lease until it is closed; None if somebody else has it."""
    import fcntl  # Linux and macOS; there is no such module elsewhere

    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _is_free(port: int) -> bool:
    """Tell whether nobody listens on a port, here or for others."""
    for family, host in ((socket.AF_INET, ""), (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.bind((host, port))
        except OSError as error:
            if family == socket.AF_INET or error.errno == errno.EADDRINUSE:
                return False  # else there is no IPv6 here
    return True
