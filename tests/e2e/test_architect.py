"""Making plans: a first one by hand, and one that an agent writes until it is valid."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.orch import orch
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e

PLAN = """
version: 1
name: shop
contracts: {files: {contracts/cart.md: {from: cart.md}}}
tasks:
  - {id: cart, writes: ["src/**"], steps: [{write: {path: src/cart, text: "x"}}]}
"""
ARCHITECT = f"""
import os, pathlib
folder = pathlib.Path("orch-plan")
folder.mkdir(exist_ok=True)
if os.environ["ORCH_GENERATION"] == "1":
    (folder / "plan.yaml").write_text("version: 1\\nname: x\\ntasks: []\\nnonsense: 1\\n")
else:
    assert "the key 'nonsense' is not known here" in open(os.environ["ORCH_PROMPT"]).read()
    (folder / "cart.md").write_text("A cart has lines.")
    (folder / "plan.yaml").write_text({PLAN!r})
"""


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    (tmp_path / "architect.py").write_text(ARCHITECT)
    return make_repo(tmp_path / "shop", **{"src/a.py": "x", "lib/b.py": "y", "docs/c.md": "z", "package.json": "{}"})


def program(tmp_path: Path) -> list[str]:
    return ["--kind", "command", "--command", shlex.join([sys.executable, str(tmp_path / "architect.py")])]


def test_a_first_plan_is_valid_as_it_stands(repo: Repo, tmp_path: Path) -> None:
    out = tmp_path / "plan.yaml"
    assert orch("init", "--out", out, cwd=repo.path).code == 0
    text = out.read_text()
    assert ('src: {owns: ["src/**"]}' in text, 'lib: {owns: ["lib/**"]}' in text, "docs:" in text) == (
        True,
        True,
        False,
    )
    assert 'run: "npm test"' in text
    assert orch("check", out, cwd=repo.path).code == 0
    again = orch("init", "--out", out, cwd=repo.path)
    assert (again.code, "is there already" in again.err) == (2, True)


def test_an_agent_writes_a_plan_until_it_is_valid_and_nothing_else_happens(repo: Repo, tmp_path: Path) -> None:
    before, out = repo.head(), tmp_path / "planned"
    said = orch("plan", "a shop", *program(tmp_path), "--out", out, cwd=repo.path)
    assert said.code == 0, said.out + said.err
    assert sorted(place.name for place in out.iterdir()) == ["cart.md", "plan.yaml"]
    assert "Run it: orch run" in said.out
    assert (repo.head(), repo.status(), list((repo.path / ".git/orch").iterdir())) == (before, "", [])
    taken = orch("plan", "a shop", *program(tmp_path), "--out", out, cwd=repo.path)
    assert (taken.code, "not empty" in taken.err) == (2, True)


def test_a_plan_that_was_written_is_run_if_that_is_wanted(repo: Repo, tmp_path: Path) -> None:
    said = orch("plan", "a shop", *program(tmp_path), "--out", tmp_path / "planned", "--yes", cwd=repo.path)
    assert said.code == 0, said.out + said.err
    assert repo.show("src/cart", "main") == "x"


def test_an_architect_that_never_gets_it_right_leaves_what_it_tried(repo: Repo, tmp_path: Path) -> None:
    never = ["--kind", "command", "--command", "mkdir -p orch-plan; echo nonsense > orch-plan/plan.yaml"]
    said = orch("plan", "a shop", *never, "--attempts", "1", "--out", tmp_path / "planned", cwd=repo.path)
    assert (said.code, "No plan was written. What was tried is in" in said.err) == (1, True)
    assert not (tmp_path / "planned").exists()
