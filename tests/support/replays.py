"""Histories planned and run through the command line, and where each line of the result should come from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.git.repository import Repository
from orchestrator.provenance import View, origins
from tests.support.orch import orch
from tests.support.repos import Repo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.histories import History

__all__ = ["Replay", "assert_blame_agrees", "replay"]


@dataclass(frozen=True)
class Replay:
    """A history, and the clone in which a plan made of it has been run; `tasks` tells which one brought a commit in."""

    source: Repo
    head: str
    clone: Repo
    plan: Path
    tasks: dict[str, str]

    def expected(self, path: str) -> list[str | None]:
        """Return the task of each line, by plain `git blame` in the source; None if the line is older than the range."""
        found: list[str | None] = []
        commit = ""
        for raw in self.source.git_bytes("blame", "--porcelain", self.head, "--", path).split(b"\n"):
            if raw.startswith(b"\t"):
                found.append(self.tasks.get(commit))
                commit = ""
            elif raw and not commit:
                commit = raw.split(b" ")[0].decode()
        return found

    def blamed(self, path: str) -> list[str | None]:
        """Return the task of each line in the clone, as `orch blame` finds it."""
        found = origins(View(Repository.open(self.clone.path).own, "HEAD"), path)
        return [origin.provenance.task if origin.provenance else None for origin in found]

    def is_binary(self, path: str) -> bool:
        """Tell whether a file of the end is no text, as git sees it; then it has no lines in `orch blame --all`."""
        return b"\0" in self.source.git_bytes("cat-file", "blob", f"{self.head}:{path}")[:8000]

    def blamed_at_once(self) -> dict[str, list[str | None]]:
        """Return the task of each line of every file in the clone, as `orch blame --all` finds them."""
        said = orch("blame", "--all", "--rev", "HEAD", "--json", cwd=self.clone.path)
        assert said.code == 0, said.err
        files = said.json["files"]
        return {path: [r[3] for r in found for _ in range(r[0], r[1] + 1)] for path, found in files.items()}

    def shown(self, path: str) -> list[dict[str, Any]]:
        """Return what the command line says of each line of a file in the clone."""
        said = orch("blame", "--json", "--", path, cwd=self.clone.path)
        assert said.code == 0, said.err
        return [json.loads(line) for line in said.out.splitlines()]

    def files(self) -> list[str]:
        """Return the files and links of the end, without submodules."""
        entries = self.source.git("ls-tree", "-r", "-z", self.head).split("\0")
        return [e.partition("\t")[2] for e in entries if e and not e.startswith("160000")]


def replay(
    tmp_path: Path,
    history: History,
    *init: str,
    jobs: int = 2,
    start: int = 1,
    prepare: Callable[[Repo], Any] | None = None,
    more: str = "",
) -> Replay:
    """Plan what follows a commit, run it on a clone that stands there, and compare the trees; `more` is added to the plan."""
    source, ids = history.write(tmp_path / "source", *init)
    base, head = ids[start - 1], ids[history.tip - 1]
    plan, clone = tmp_path / "plan", Repo(tmp_path / "clone")
    said = orch("plan", "from-history", source.path, f"{base}..{head}", "--out", plan, cwd=tmp_path)
    assert said.code == 0, said.err
    source.git("clone", "--quiet", "--no-checkout", source.path, clone.path)
    if prepare:
        prepare(clone)
    clone.git("checkout", "--quiet", "-B", "work", base)
    with (plan / "plan.yaml").open("a") as file:
        file.write(more)
    said = orch("run", plan / "plan.yaml", "--repo", clone.path, "--jobs", str(jobs), cwd=tmp_path)
    assert clone.tree() == source.tree(head), said.out + said.err
    assert said.code == 0, said.out + said.err
    assert " is kept: " not in said.out
    return Replay(source, head, clone, plan, tasks_of(source, base, head))


def tasks_of(source: Repo, base: str, head: str) -> dict[str, str]:
    """Return each commit of a range, side branches included, with the task of the first parent that brought it in."""
    chain = source.git("rev-list", "--first-parent", "--reverse", f"{base}..{head}").split()
    found: dict[str, str] = {}
    for position, commit in enumerate(chain, 1):
        for name in source.git("rev-list", f"{commit}^1..{commit}").split():
            found.setdefault(name, f"c{position}-{commit[:12]}")
    return found


def assert_blame_agrees(done: Replay) -> None:
    """Compare `orch blame` in the clone with `git blame` in the source, for every line of every file."""
    expected = {path: done.expected(path) for path in done.files()}
    assert {path: done.blamed(path) for path in expected} == expected
    texts = {path: tasks for path, tasks in expected.items() if not done.is_binary(path)}
    assert {path: tasks for path, tasks in done.blamed_at_once().items() if path in texts} == texts
