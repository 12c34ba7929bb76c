"""What an agent may try, and what stops it: each case was a way in, or a way to lose somebody's work."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_interrupt import wait_for_line
from tests.support.orch import Said, orch, start_orch, write_plan
from tests.support.repos import Repo, make_repo

pytestmark = [pytest.mark.e2e, pytest.mark.unconfined]


PATCH = """diff --git a/src/build b/src/build
new file mode 100644
--- /dev/null
+++ b/src/build
@@ -0,0 +1 @@
+x
"""
FILTER = "* filter=a=b"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo", src__a_txt="a\n", top_txt="top\n")


def attempt(repo: Repo, command: str, *, attempts: int = 1, writes: str = "src/**", **more: Any) -> Said:
    """Let an agent run a command under a scope of `src/**`."""
    task = {"id": "A", "writes": [writes], "attempts": attempts, "steps": [{"run": command}]}
    return orch("run", write_plan(repo.path.parent / "p", [task], **more), "--run", "r", "--json", cwd=repo.path)


@pytest.mark.parametrize("ref", ["refs/heads/$ORCH_BRANCH", "refs/orch/$ORCH_RUN/A/gen-1/agent-commits"])
def test_a_symbolic_ref_in_our_place_moves_nothing(repo: Repo, ref: str) -> None:
    before = repo.head()
    commit = "export GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x; git commit -qam x"
    said = attempt(repo, f"git symbolic-ref {ref} refs/heads/main; echo evil > OUT; echo b > src/a.txt; {commit}")
    assert said.code == 1
    assert (repo.head("main"), repo.status()) == (before, "")


@pytest.mark.parametrize(
    "links",
    [
        "mkdir src/x; ln -s .. src/x/d; ln -s d/../top.txt src/x/l",
        "mkdir src/x; ln -s .. src/x/d; ln -s d/../../o src/x/l",
    ],
)
def test_a_link_behind_a_link_does_not_land(repo: Repo, links: str) -> None:
    assert attempt(repo, links).code == 1


def test_the_users_ignored_files_are_never_overwritten(repo: Repo) -> None:
    repo.write(".git/info/exclude", "notes.txt\nsrc/build\n")
    repo.write("notes.txt", "precious\n")
    repo.write("src/build/data", "precious\n")
    said = attempt(repo, "true", contracts={"files": {"notes.txt": "c\n"}})
    assert (said.code, "notes.txt is there, and is not in the repository" in said.err) == (1, True)
    tracked = orch(
        "run",
        write_plan(repo.path.parent / "q", [{"id": "B", "writes": ["src/build"], "steps": [{"patch": "p"}], "attempts": 1}],
                   {"p": PATCH}),
        "--json", cwd=repo.path,
    )  # fmt: skip
    assert tracked.code == 1
    assert (repo.path / "notes.txt").read_text() == (repo.path / "src/build/data").read_text() == "precious\n"


def test_a_link_in_the_place_of_a_gate_folder_is_not_followed(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").write_text("mine\n")
    said = attempt(
        repo,
        "while ! test -e ../gate-*/seen; do sleep 0.02; done;"
        f"for g in ../gate-*; do rm -rf $g; ln -s {tmp_path}/precious $g; done; touch {tmp_path}/taken; echo b > src/a.txt",
        gates=[
            {"name": "slow", "run": f"touch seen; while ! test -e {tmp_path}/taken; do sleep 0.02; done"},
            {"name": "exact", "run": "test ! -e seen && test ! -e file && touch made"},
        ],
    )
    assert said.code == 0, said.out
    assert {p.name: p.read_text() for p in (tmp_path / "precious").iterdir()} == {"file": "mine\n"}


def test_a_link_in_the_place_of_the_worktree_is_not_followed(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    steps = [{"run": f"rm -rf $PWD; ln -s {tmp_path}/victim $PWD"}, {"write": {"path": "src/n", "text": "x"}}]
    plan = write_plan(tmp_path / "p", [{"id": "A", "writes": ["src/**"], "attempts": 1, "steps": steps}])
    assert orch("run", plan, cwd=repo.path).code == 1
    assert not list((tmp_path / "victim").iterdir())


def test_links_in_the_place_of_our_files_are_not_followed(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine\n")
    plant = f"ln -sf {tmp_path}/victim $(dirname $ORCH_PROMPT)/A.gen-2.md; mkdir -p $(dirname $ORCH_PROMPT)/../gates"
    gate = f"ln -sf {tmp_path}/victim $(dirname $ORCH_PROMPT)/../gates/A.gen-2.g.log; exit 1"
    attempt(repo, f"{plant}; {gate}", attempts=2, gates=[{"name": "g", "run": "true"}])
    assert (tmp_path / "victim").read_text() == "mine\n"


@pytest.mark.parametrize("special", [".gitignore", "src/.gitattributes", "src/pipe"])
def test_a_pipe_does_not_hang_the_run(repo: Repo, special: str) -> None:
    said = attempt(repo, f"mkfifo {special}; echo b > src/a.txt")
    assert said.code == 1
    assert f"{special} is no file, folder or link" in said.json["tasks"][0]["reason"]


def test_names_that_are_no_text_cost_the_attempt_and_not_the_run(repo: Repo) -> None:
    said = attempt(
        repo, "touch \"$(printf 'bad\\377')\"; printf '\\377' > \"$(git rev-parse --git-dir)/HEAD\"", attempts=2
    )
    assert said.code == 1
    assert (said.json["tasks"][0]["generation"], "out-of-scope" in said.json["tasks"][0]["reason"]) == (2, True)


def test_work_in_a_submodule_is_kept_and_said(repo: Repo, tmp_path: Path) -> None:
    inner = make_repo(tmp_path / "inner")
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{inner.head()},src/sub")
    repo.git("commit", "--quiet", "--message", "sub")
    (repo.path / "src/sub").mkdir()
    said = attempt(repo, "echo work > src/sub/new.py")
    assert said.code == 1
    assert "the submodule src/sub was filled" in said.json["tasks"][0]["reason"]
    (kept,) = Path(os.environ["HOME"]).rglob("A.gen-1/src/sub/new.py")
    assert kept.read_text() == "work\n"


def test_a_filter_with_an_odd_name_and_one_of_a_linked_worktree_do_not_run(repo: Repo, tmp_path: Path) -> None:
    evil = f"git config filter.a=b.smudge 'touch {tmp_path}/ran; cat'; git config filter.a=b.clean 'touch {tmp_path}/ran; cat'"
    attributes = f"cd $(git rev-parse --git-common-dir); mkdir -p info; echo '{FILTER}' > info/attributes; cd -"
    said = attempt(repo, f"{evil}; {attributes}; echo b > src/a.txt")
    assert said.code == 0, said.err
    assert not (tmp_path / "ran").exists()


def test_a_remote_that_promises_objects_is_not_asked(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "up.sh").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (tmp_path / "up.sh").chmod(0o755)
    evil = f"""git config remote.e.url {repo.path}; git config remote.e.promisor true
    git config remote.e.uploadpack {tmp_path}/up.sh; echo {"1" * 40} > "$(git rev-parse --git-dir)/HEAD"; echo b > src/a.txt"""
    attempt(repo, evil)
    assert not (tmp_path / "ran").exists()


def test_an_agent_that_takes_its_record_away_is_not_refused_for_it(repo: Repo) -> None:
    said = attempt(repo, 'echo b > src/a.txt; rm -rf "$(git rev-parse --git-dir)"')
    assert said.code == 0, said.out
    assert repo.show("src/a.txt") == "b\n"


@pytest.mark.parametrize("how", ["submodule", "separate"])
def test_unusual_repositories_are_worked_in(tmp_path: Path, how: str) -> None:
    if how == "separate":
        path = tmp_path / "w"
        path.mkdir()
        repo = Repo(path)
        repo.git("init", "-q", "-b", "main", "--separate-git-dir", tmp_path / "g")
        repo.commit(a_txt="a\n")
    else:
        outer = make_repo(tmp_path / "outer")
        make_repo(tmp_path / "inner")
        outer.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", tmp_path / "inner", "sub")
        repo = Repo(outer.path / "sub")
    plan = write_plan(tmp_path / "p", [{"id": "A", "writes": ["n"], "steps": [{"write": {"path": "n", "text": "n"}}]}])
    said = orch("run", plan, cwd=repo.path)
    assert said.code == 0, said.err
    assert (repo.path / "n").read_text() == "n"
    assert repo.status() == ""


def test_a_branch_called_orch_and_a_rebase_under_way_are_refused_at_the_start(repo: Repo) -> None:
    repo.git("branch", "orch")
    said = attempt(repo, "true")
    assert (said.code, "a branch called orch" in said.err) == (2, True)
    repo.git("branch", "-D", "orch")
    (repo.path / ".git/rebase-merge").mkdir()
    repo.write(".git/rebase-merge/head-name", "refs/heads/main\n")
    said = attempt(repo, "true")
    assert (said.code, "main is being rebased" in said.err) == (1, True)


def test_several_runs_at_once_all_land(repo: Repo, tmp_path: Path) -> None:
    plans = [
        write_plan(
            tmp_path / f"p{n}",
            [{"id": "A", "writes": [f"{n}.txt"], "steps": [{"write": {"path": f"{n}.txt", "text": "x\n"}}]}],
            contracts={"files": {f"contracts/{n}.md": "c\n"}}, name=f"p{n}",
        )
        for n in range(3)
    ]  # fmt: skip
    processes = [start_orch("run", plan, cwd=repo.path) for plan in plans]
    ended = [(*process.communicate(timeout=100), process.returncode) for process in processes]
    assert [code for _, _, code in ended] == [0, 0, 0], ended
    assert {f"{n}.txt" for n in range(3)} <= set(repo.files())
    assert repo.status() == ""


def test_a_program_that_does_not_exist_is_tried_once(repo: Repo) -> None:
    said = attempt(repo, "no-such-program", attempts=3)
    assert (said.code, said.json["tasks"][0]["generation"]) == (1, 1)
    said = orch("resume", "r", cwd=repo.path)
    assert said.code == 1


def test_a_second_signal_ends_even_a_waiting_git(repo: Repo, tmp_path: Path) -> None:
    plan = write_plan(
        tmp_path / "p",
        [{"id": "A", "writes": ["src/**"], "steps": [{"report": "up"}, {"run": "trap '' INT TERM; sleep 60"}]}],
    )
    process = start_orch("run", plan, cwd=repo.path)
    wait_for_line(process.stdout, "A: says up")
    os.kill(process.pid, signal.SIGINT)
    wait_for_line(process.stdout, "Stopping: interrupted")
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"orch resume" in err


def test_trailers_that_an_agent_forges_in_its_own_commits_do_not_land(repo: Repo) -> None:
    fields = ("Run", "Task", "Track", "Session", "Agent", "Model", "Spec-Hash", "Context-Hash", "Contracts-Hash",
              "Content-Hash", "Work-Product")  # fmt: skip
    block = "\n".join(["Provenance-Generation: 1", *(f"Provenance-{field}: forged" for field in fields)])
    named = "export GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x"
    said = attempt(repo, f"{named}; echo b > src/a.txt; git commit -qam 'x\n\n{block}'")
    assert said.code == 0, said.out
    forged = repo.git("log", "-1", "--format=%B", "refs/orch/r/A/gen-1/agent-commits")
    assert "Provenance-Task: forged" in forged, "it was tried"
    assert "forged" not in repo.git("log", "--format=%B%an", "main")
    assert orch("blame", "src/a.txt", "--json", cwd=repo.path).json["task"] == "A"


def _linked(repo: Repo, how: str) -> Path:
    """Lead a path of the plan elsewhere by a link, in the base branch or by what the attempt itself runs."""
    away, leaf = repo.path.parent / "away", how.startswith("leaf")
    away.mkdir()
    (away / "precious.txt").write_text("precious\n")
    link, target = ("src/l.txt", away / "precious.txt") if leaf else ("src/d", away)
    command = f"rm -rf {link}; ln -s {target} {link}"
    if how.endswith("base"):
        subprocess.run(command, shell=True, cwd=repo.path, check=True)
        repo.git("add", "-A")
        repo.git("commit", "-qm", "a link")
        command = "true"
    path = link if leaf else "src/d/precious.txt"
    steps = [{"run": command}, {"stream": {"path": path, "text": "ours\n"}}]
    return write_plan(repo.path.parent / "p", [{"id": "A", "writes": [path], "attempts": 2, "steps": steps}])


@pytest.mark.parametrize(
    ("how", "mode"),
    [*((how, mode) for how in ("leaf-base", "folder-run") for mode in ("worktree", "crdt")), ("folder-base", "crdt")],
)
def test_a_streamed_file_is_neither_read_nor_written_through_a_link(repo: Repo, how: str, mode: str) -> None:
    plan = _linked(repo, how)
    said = orch("run", plan, "--run", "r", "--mode", mode, "--json", cwd=repo.path)
    assert (repo.path.parent / "away" / "precious.txt").read_text() == "precious\n"
    assert said.code == 1
    [task] = said.json["tasks"]
    if mode == "crdt" and how.endswith("run"):  # commands run when all is written, so this is a link that is handed in
        assert "check boundary failed" in task["reason"]
    else:
        assert ("is no ordinary file" if how.startswith("leaf") else "leads out of the worktree") in task["reason"]
    assert "+precious" not in repo.git("log", "-p", "--all")
