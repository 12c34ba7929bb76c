"""Reading and copying a folder that somebody else has filled: byte for byte, and never through a link.

Each file is opened relative to its opened folder, so that a folder which is swapped for a link meanwhile leads nowhere. Git is
not let near it: what is ignored, nested repositories, and what git would wait for are all seen as what they are.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.errors import WorkspaceError
from orchestrator.files import folder_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

__all__ = ["copy_folder", "entries_of"]

_POINTER = b"gitdir: "
_CHUNK = 1 << 20


class _Found(NamedTuple):
    """One thing in a folder: its path, and what opens it while the walk is there."""

    path: str
    name: str
    above: int
    status: os.stat_result


def entries_of(folder: Path, algorithm: str) -> dict[str, tuple[str, str]]:
    """Return path → (mode, name of the blob) for every file and link below a folder, as git would store it.

    `algorithm` is that of the repository's names: `sha1` or `sha256`. The file that makes the folder a worktree is left out.

    Raises:
        WorkspaceError: something in it cannot be read, or is no file, folder or link.
    """
    try:
        return {f.path: _entry(f, algorithm) for f in _walk(folder) if not stat.S_ISDIR(f.status.st_mode)}
    except OSError as error:
        raise WorkspaceError(f"{folder} cannot be read: {error}") from error


def _entry(found: _Found, algorithm: str) -> tuple[str, str]:
    mode = found.status.st_mode
    if stat.S_ISLNK(mode):
        target = os.fsencode(os.readlink(found.name, dir_fd=found.above))
        return "120000", _new_blob(algorithm, len(target), target).hexdigest()
    if not stat.S_ISREG(mode):
        raise WorkspaceError(f"{found.path} is no file, folder or link")
    with _open(found) as file:
        size, read = os.fstat(file.fileno()).st_size, 0
        digest = _new_blob(algorithm, size)
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            read += len(chunk)
    if read != size:
        raise WorkspaceError(f"{found.path} changed while it was read")
    return "100755" if mode & stat.S_IXUSR else "100644", digest.hexdigest()


def copy_folder(source: Path, target: Path) -> list[str]:
    """Copy what is below a folder into another one, which is there and empty; modes and links are kept.

    Returns the paths that were left out, because they are no file, folder or link.

    Raises:
        WorkspaceError: `source` is no folder, or is changing.
        OSError: something cannot be read or written.
    """
    left_out, modes = [], []
    for found in _walk(source):
        place, mode = target / found.path, found.status.st_mode
        if stat.S_ISDIR(mode):
            place.mkdir(mode=0o700)
            modes.append((place, stat.S_IMODE(mode) & 0o777))
        elif stat.S_ISLNK(mode):
            place.symlink_to(os.readlink(found.name, dir_fd=found.above))
        elif stat.S_ISREG(mode):
            with _open(found) as file, place.open("xb") as copy:
                shutil.copyfileobj(file, copy, _CHUNK)
                os.fchmod(copy.fileno(), stat.S_IMODE(mode) & 0o777)
        else:
            left_out.append(found.path)
    for place, bits in reversed(modes):  # last, and the innermost first: a folder may be read-only
        place.chmod(bits)
    return left_out


def _walk(folder: Path) -> Iterator[_Found]:
    if folder_id(folder) is None:
        raise WorkspaceError(f"{folder} is no folder")
    listed, walked = 1, 0
    for above, folders, names, descriptor in os.fwalk(folder, onerror=_raise):
        walked += 1
        below = os.path.relpath(above, folder)
        for name in (*folders, *names):
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            listed += stat.S_ISDIR(status.st_mode)
            found = _Found(name if below == "." else f"{below}/{name}", name, descriptor, status)
            if not _is_pointer(found):
                yield found
    if walked != listed:
        raise WorkspaceError(f"{folder} changed while it was read")


def _raise(error: OSError) -> None:
    raise error


def _is_pointer(found: _Found) -> bool:
    """Tell whether this is the file that leads from a worktree to its repository, and nothing else."""
    if found.path != ".git" or not stat.S_ISREG(found.status.st_mode) or found.status.st_size > 4096 + len(_POINTER):
        return False
    with _open(found) as file:
        text = file.read()
    return text.startswith(_POINTER) and b"\n" not in text[:-1]


def _open(found: _Found) -> IO[bytes]:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return os.fdopen(os.open(found.name, flags, dir_fd=found.above), "rb")


def _new_blob(algorithm: str, size: int, start: bytes = b"") -> hashlib._Hash:
    return hashlib.new(algorithm, b"blob %d\0" % size + start, usedforsecurity=False)
