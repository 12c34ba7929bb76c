"""Overlay mounts (Linux): one folder shows a lower one that nobody changes, and whatever is changed goes to an upper one.

They are made in the mount namespace of this process, so that everybody sees them; only root, or who has its right to mount,
can do that. A mount goes with the machine and never with a process: what is in the upper folder stays, and can be mounted again.
"""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from orchestrator.files import delete

__all__ = ["forget_probes", "is_mounted", "mount_overlay", "unmount", "why_no_overlay"]

_DETACH = 2  # umount2(2): the mount goes now, for whoever is still in it when they leave
_OPTIONS = "redirect_dir=on,index=off,metacopy=off"  # without the first, a folder of the lower layer cannot be renamed
_PROBE = ".probe-"
_MEANS_SOMETHING = set(',:\\"')  # in the options of a mount


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def mount_overlay(lower: Path, upper: Path, work: Path, at: Path) -> None:
    """Show `lower` with the changes in `upper` at the folder `at`; `work` is an empty folder beside `upper`.

    Raises:
        OSError: it cannot be mounted.
    """
    for place in (lower, upper, work):
        if _MEANS_SOMETHING & set(str(place)):
            raise OSError(f"{place} has a character in its name that means something to a mount")
    options = os.fsencode(f"lowerdir={lower},upperdir={upper},workdir={work},{_OPTIONS}")
    if _libc().mount(b"orch", os.fsencode(at), b"overlay", ctypes.c_ulong(0), options):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(at))


def unmount(at: Path, *, even_if_used: bool = False) -> None:
    """Take away what is mounted at a folder, if anything is.

    Raises:
        OSError: somebody works in it, and `even_if_used` was not said; or it may not be unmounted.
    """
    while is_mounted(at):  # of two, the later one hides the other
        if _libc().umount2(os.fsencode(at), _DETACH if even_if_used else 0):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(at))


def is_mounted(at: Path) -> bool:
    """Tell whether something is mounted at a folder."""
    try:
        here, above = at.lstat(), at.parent.lstat()
    except OSError:
        return False
    return here.st_dev != above.st_dev


def forget_probes(folder: Path) -> None:
    """Delete what is left of attempts to mount something below a folder, if a kill came between."""
    for place in folder.glob(f"{_PROBE}*"):
        with suppress(OSError):
            unmount(place / "at", even_if_used=True)
            delete(place)


def why_no_overlay(folder: Path) -> str:
    """Return why no overlay can be mounted below a folder, or an empty text; this is tried with a real one."""
    if not sys.platform.startswith("linux"):
        return "this system has no overlay mounts"
    try:
        place = Path(tempfile.mkdtemp(prefix=_PROBE, dir=folder))
    except OSError as error:
        return f"nothing can be written in {folder} ({error.strerror})"
    at = place / "at"
    try:
        for name in ("lower/folder", "upper", "work", "at"):
            (place / name).mkdir(parents=True)
        mount_overlay(place / "lower", place / "upper", place / "work", at)
        (at / "folder").rename(at / "renamed")
        (at / "file").touch()
        shown, below = {each.name for each in at.iterdir()}, [each.name for each in (place / "lower").iterdir()]
    except OSError as error:
        return f"an overlay cannot be mounted in {folder} ({error.strerror or error})"
    finally:
        with suppress(OSError):
            unmount(at, even_if_used=True)
            delete(place)
    return (
        ""
        if shown == {"file", "renamed"} and below == ["folder"]
        else f"an overlay in {folder} does not show what it should"
    )
