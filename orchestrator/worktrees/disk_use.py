"""How much of a disk a folder takes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["bytes_taken", "said_size"]

_BLOCK = 512  # bytes; what st_blocks counts, whatever the file system


def bytes_taken(folder: Path) -> int:
    """Return how many bytes are taken by what is below a folder, without what is mounted there; files come and go meanwhile."""
    try:
        device = folder.stat().st_dev
    except OSError:
        return 0
    taken, left = 0, [str(folder)]
    while left:
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    if found.st_dev != device:
                        continue
                    taken += found.st_blocks * _BLOCK
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
        except OSError:
            continue
    return taken


def said_size(size: int) -> str:
    """Return a number of bytes as a person reads it."""
    for unit, bytes_in in (("GB", 10**9), ("MB", 10**6)):
        if size >= bytes_in:
            return f"{size / bytes_in:.1f} {unit}"
    return f"{size / 1000:.1f} kB"
