"""Gates that passed need not run again on the same files: what they came to is kept, for all runs of a repository.

An entry is found by the tree, the gate's definition, and what the command runs with (`toolchain_of`). Only runs that passed
with no failed test are kept, since a failure may be a flake, and the verdict is given anew each time, as bases differ. Each
entry is one file, written aside and renamed. One that is damaged counts as none; none is needed, so no fault of the disk is
an error.
Like the journal, the folder can be written by whoever runs as the same user.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from orchestrator.files import read_bounded, write_whole
from orchestrator.model.gates import GateOutcome  # noqa: TC001 - entries are read by it
from orchestrator.model.plan import spec_hash

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.model.plan import Gate

__all__ = ["CacheKey", "GateCache", "key_of", "toolchain_of"]

_MOST_ENTRIES = 2000
_MOST_BYTES = 256 * 1024 * 1024  # in all
_LARGEST = 16 * 1024 * 1024  # of one entry: some 150,000 tests
_STEERING = ("PATH", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "NODE_PATH", "JAVA_HOME", "LANG", "LC_ALL", "TZ", "CI")
_WORD = re.compile(r"[^\s\"'`;&|()<>{}$=]+")
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheKey:
    """By what an entry is found: a tree, and the digests of a gate and of what its command runs with."""

    tree: str
    gate: str
    toolchain: str

    @property
    def file(self) -> str:
        """The name of the entry's file."""
        return hashlib.sha256(f"1 {self.tree} {self.gate} {self.toolchain}".encode()).hexdigest() + ".json"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """What a file holds; `check` is the digest of all the rest."""

    key: CacheKey
    outcome: GateOutcome
    check: str = ""


_ENTRY = TypeAdapter(_Entry)


class GateCache:
    """What gates came to that passed, in a folder of its own. Several threads and processes may use it at once."""

    def __init__(self, folder: Path, most: int = _MOST_ENTRIES) -> None:
        self._folder = folder
        self._most = most

    def get(self, key: CacheKey) -> GateOutcome | None:
        """Return what a gate came to; None if that is not known."""
        path = self._folder / key.file
        try:
            entry = _ENTRY.validate_json(read_bounded(path, _LARGEST))
        except (OSError, ValidationError):
            return None
        if entry.key != key or entry.check != _digest(entry) or not _counts(entry.outcome):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # those that are used stay
        return entry.outcome

    def put(self, key: CacheKey, outcome: GateOutcome) -> None:
        """Remember what a gate came to, if it passed; the entries that were not used for longest make room."""
        if not _counts(outcome):
            return
        entry = _Entry(key=key, outcome=replace(outcome, said="", output=None))  # these are of the run that it was
        content = _ENTRY.dump_json(replace(entry, check=_digest(entry)))
        if len(content) > _LARGEST:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._folder / key.file, content)
            self._make_room()

    def _make_room(self) -> None:
        files = [path for path in self._folder.iterdir() if path.suffix == ".json" or path.name.startswith(".new-")]
        known = []
        for path in files:
            with contextlib.suppress(FileNotFoundError):  # another process makes room, too
                status = path.lstat()
                known.append((status.st_mtime_ns, status.st_size, path))
        total = 0
        for count, (_, size, path) in enumerate(sorted(known, reverse=True), start=1):
            total += size
            if count > self._most or total > _MOST_BYTES:
                path.unlink(missing_ok=True)


def key_of(gate: Gate, tree: str, environment: Mapping[str, str]) -> CacheKey:
    """Return by what the outcome of a gate on a tree is found, if it is run in this environment."""
    return CacheKey(tree=tree, gate=spec_hash(gate), toolchain=toolchain_of(gate.run, environment))


def toolchain_of(command: str, environment: Mapping[str, str]) -> str:
    """Return a digest of what a command runs with, as far as that can be told in milliseconds.

    In it are: the system and its release; `PATH` and a few more variables that steer programs, and those that the command
    names; and each word of the command that is a program outside the tree: its path, the file that this leads to, with
    size and time of change, and the times of change of the `site-packages` beside it, which installing something changes.

    Not in it are: what such a program loads or starts in turn (libraries of the system, a compiler that `make` calls), the user's
    configuration, services, network and clock. Who changes one of these removes the folder of the cache.
    """
    names = sorted({*_STEERING, *_VARIABLE.findall(command)})
    parts: list[object] = [platform.system(), platform.release(), platform.machine()]
    parts += [(name, environment.get(name)) for name in names if not name.startswith("ORCH_")]  # these differ by run
    search = os.pathsep.join(p for p in environment.get("PATH", "").split(os.pathsep) if p.startswith("/"))
    for word in sorted({"/bin/sh", *_WORD.findall(command)}):
        if ("/" not in word or word.startswith("/")) and (program := shutil.which(word, path=search)):
            parts.extend(_identity(Path(program)))
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _identity(program: Path) -> Iterator[object]:
    with contextlib.suppress(OSError):
        real = program.resolve(strict=True)
        status = real.stat()
        yield str(program), str(real), status.st_size, status.st_mtime_ns
    for packages in sorted(program.parent.parent.glob("lib/python*/*-packages")):
        with contextlib.suppress(OSError):
            yield str(packages), packages.stat().st_mtime_ns


def _counts(outcome: GateOutcome) -> bool:
    return outcome.passed and not outcome.failed_tests


def _digest(entry: _Entry) -> str:
    return hashlib.sha256(_ENTRY.dump_json(replace(entry, check=""))).hexdigest()
