"""What a plan gives each worktree before its agent starts: files of the checkout, a command, ports, and a limit of room."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.crew.ports import leased_ports
from tests.support.orch import Said, orch, write_plan
from tests.support.repos import Repo, make_repo
from tests.support.stories import assert_tidy, report_of, task

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    repo = make_repo(tmp_path / "repo", README_txt="start\n")
    repo.write(".gitignore", "*.local\n/modules/\n*.log\n")
    repo.commit("ignore")
    return repo


def run(repo: Repo, *steps: dict[str, Any], worktree: dict[str, Any], **more: Any) -> Said:
    plan = write_plan(repo.path.parent / "p", [task("A", *steps, attempts=1, **more)], worktree=worktree)
    return orch("run", plan, "--run", "r", cwd=repo.path)


def shell(command: str) -> dict[str, Any]:
    return {"run": command}


@pytest.mark.unconfined
def test_ignored_files_of_the_checkout_are_copied_and_never_committed(repo: Repo, tmp_path: Path) -> None:
    repo.write(".env.local", "SECRET=1\n")
    repo.write("modules/deep/tool", "#!/bin/sh\necho tool\n")
    (repo.path / "modules/deep/tool").chmod(0o755)
    (repo.path / "modules/link").symlink_to("deep/tool")
    (repo.path / "modules/away").symlink_to(tmp_path)
    repo.write("not-ignored.cfg", "mine\n")
    repo.write("named.local", "by the include file\n")
    repo.write(".worktreeinclude", "named.*\n!.env.local\nREADME.txt\n")
    repo.git("add", ".worktreeinclude")
    repo.git("commit", "-qm", "include")
    see = "cat .env.local named.local; modules/link; test ! -e modules/away -a ! -e not-ignored.cfg; git status --porcelain"
    seen = tmp_path / "seen"
    said = run(repo, shell(f"({see}) > {seen}"), worktree={"copy": [".env.local", "modules/", "*.cfg"]})
    assert said.code == 0, said.out + said.err
    assert seen.read_text() == "SECRET=1\nby the include file\ntool\n"
    assert "not-ignored.cfg is not copied, since git does not ignore it" in said.out
    assert "modules/away is not copied, since it leads out of the worktree" in said.out
    assert repo.files("main") == [".gitignore", ".worktreeinclude", "README.txt"]


def test_a_copied_file_that_the_task_may_write_would_be_handed_in_and_is_not_copied(repo: Repo) -> None:
    repo.write(".env.local", "SECRET=1\n")
    said = run(repo, worktree={"copy": [".env.local"]}, writes=["A.txt", ".env.local"])
    assert said.code == 0, said.out + said.err
    assert ".env.local is not copied, since the task's scope names it" in said.out
    assert repo.files("orch/r/A/gen-1") == [".gitignore", "A.txt", "README.txt"]


def test_setup_runs_first_with_the_agents_environment_and_its_output_is_kept(repo: Repo) -> None:
    setup = 'echo "setting up $ORCH_TASK $ORCH_GENERATION"; echo ready > made.local'
    said = run(repo, shell("grep ready made.local"), worktree={"setup": setup})
    assert said.code == 0, said.out + said.err
    assert "setting up A 1" in (repo.path / ".git/orch/r/transcripts/A.gen-1.jsonl").read_text()
    assert "made.local" not in repo.files("main")
    assert_tidy(repo)


@pytest.mark.parametrize(
    ("worktree", "reason"),
    [
        ({"setup": "echo no such package; exit 3"}, "worktree.setup: ended with exit code 3"),
        ({"setup": "sleep 60", "timeout": "100ms"}, "worktree.setup: the time limit of 0.1 s is used up"),
        ({"setup": "echo x > new.txt"}, "worktree.setup has changed new.txt, which git does not ignore"),
        ({"setup": "echo x > README.txt"}, "worktree.setup has changed README.txt, which git does not ignore"),
    ],
)
@pytest.mark.unconfined
def test_a_setup_that_fails_is_a_failed_attempt_and_the_agent_does_not_start(
    repo: Repo, tmp_path: Path, worktree: dict[str, Any], reason: str
) -> None:
    said = run(repo, shell(f"touch {tmp_path}/started"), worktree=worktree)
    assert said.code == 1
    assert reason in report_of(repo)["tasks"][0]["reason"]
    assert not (tmp_path / "started").exists()


@pytest.mark.unconfined
def test_each_attempt_has_ports_of_its_own_and_none_that_is_taken(repo: Repo, tmp_path: Path) -> None:
    both = f"test -s {tmp_path}/A -a -s {tmp_path}/B"
    meet = f"echo $ORCH_PORT $ORCH_PORT_1 > {tmp_path}/$ORCH_TASK; until {both}; do sleep 0.05; done"
    tasks = [task("A", shell(meet)), task("B", shell(meet))]
    plan = write_plan(tmp_path / "p", tasks, worktree={"ports": 2})
    said = orch("run", plan, "--run", "r", "--jobs", "2", cwd=repo.path)
    assert said.code == 0, said.out + said.err
    ports = [int(word) for name in "AB" for word in (tmp_path / name).read_text().split()]
    assert len(set(ports)) == 4
    assert all(1024 < port < 32768 for port in ports)


def test_a_lease_is_exclusive_and_what_listens_is_not_leased() -> None:
    with leased_ports(50) as first, leased_ports(50) as second:
        assert len({*first, *second}) == 100
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first[0]))
        with leased_ports(0) as none, leased_ports(100) as others:
            assert none == ()
            assert first[0] not in others


@pytest.mark.unconfined
def test_worktrees_wait_for_room_and_a_run_without_any_stops_with_a_clear_sentence(repo: Repo, tmp_path: Path) -> None:
    repo.write("big.bin", b"x" * 300_000)
    repo.commit("big")
    together = f"mkdir {tmp_path}/alone && sleep 0.2 && rmdir {tmp_path}/alone"
    plan = write_plan(tmp_path / "p", [task(name, shell(together)) for name in "ABC"], worktree={"disk": "500kB"})
    said = orch("run", plan, "--run", "r", "--jobs", "3", cwd=repo.path)
    assert said.code == 0, said.out + said.err
    assert [t["generation"] for t in report_of(repo)["tasks"]] == [1, 1, 1]
    assert "waits until another worktree has gone" in said.out
    plan = write_plan(tmp_path / "q", [task("D")], worktree={"disk": "100kB"})
    said = orch("run", plan, "--run", "s", cwd=repo.path)
    assert (said.code, "worktree.disk in the plan allows 100.0 kB" in said.err) == (1, True), said.out + said.err
    plan.write_text(plan.read_text().replace("100kB", "10MB"))
    said = orch("resume", "s", "--plan", plan, cwd=repo.path)
    assert said.code == 0, said.out + said.err
    assert_tidy(repo)


@pytest.mark.parametrize(
    ("worktree", "problem"),
    [
        ({"disk": "5 gigs"}, "'5 gigs' is no size; write a number with a unit, such as 500MB, 5GB or 2GiB"),
        ({"disk": 5}, "5 is no size"),
        ({"ports": 101}, "worktree.ports"),
        ({"copy": ["../x"]}, "leaves the repository with '..'"),
        ({"setup": ""}, "worktree.setup"),
        ({"set_up": "x"}, "did you mean 'setup'"),
    ],
)
def test_wrong_values_are_refused(repo: Repo, worktree: dict[str, Any], problem: str) -> None:
    said = run(repo, worktree=worktree)
    assert (said.code, problem in said.err + said.out) == (3, True), said.out + said.err
