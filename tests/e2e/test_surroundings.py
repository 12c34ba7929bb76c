"""The user's own branches, checkouts, folders and terminals around a run: read, and never harmed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.orch import orch, write_plan
from tests.support.repos import Repo, make_repo
from tests.support.stories import assert_tidy, report_of, task, write

pytestmark = [pytest.mark.e2e, pytest.mark.unconfined]


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo", README_txt="start\n", other__b_txt="b\n", mine__x_txt="x\n")


def test_a_dirty_base_is_refused_before_anything_happens(repo: Repo, tmp_path: Path) -> None:
    before = repo.head()
    repo.write("README.txt", "my unfinished work\n")
    plan = write_plan(tmp_path / "p", [task("A")], contracts={"files": {"c.md": "c"}})
    said = orch("run", plan, cwd=repo.path)
    assert said.code == 1
    assert f"main is checked out in {repo.path}, and there are uncommitted changes: README.txt." in said.err
    assert "Nothing was changed" in said.err
    assert (repo.head(), (repo.path / "README.txt").read_text()) == (before, "my unfinished work\n")
    assert not [p for p in (repo.path / ".git/orch").iterdir() if p.is_dir()]
    assert repo.git("branch", "--list", "orch/*") == ""


def test_a_dirty_base_in_another_worktree_counts_too(repo: Repo, tmp_path: Path) -> None:
    repo.git("checkout", "--quiet", "-b", "elsewhere")
    repo.git("worktree", "add", "--quiet", tmp_path / "linked", "main")
    plan = write_plan(tmp_path / "p", [task("A")], base="main")
    (tmp_path / "linked/README.txt").write_text("dirty\n")
    assert orch("run", plan, cwd=repo.path).code == 1
    (tmp_path / "linked/README.txt").write_text("start\n")
    assert orch("run", plan, cwd=repo.path).code == 0
    assert (tmp_path / "linked/A.txt").read_text() == "text\n"
    assert Repo(tmp_path / "linked").status() == ""
    assert repo.status() == ""
    assert not (repo.path / "A.txt").exists()


def test_what_the_user_starts_to_write_during_the_run_is_not_touched(repo: Repo, tmp_path: Path) -> None:
    before = repo.head()
    untracked = f"echo precious > {repo.path}/A.txt"
    plan = write_plan(tmp_path / "p", [task("A", {"run": untracked}, write("A.txt", "agent\n"), attempts=1)])
    said = orch("run", plan, cwd=repo.path)
    assert said.code == 1
    assert (repo.path / "A.txt").read_text() == "precious\n"
    assert repo.head() == before
    assert "something there is in the way" in said.out


def test_a_base_that_is_not_checked_out_and_a_bare_repository(repo: Repo, tmp_path: Path) -> None:
    repo.git("branch", "release")
    plan = write_plan(tmp_path / "p", [task("A")], base="release")
    assert orch("run", plan, cwd=repo.path).code == 0
    assert ("A.txt" in repo.files("release"), "A.txt" in repo.files("main")) == (True, False)
    repo.git("clone", "--quiet", "--bare", repo.path, tmp_path / "bare.git")
    assert orch("run", write_plan(tmp_path / "q", [task("B")]), "--repo", tmp_path / "bare.git", cwd=tmp_path).code == 0
    assert "B.txt" in Repo(tmp_path / "bare.git").files("main")


def test_a_branch_that_is_switched_during_the_run_gets_no_files(repo: Repo, tmp_path: Path) -> None:
    switch = f"git -C {repo.path} checkout -q -b feature"
    plan = write_plan(tmp_path / "p", [task("A", {"run": switch}, write("A.txt"))])
    said = orch("run", plan, cwd=repo.path)
    assert said.code == 0, said.out
    assert (repo.git("branch", "--show-current"), repo.status()) == ("feature", "")
    assert not (repo.path / "A.txt").exists()
    assert "A.txt" in repo.files("main")


def test_a_base_that_moves_while_gates_run_is_tested_again(repo: Repo, tmp_path: Path) -> None:
    person = f"cd {repo.path}; git -c user.name=p -c user.email=p commit -q --allow-empty -m person"
    gate = f"echo x >> {tmp_path}/ran; test $(wc -l < {tmp_path}/ran) = 1 && ({person}) || true"
    plan = write_plan(tmp_path / "p", [task("A")], gates=[{"name": "g", "run": gate}])
    said = orch("run", plan, cwd=repo.path)
    assert said.code == 0, said.out
    assert (tmp_path / "ran").read_text() == "x\nx\n"
    assert "Somebody else moved main to" in said.out
    assert repo.git("log", "--first-parent", "--format=%s").splitlines()[:2] == ["Land A: A", "person"]
    assert_tidy(repo)


def test_a_base_that_is_deleted_ends_in_a_report(repo: Repo, tmp_path: Path) -> None:
    repo.git("branch", "gone")
    delete = f"git -C {repo.path} update-ref -d refs/heads/gone"
    said = orch("run", write_plan(tmp_path / "p", [task("A", {"run": delete})], base="gone"), "--json", cwd=repo.path)
    assert said.code == 1, said.err
    (failed,) = said.json["tasks"]
    assert (failed["status"], "the branch gone is gone" in failed["reason"]) == ("cancelled", True)


def test_a_stale_lock_is_named_and_not_taken_for_somebody_elses_move(repo: Repo, tmp_path: Path) -> None:
    lock = repo.path / ".git/refs/heads/main.lock"
    plan = write_plan(tmp_path / "p", [task("A", {"run": f"touch {lock}"}, write("A.txt"))])
    said = orch("run", plan, "--json", cwd=repo.path)
    assert said.code == 1
    assert "main.lock" in said.json["tasks"][0]["reason"]
    lock.unlink()
    assert repo.status() == ""


def test_a_filter_that_an_agent_configures_is_not_run_for_it(repo: Repo, tmp_path: Path) -> None:
    evil = f"""git config filter.x.smudge 'touch {tmp_path}/ran; cat'; git config filter.x.clean 'touch {tmp_path}/ran; cat'
    mkdir -p $(git rev-parse --git-common-dir)/info; echo '* filter=x' > $(git rev-parse --git-common-dir)/info/attributes"""
    said = orch(
        "run",
        write_plan(tmp_path / "p", [task("A", {"run": evil}, write("A.txt")), task("B", needs=["A"])]),
        cwd=repo.path,
    )
    assert said.code == 0, said.out
    assert not (tmp_path / "ran").exists()


def test_a_contract_never_replaces_what_is_there(repo: Repo, tmp_path: Path) -> None:
    before = repo.head()
    for path in ("README.txt/x.md", "other"):
        plan = write_plan(tmp_path / path.replace("/", "-"), [task("A")], contracts={"files": {path: "c\n"}})
        said = orch("run", plan, cwd=repo.path)
        assert (said.code, f"The contract {path} cannot be written" in said.err) == (1, True)
    assert repo.head() == before


def test_a_reader_that_goes_away_does_not_end_the_run(repo: Repo, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "p", [task("A", {"sleep": "300ms"}, write("A.txt"))])
    command = f"{sys.executable} -m orchestrator run {plan} | head -1"
    subprocess.run(["/bin/sh", "-c", command], cwd=repo.path, check=True, capture_output=True)
    assert report_of(repo)["status"] == "landed"


def test_gates_see_the_candidate_as_a_clean_checkout(repo: Repo, tmp_path: Path) -> None:
    gate = (
        "test -z \"$(git status --porcelain)\" && git log -1 --format=%s | grep 'Land A' && git diff --exit-code HEAD"
    )
    plan = write_plan(tmp_path / "p", [task("A")], gates=[{"name": "g", "run": gate}])
    said = orch("run", plan, cwd=repo.path)
    assert said.code == 0, said.out


def test_what_an_agent_makes_git_ignore_is_not_lost(repo: Repo, tmp_path: Path) -> None:
    hide = "echo 'secret*' > mine/.gitignore; echo work > mine/secret.txt; echo x > mine/y"
    plan = write_plan(tmp_path / "p", [{"id": "A", "writes": ["mine/**"], "steps": [{"run": hide}]}])
    said = orch("run", plan, cwd=repo.path)
    assert said.code == 0, said.out
    (kept,) = (Path(os.environ["HOME"])).rglob("A.gen-1/mine/secret.txt")
    assert kept.read_text() == "work\n"
    assert f"The folder {kept.parents[1]} is kept" in said.out


def test_an_orch_home_that_cannot_be_used_is_said(repo: Repo, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "p", [task("A")])
    for place in ("relative", str(repo.path / "inside")):
        said = orch("run", plan, cwd=repo.path, env={"ORCH_HOME": place})
        assert (said.code, f"ORCH_HOME={place}" in said.err) == (2, True)
