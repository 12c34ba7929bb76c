"""Which folders of a worktree a task's programs may write, and what is put back in a repository."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.confine.places import writable_folders
from orchestrator.model.globs import Scope

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("globs", "folders"),
    [
        (["src/**"], ["src"]),
        (["src/"], ["src"]),
        (["src/a.py", "src/deep/b.py", "docs/*.md"], ["docs", "src"]),
        (["src-old/x", "src/x", "src/x/y"], ["src", "src-old"]),
        (["src/{a,b}/*.py"], ["src/a", "src/b"]),
        (["src/app*/x.py"], ["src"]),
        (["!src/old/**", "src/**"], ["src"]),
        (["README.md"], ["."]),
        (["**/test_*.py", "src/**"], ["."]),
        (["linked/x/**"], ["."]),
        (["a/file/x/**"], ["a"]),
        ([], []),
    ],
)
def test_the_smallest_folders_that_hold_a_scope_are_made(tmp_path: Path, globs: list[str], folders: list[str]) -> None:
    worktree = tmp_path / "w"
    (worktree / "a").mkdir(parents=True)
    (worktree / "a/file").touch()
    (tmp_path / "elsewhere").mkdir()
    (worktree / "linked").symlink_to(tmp_path / "elsewhere")
    found = writable_folders(worktree, Scope(globs))
    assert found == [worktree / folder for folder in folders]
    assert all(folder.is_dir() for folder in found)
    assert not list((tmp_path / "elsewhere").iterdir())
