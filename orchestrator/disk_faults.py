"""Faults of a disk, told from bugs of ours and from failures of an agent's work."""

from __future__ import annotations

import errno
import os
import tempfile
from typing import TYPE_CHECKING

from orchestrator.errors import DiskError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HINT", "disk_error_in", "refuse_faulty_disk"]

HINT = "Free some space, or make it writable; then run again, or go on with `orch resume`."

_FAULTS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM})
_ROOM = 1024 * 1024  # bytes; a disk with less to spare is full: git alone writes that much in a few tasks


def refuse_faulty_disk(*folders: Path) -> None:
    """Raise if nothing can be written in one of these folders, or in the nearest one above it that is there.

    This is tried, with a file that has no name: quotas and read-only mounts do not show otherwise, nor what git met.

    Raises:
        DiskError: nothing can; the message says where, and why.
    """
    for folder in folders:
        place = next(p for p in (folder, *folder.parents) if p.is_dir())
        try:
            with tempfile.TemporaryFile(dir=place) as probe:
                probe.write(bytes(_ROOM))
                probe.flush()
        except OSError as error:
            raise DiskError(f"Nothing can be written in {place}: {error.strerror}.", hint=HINT) from error


def disk_error_in(error: BaseException) -> DiskError | None:
    """Return what an exception says of a disk: itself, one that it holds, or one that it came from. None if nothing."""
    if isinstance(error, DiskError):
        return error
    if isinstance(error, OSError) and error.errno in _FAULTS:
        what = f"{os.fsdecode(error.filename)} cannot" if error.filename else "A file cannot"
        return DiskError(f"{what} be read or written: {error.strerror}.", hint=HINT)
    causes = error.exceptions if isinstance(error, BaseExceptionGroup) else (error.__cause__,)
    return next((found for cause in causes if cause and (found := disk_error_in(cause))), None)
