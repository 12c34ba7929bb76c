"""`orch blame`: every line knows its task, and lines that no run wrote say so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.orch import orch, write_plan
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e

MAKE = "printf 'old\\nby A\\nby A too\\n' > src/a.py; echo x > 'src/odd:7'"
CHANGE = "printf 'old\\nby B\\nby A too\\n' > src/b.py; rm src/a.py; echo b > b.txt"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    repo = make_repo(tmp_path / "repo", src__a_py="old\n")
    plan = write_plan(
        tmp_path / "p",
        [
            {"id": "A", "writes": ["src/**"], "steps": [{"run": MAKE}]},
            {"id": "B", "writes": ["src/**", "*.txt"], "needs": ["A"], "steps": [{"run": CHANGE}]},
        ],
        contracts={"files": {"contracts/c.md": "agreed\n"}},
    )  # fmt: skip
    assert orch("run", plan, "--run", "r", cwd=repo.path).code == 0
    return repo


def test_each_line_tells_its_task_across_a_rename(repo: Repo) -> None:
    lines = [json.loads(line) for line in orch("blame", "src/b.py", "--json", cwd=repo.path).out.splitlines()]
    assert [(line["line"], line["task"], line["text"]) for line in lines] == [
        (1, None, "old"),
        (2, "B", "by B"),
        (3, "A", "by A too"),
    ]
    assert lines[1] == {
        "line": 2, "commit": lines[1]["commit"], "task": "B", "generation": 1, "agent": "default", "model": "script@1",
        "run": "r", "text": "by B",
    }  # fmt: skip
    plain = orch("blame", "src/b.py", cwd=repo.path).out.splitlines()
    assert "not written by a run" in plain[0]
    assert "B gen 1 default script@1" in plain[1]
    assert "A default script@1" in repo.git("blame", "src/b.py").splitlines()[2]  # plain git says it too


def test_one_line_from_a_folder_inside_and_a_name_with_a_colon(repo: Repo) -> None:
    said = orch("blame", "b.py:2", "--json", cwd=repo.path / "src")
    assert said.json["task"] == "B"
    assert orch("blame", "odd:7", "--json", cwd=repo.path / "src").json["task"] == "A"
    assert orch("blame", "src/odd:7:1", "--json", cwd=repo.path).json["line"] == 1
    assert orch("blame", "contracts/c.md", "--json", cwd=repo.path).json["task"] == "contracts"


def test_a_task_tells_its_lines_in_all_files(repo: Repo) -> None:
    files = orch("blame", "--task", "B", "--json", cwd=repo.path).json["files"]
    assert files == {"b.txt": [[1, 1]], "src/b.py": [[2, 2]]}
    assert orch("blame", "--task", "A", cwd=repo.path).out == "src/b.py: 3\nsrc/odd:7: 1\n"


def test_the_base_branch_is_asked_even_if_another_is_checked_out(repo: Repo) -> None:
    repo.git("checkout", "--quiet", "-b", "elsewhere", "main~2")
    assert orch("blame", "src/b.py:2", "--json", cwd=repo.path).json["task"] == "B"
    said = orch("blame", "src/b.py:2", "--rev", "HEAD", cwd=repo.path)
    assert said.code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["src/none.py"], "There is no file src/none.py"),
        (["src"], "There is no file src"),
        (["src/b.py:9"], "has 3 lines"),
        (["src/b.py", "--rev", "nope"], "no revision nope"),
        (["--task", "Z"], "No commit on refs/heads/main comes from a task Z"),
        ([], "Say either PATH[:LINE], --task ID or --all"),
        (["../outside.py"], "outside the repository"),
    ],
)
def test_what_is_not_there_is_one_sentence_and_usage(repo: Repo, arguments: list[str], words: str) -> None:
    said = orch("blame", *arguments, cwd=repo.path)
    assert (said.code, words in said.err) == (2, True), said.err


def test_forged_trailers_in_a_persons_commit_are_not_believed_when_incomplete(repo: Repo) -> None:
    repo.write("src/p.py", "mine\n")
    repo.git("add", "--all")
    repo.git("commit", "--quiet", "--message", "mine\n\nProvenance-Task: A\nProvenance-Run: r")
    assert orch("blame", "src/p.py", "--json", cwd=repo.path).json["task"] is None
