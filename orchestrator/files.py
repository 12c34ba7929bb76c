"""Files of our own where somebody else may have planted a link, a pipe or a very large file: none does harm."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import IO

from orchestrator.effects import reached

__all__ = [
    "Elsewhere",
    "delete",
    "drafts_left",
    "folder_id",
    "open_new",
    "place_in",
    "read_bounded",
    "text_in",
    "write_in",
    "write_whole",
]


class Elsewhere(Exception):
    """What a path of somebody's folder leads to is no ordinary file in that folder; the message says what it is."""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; a link that stands there is replaced, not followed."""
    handle, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        reached("file-write")
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def drafts_left(run_folder: Path) -> list[Path]:
    """Return what `write_whole` was about to put into a run's folder when it was killed."""
    places = (run_folder, run_folder / "prompts", run_folder / "set-aside")
    found = [draft for place in places for draft in place.glob(".new-*")]
    authors = (run_folder / "authors").rglob(".new-*")  # by the names of files, which may begin in the same way
    return [*found, *(draft for draft in authors if draft.suffix != ".json")]


def read_bounded(path: Path, limit: int) -> bytes:
    """Return the content of an ordinary file of at most `limit` bytes.

    Raises:
        OSError: it is not there, is something else (a link, too), cannot be read, or is longer.
    """
    # A pipe is opened without waiting for its writer; that has no effect on ordinary files.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no ordinary file", str(path))
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is longer than {limit} bytes", str(path))
    return content


def place_in(folder: Path, path: str) -> Path:
    """Return where a path lies in a folder.

    Raises:
        Elsewhere: a link on the way leads out of the folder.
    """
    place = folder / path
    if folder.is_symlink() or not place.parent.resolve().is_relative_to(folder.resolve()):
        raise Elsewhere(f"{path} leads out of the worktree through a symbolic link")
    return place


def text_in(folder: Path, path: str) -> str:
    """Return the text of a file in a folder, with its line ends as they are; empty if there is none.

    Raises:
        Elsewhere: it lies outside, or is a link or another thing that is no ordinary file.
        UnicodeDecodeError: it is no text.
    """
    place = place_in(folder, path)
    if place.is_symlink() or (place.exists() and not place.is_file()):
        raise Elsewhere(f"{path} is no ordinary file")
    return place.read_bytes().decode("utf-8") if place.exists() else ""


def write_in(folder: Path, path: str, content: bytes) -> None:
    """Write a file in a folder, which keeps its mode; a link that stands there is replaced, as git does.

    Raises:
        Elsewhere: it would be written outside, or something stands there that is no ordinary file.
        OSError: it cannot be written.
    """
    place = place_in(folder, path)
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink():
        place.unlink()
    elif place.exists() and not place.is_file():
        raise Elsewhere(f"{path} is no ordinary file")
    # A pipe is opened without waiting for its reader. The file is never empty, should a kill come between.
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(place, flags, 0o666), "wb") as file:
        file.write(content)
        file.truncate()


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
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:  # rmtree would open a pipe, and wait for its writer
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()
