"""Real git repositories for tests, driven by plain git and not by the code under test."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Repo", "make_repo"]

_IDENTITY = {
    "GIT_AUTHOR_NAME": "A Person",
    "GIT_AUTHOR_EMAIL": "person@example.org",
    "GIT_COMMITTER_NAME": "A Person",
    "GIT_COMMITTER_EMAIL": "person@example.org",
    "GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z",
    "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


@dataclass(frozen=True)
class Repo:
    """A repository on disk, and a few words to work with it."""

    path: Path

    def git(self, *arguments: str | Path, stdin: bytes = b"") -> str:
        """Run git here and return what it says, without the last newline."""
        return os.fsdecode(self.git_bytes(*arguments, stdin=stdin)).removesuffix("\n")

    def git_bytes(self, *arguments: str | Path, stdin: bytes = b"") -> bytes:
        """Run git here and return its bytes."""
        done = subprocess.run(
            ["git", *map(str, arguments)], cwd=self.path, env={**os.environ, **_IDENTITY}, input=stdin,
            capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"git {arguments}: {done.stderr.decode(errors='replace')}"
        return done.stdout

    def write(self, path: str, text: str | bytes) -> None:
        """Write a file."""
        place = self.path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text if isinstance(text, bytes) else text.encode())

    def commit(self, message: str = "change", **files: str) -> str:
        """Write files (`a__b_py` is `a/b.py`), commit everything, and return the commit."""
        for name, text in files.items():
            self.write(name.replace("__", "/").replace("_py", ".py").replace("_txt", ".txt"), text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.head()

    def head(self, revision: str = "HEAD") -> str:
        """Return the commit a revision names."""
        return self.git("rev-parse", "--verify", revision)

    def tree(self, revision: str = "HEAD") -> str:
        """Return the tree of a revision."""
        return self.git("rev-parse", "--verify", f"{revision}^{{tree}}")

    def files(self, revision: str = "HEAD") -> list[str]:
        """Return the paths in a revision."""
        return [p for p in self.git("ls-tree", "-r", "-z", "--name-only", revision).split("\0") if p]

    def show(self, path: str, revision: str = "HEAD") -> str:
        """Return a file's text in a revision."""
        return self.git_bytes("cat-file", "blob", f"{revision}:{path}").decode()

    def status(self) -> str:
        """Return what `git status` says, short."""
        return self.git("status", "--porcelain")


def make_repo(path: Path, **files: str) -> Repo:
    """Make a repository with a branch `main` and one commit."""
    path.mkdir(parents=True)
    repo = Repo(path)
    repo.git("init", "--quiet", "--initial-branch", "main")
    repo.commit("start", **(files or {"README_txt": "start\n"}))
    return repo
