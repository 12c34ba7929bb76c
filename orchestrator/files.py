"""Writing files of our own where somebody else may have planted a link: never through one."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

__all__ = ["delete", "folder_id", "open_new", "write_whole"]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; a link that stands there is replaced, not followed."""
    handle, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def open_new(path: Path) -> IO[bytes]:
    """Open a new file for writing, unbuffered, in place of whatever has its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), "wb", buffering=0)


def folder_id(path: Path) -> tuple[int, int] | None:
    """Return what tells a folder from any other (device, inode); None if it is gone, or a link, or no folder."""
    if path.is_symlink() or not path.is_dir():
        return None
    found = path.lstat()
    return found.st_dev, found.st_ino


def delete(path: Path) -> None:
    """Delete a file or a whole folder, as far as it can be; of a link only the link."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)
