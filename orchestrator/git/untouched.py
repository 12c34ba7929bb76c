"""Files of a checkout that nobody has touched since git wrote them.

Git cannot always tell. It compares times by the second, and within that second content, through the line-end conversions
and filters of this moment: a file written under `eol=crlf` counts as modified once `.gitattributes` says so no more, and
a stored CRLF under `text` always does (measured with git 2.39). Its index knows the times to the nanosecond, though.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.git.parse import decode

if TYPE_CHECKING:
    import os
    from collections.abc import Collection
    from pathlib import Path

    from orchestrator.git.command import Git

__all__ = ["untouched"]

_RECORD = re.compile(
    rb"(?P<mode>\d{6}) (?P<blob>[0-9a-f]+) 0\t(?P<path>[^\0]+)\0"
    rb"  ctime: (?P<cs>\d+):(?P<cn>\d+)\n  mtime: (?P<ms>\d+):(?P<mn>\d+)\n"
    rb"  dev: \d+\tino: (?P<ino>\d+)\n  uid: \d+\tgid: \d+\n  size: (?P<size>\d+)\t.*\n"
)


def untouched(git: Git, paths: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return mode and blob in the index of those ordinary files, among these, that are as git left them, to the nanosecond.

    A file system without such times, or a git that tells of them in another way, makes every file count as touched.
    """
    assert git.work_tree is not None
    found = {}
    for record in _RECORD.finditer(git.run("ls-files", "--stage", "--debug", "-z").out):
        path = decode(record["path"])
        if path in paths and record["mode"].startswith(b"100") and _is_as_recorded(git.work_tree / path, record):
            found[path] = (record["mode"].decode("ascii"), record["blob"].decode("ascii"))
    return found


def _is_as_recorded(place: Path, record: re.Match[bytes]) -> bool:
    try:
        now: os.stat_result = place.lstat()
    except OSError:
        return False
    number = {key: int(record[key]) for key in ("cs", "cn", "ms", "mn", "ino", "size")}
    return (
        bool(number["cn"] or number["mn"])
        and now.st_ctime_ns == number["cs"] * 10**9 + number["cn"]
        and now.st_mtime_ns == number["ms"] * 10**9 + number["mn"]
        and now.st_ino & 0xFFFFFFFF == number["ino"]
        and number["size"] in (0, now.st_size & 0xFFFFFFFF)  # 0: git found it modified within the same second
    )
