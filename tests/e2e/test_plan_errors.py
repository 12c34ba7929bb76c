"""A wrong plan: every fault at once, with file, line, column, key and remedy; exit code 3; nothing touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.orch import orch
from tests.support.repos import make_repo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e

WRONG = """\
version: 1
name: wrong
contracts:
  files:
    contracts/a.md: {from: not-there.md}
tracks:
  one: {owns: ["src/**"]}
  two: {owns: ["src/two/**"]}
tasks:
  - {id: A, track: one, steps: []}
  - {id: A, writes: ["docs/**"], steps: []}
  - {id: B, writes: ["docs/x.md"], needs: [C], steps: [], limits: {wall: soon}}
  - {id: C, writes: ["../up"], needs: [B, Q], steps: []}
  - {id: D, writes: ["/etc/passwd", ".git/hooks/x"], steps: []}
  - {id: E, wirtes: [x], steps: []}
"""

EXPECTED = [
    ("plan.yaml:5:28", "not-there.md"),
    ("plan.yaml:8:", "src/two/"),
    ("plan.yaml:11:", "A"),
    ("plan.yaml:12:", "B → C → B"),
    ("plan.yaml:12:", "'soon' is not a duration"),
    ("plan.yaml:13:", "'..'"),
    ("plan.yaml:13:", "Q"),
    ("plan.yaml:14:", "absolute"),
    ("plan.yaml:14:", "git's own folder"),
    ("plan.yaml:15:", "writes"),
]


OTHERS = {
    "two tasks may write one path": (
        "tasks: [{id: A, writes: ['src/*.py'], steps: []}, {id: B, writes: ['src/a*'], steps: []}]", "both write 'src/a",
    ),
    "a task outside its track": (
        "tracks: {t: {owns: [a/**]}}\ntasks: [{id: A, track: t, writes: [b/x], steps: []}]", "b/x",
    ),
    "a patch that leaves the plan's folder": ("tasks: [{id: A, writes: [a], steps: [{patch: ../p}]}]", "../p"),
    "an unknown step": ("tasks: [{id: A, writes: [a], steps: [{wriet: x}]}]", "wriet"),
    "an unknown todo": ("tasks: [{id: A, writes: [a], steps: [{claim: x}]}]", "'x'"),
    "a number where text is wanted": ("tasks: [{id: 12, writes: [a], steps: []}]", "12"),
    "a doubled key": ("tasks: [{id: A, id: B, writes: [a], steps: []}]", "id"),
    "no YAML at all": ("tasks: [", "plan.yaml:4"),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS)
def test_other_faults_of_a_plan(tmp_path: Path, case: str) -> None:
    text, words = OTHERS[case]
    repo = make_repo(tmp_path / "repo")
    (tmp_path / "plan.yaml").write_text(f"version: 1\nname: x\n{text}\n")
    said = orch("run", tmp_path / "plan.yaml", cwd=repo.path)
    assert (said.code, words in said.err, "plan.yaml:" in said.err) == (3, True, True), said.err
    assert repo.git("for-each-ref").count("\n") == 0


@pytest.mark.parametrize("command", ["run", "check"])
def test_every_fault_is_named_at_once_and_nothing_is_touched(tmp_path: Path, command: str) -> None:
    repo = make_repo(tmp_path / "repo")
    before = (repo.git("for-each-ref"), repo.status(), sorted(p.name for p in (repo.path / ".git").iterdir()))
    (tmp_path / "plan.yaml").write_text(WRONG)
    said = orch(command, tmp_path / "plan.yaml", cwd=repo.path)
    assert said.code == 3
    lines = said.err.splitlines()
    for place, words in EXPECTED:
        assert any(place in line and words in line for line in lines), (place, words, said.err)
    assert "is not a valid plan" in said.err
    assert (repo.git("for-each-ref"), repo.status(), sorted(p.name for p in (repo.path / ".git").iterdir())) == before


def test_problems_are_there_for_programs_too(tmp_path: Path) -> None:
    make_repo(tmp_path / "repo")
    (tmp_path / "plan.yaml").write_text("version: 1\nname: x\ntasks: []\n")
    said = orch("check", tmp_path / "plan.yaml", "--json", cwd=tmp_path / "repo")
    assert said.code == 3
    assert len(said.json["problems"]) == 1


def test_an_agent_that_cannot_be_started_is_a_fault_of_the_plan(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    (tmp_path / "plan.yaml").write_text(
        "version: 1\nname: x\nagents: {z: {kind: command, preset: none}}\ntasks: [{id: A, writes: [a], agent: z}]\n"
    )
    for command in ("check", "run"):
        said = orch(command, tmp_path / "plan.yaml", cwd=repo.path)
        assert (said.code, "no preset is called 'none'" in said.err) == (3, True)


def test_a_plan_that_is_not_there_and_wrong_usage(tmp_path: Path) -> None:
    said = orch("check", "nowhere.yaml", cwd=tmp_path)
    assert (said.code, "nowhere.yaml cannot be read" in said.err) == (2, True)
    assert orch("run", cwd=tmp_path).code == 2
    assert orch("nonsense", cwd=tmp_path).code == 2
    assert orch("--help", cwd=tmp_path).code == 0
    assert orch("--version", cwd=tmp_path).out.startswith("orch, version")


def test_a_right_plan_is_shown_in_the_order_it_can_run(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(
        "version: 1\nname: x\ntasks:\n- {id: B, writes: [b], needs: [A], steps: []}\n- {id: A, writes: [a], steps: []}\n"
    )
    said = orch("check", tmp_path / "plan.yaml", cwd=tmp_path)
    assert said.code == 0
    assert "Wave 1: A\nWave 2: B" in said.out
    assert orch("check", tmp_path / "plan.yaml", "--json", cwd=tmp_path).json["waves"] == [["A"], ["B"]]
    repo = make_repo(tmp_path / "repo")
    assert orch("check", tmp_path / "plan.yaml", "--repo", repo.path, cwd=tmp_path).code == 0
    (tmp_path / "plan.yaml").write_text("version: 1\nname: x\nbase: gone\ntasks: [{id: A, writes: [a], steps: []}]\n")
    said = orch("check", tmp_path / "plan.yaml", "--repo", repo.path, cwd=tmp_path)
    assert (said.code, "no branch gone" in said.err) == (2, True)
