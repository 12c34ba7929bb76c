"""Whether a worktree that an attempt has left may become another attempt's, and what git would not put right in it.

Git restores contents. It does not see who still sits in a folder, modes apart from one bit, further names of a file
elsewhere, and extended attributes: through each of these, one attempt could reach into the next.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.processes import table

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["make_as_new"]

_HARMLESS = ("security.",)  # what the system itself puts on every file


def make_as_new(folder: Path) -> bool:
    """Put right what git would not, in a folder that no process works in; return False if it cannot be used again.

    Files that are not as git makes them are deleted: it writes them anew.
    """
    pointer = folder / ".git"
    if pointer.is_symlink() or not pointer.is_file() or not _deserted(folder):
        return False
    usual = stat.S_IMODE(folder.parent.stat().st_mode)
    try:
        if _marked(folder):
            return False
        folder.chmod(usual)
        pointer.unlink()
        for entry in _below(folder):
            if not entry.is_dir(follow_symlinks=False):
                if _is_unusual(entry, usual):
                    Path(entry.path).unlink()
            elif _marked(entry.path):
                return False
            else:
                Path(entry.path).chmod(usual)
    except OSError:
        return False
    return True


def _deserted(folder: Path) -> bool:
    """Tell whether no process is in a folder or has a file of it open, as far as anybody can tell."""
    return table.is_complete() and not any(
        table.below(path, folder) for process in table.all_processes() for path in table.paths_of(process.pid)
    )


def _below(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path)


def _is_unusual(entry: os.DirEntry[str], usual: int) -> bool:
    """Tell whether a file or link is not as git makes it: its mode, names, attributes. `usual` is the mode of a folder."""
    found = entry.stat(follow_symlinks=False)
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        return found.st_nlink != 1
    as_made = {usual & 0o666, usual & 0o777}
    return not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or mode not in as_made or _marked(entry.path)


def _marked(path: str | Path) -> bool:
    if not hasattr(os, "listxattr"):  # not on macOS
        return False
    return any(not name.startswith(_HARMLESS) for name in os.listxattr(path, follow_symlinks=False))
