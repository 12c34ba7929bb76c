"""Words that several stories of whole runs share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.repos import Repo

__all__ = ["assert_tidy", "report_of", "task", "write"]


def write(path: str, text: str = "text\n") -> dict[str, Any]:
    return {"write": {"path": path, "text": text}}


def task(name: str, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": name, "writes": [f"{name}.txt"], "steps": list(steps or [write(f"{name}.txt")]), **more}


def report_of(repo: Repo) -> dict[str, Any]:
    (path,) = (repo.path / ".git/orch").glob("*/report.json")
    report: dict[str, Any] = json.loads(path.read_text())
    return report


def assert_tidy(repo: Repo) -> None:
    """Nothing is left over: one worktree, no lock, a clean checkout, a sound object store."""
    assert repo.git("worktree", "list").count("\n") == 0
    assert repo.status() == ""
    assert not list((repo.path / ".git").rglob("*.lock")) or all(
        p.parent.name == "orch" for p in (repo.path / ".git").rglob("*.lock")
    )
    repo.git("fsck", "--strict")
