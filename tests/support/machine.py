"""A machine of the test's own: processes in a mount namespace, where a disk is as small, full or read-only as the test wants."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.orch import ORCH, Said
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Machine", "a_machine"]


@dataclass(frozen=True)
class Machine:
    """A user and mount namespace that lasts as long as its keeper; what is mounted in it is not seen outside."""

    keeper: subprocess.Popen[bytes]

    def run(self, *words: str | Path, cwd: Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a command on the machine to its end."""
        enter = ["nsenter", "--user", "--preserve-credentials", "--mount", f"--target={self.keeper.pid}"]
        command = [*enter, "env", f"--chdir={cwd}", *map(str, words)]
        return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=110)

    def shell(self, command: str) -> str:
        """Run a shell command, which must go well, and return what it printed."""
        done = self.run("sh", "-ec", command, cwd=Path("/"))
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout.decode(errors="replace")

    def orch(self, *arguments: str | Path, cwd: Path) -> Said:
        """Run `orch` to its end."""
        done = self.run(*ORCH, *arguments, cwd=cwd)
        return Said(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def disk(self, place: Path, size: str) -> Path:
        """Mount a disk of a size on a new folder."""
        self.shell(f"mkdir -p {place}; mount -t tmpfs -o size={size} tmpfs {place}")
        return place

    def repository(self, place: Path, seed: Path) -> RepoOn:
        """Make a repository as `make_repo` does, by way of a folder `seed` that is seen outside."""
        make_repo(seed)
        self.shell(f"cp -a {seed} {place}")
        return RepoOn(place, machine=self)


@dataclass(frozen=True)
class RepoOn(Repo):
    """A repository that is seen on a machine only; git is asked there."""

    machine: Machine = field(kw_only=True)

    def git_bytes(self, *arguments: str | Path, stdin: bytes = b"") -> bytes:
        done = self.machine.run("git", *arguments, cwd=self.path, stdin=stdin)
        assert done.returncode == 0, f"git {arguments}: {done.stderr.decode(errors='replace')}"
        return done.stdout


@contextmanager
def a_machine() -> Iterator[Machine]:
    """Start a machine, or skip the test where that may not be."""
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", "echo up; exec cat"]
    try:
        keeper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except FileNotFoundError:
        pytest.skip("there is no `unshare` here")
    try:
        assert keeper.stdout is not None
        up = keeper.stdout.readline()
        if not up:
            pytest.skip(f"no namespaces here: {keeper.communicate()[1].decode(errors='replace').strip()}")
        yield Machine(keeper)
    finally:
        keeper.communicate()
