"""`orch doctor` finds what killed processes leave, changes nothing when asked not to, and repairs only what nobody can need."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.doctor.locks import stale_locks
from orchestrator.doctor.runs import left_by_runs
from orchestrator.doctor.scene import look_around
from orchestrator.git import change
from orchestrator.git.repository import Repository
from tests.e2e.test_interrupt import wait_for_line
from tests.e2e.test_orphans import HIDDEN, person
from tests.support.orch import Said, orch, start_orch, write_plan
from tests.support.processes import alive
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.e2e, pytest.mark.unconfined]


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo")


def home() -> Path:
    """Return the folder below which all worktrees are."""
    return Path(os.environ["HOME"]) / ".local/state/orch"


def everything(repo: Repo) -> dict[str, bytes]:
    """Return all files and folders of the repository and of its worktrees, with what is in them."""
    places = [*repo.path.rglob("*"), *home().rglob("*")]
    return {str(p): p.read_bytes() if p.is_file() and not p.is_symlink() else b"" for p in places}


def found(said: Said) -> dict[str, str]:
    """Return the outcome of each thing that was found, by its kind and the last part of its name."""
    return {f"{each['kind']} {each['name'].rpartition('/')[2]}": each["outcome"] for each in said.json["found"]}


def look(repo: Repo, *, code: int = 1) -> dict[str, str]:
    """Ask what there is, and make sure that nothing was changed by asking."""
    before = everything(repo)
    said = orch("doctor", "--dry-run", "--json", cwd=repo.path)
    assert everything(repo) == before
    assert said.code == code, said.out + said.err
    return found(said)


def repair(repo: Repo, *, code: int = 0) -> dict[str, str]:
    said = orch("doctor", "--json", cwd=repo.path)
    assert said.code == code, said.out + said.err
    return found(said)


@contextmanager
def transaction(
    *lines: str, command: tuple[str, ...] = ("git",), **options: object
) -> Iterator[subprocess.Popen[bytes]]:
    """Have a git that has prepared a transaction, so that it holds locks; it is killed in the end."""
    process = subprocess.Popen(
        [*command, "update-ref", "--stdin"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options
    )  # type: ignore[call-overload]
    with process:
        process.stdin.write("".join(f"{line}\n" for line in ("start", *lines, "prepare")).encode())
        process.stdin.flush()
        assert process.stdout.readline() == b"start: ok\n"
        assert process.stdout.readline() == b"prepare: ok\n"
        yield process
        process.kill()


def killed_orch(repo: Repo, point: str) -> None:
    tasks = [
        {"id": name, "writes": [f"{name}.txt"], "steps": [{"write": {"path": f"{name}.txt", "text": f"{name}\n"}}]}
        for name in "AB"
    ]
    plan = write_plan(repo.path.parent / "p", tasks, gates=[{"name": "g", "run": "true"}])
    assert orch("run", plan, "--run", "r", cwd=repo.path, env={"ORCH_KILL_AT": point}).code == -signal.SIGKILL


def test_a_sound_repository_has_nothing_to_repair(repo: Repo) -> None:
    said = orch("doctor", cwd=repo.path)
    assert said.code == 0, said.err
    git, place, how, confined, hidden, summary = said.out.splitlines()
    assert git.startswith(
        f"git {repo.git('version').split()[2]} (2.38 or newer is needed), Python {sys.version.split()[0]}"
    )
    assert f"worktrees go to {home()}/repo-" in place
    assert "GiB free, writable" in place
    assert re.match(r"worktrees are m(ounted over a template|oved on) .* \((overlay|pool).*\)$", how)
    assert re.match(r"agents and gates are (confined by Landlock|not confined here, since) ", confined)
    assert hidden.startswith("bubblewrap, which hides files as well, can")
    assert summary == "Nothing has to be repaired."
    machine = orch("doctor", "--json", cwd=repo.path).json["machine"]
    assert (machine["problems"], machine["processors"]) == ([], os.cpu_count())
    said = orch("doctor", cwd=repo.path, env={"ORCH_HOME": str(repo.path / "inside")})
    assert (said.code, "problem: ORCH_HOME=" in said.out) == (1, True)
    said = orch("doctor", cwd=repo.path, env={"ORCH_WORKTREES": "magic"})
    assert (said.code, "problem: ORCH_WORKTREES=magic is no way of making worktrees." in said.out) == (1, True)


def test_locks_of_a_killed_git_are_removed(repo: Repo) -> None:
    repo.git("branch", "packed")
    repo.git("branch", "other")
    repo.git("pack-refs", "--all")
    with transaction(f"create refs/heads/a/x {repo.head()}", f"delete refs/heads/packed {repo.head()}", cwd=repo.path):
        pass
    repo.write(".git/index.lock", "")
    assert (repo.path / ".git/refs/heads/a/x.lock").is_file()
    stuck = subprocess.run(["git", "branch", "-D", "other"], cwd=repo.path, capture_output=True, check=False)
    assert stuck.returncode != 0
    names = ("index.lock", "packed-refs.lock", "packed-refs.new", "packed.lock", "x.lock")
    locks = [f"lock {name}" for name in names]
    assert sorted(look(repo).items()) == [(lock, "repairable") for lock in locks]
    said = orch("doctor", cwd=repo.path)
    assert said.code == 0, said.out
    assert said.out.count("a lock that a git left; removed.") == 5
    assert said.out.endswith("5 repaired, 0 left.\n")
    assert repo.git("branch", "-D", "other", "packed")
    repo.git("branch", "a/x")
    repo.commit()
    assert look(repo, code=0) == {}


@pytest.mark.parametrize("how", ["here", "--git-dir", "GIT_DIR", "worktree"])
def test_a_lock_that_a_git_holds_is_not_touched(repo: Repo, tmp_path: Path, how: str) -> None:
    git_dir = repo.path / ".git"
    repo.git("worktree", "add", "-q", tmp_path / "linked")
    command = ("git", f"--git-dir={git_dir}") if how == "--git-dir" else ("git",)
    cwd = {"here": repo.path, "worktree": tmp_path / "linked"}.get(how, Path("/"))
    env = os.environ | ({"GIT_DIR": str(git_dir)} if how == "GIT_DIR" else {})
    with transaction(f"create refs/heads/x {repo.head()}", command=command, cwd=cwd, env=env) as git:
        assert repair(repo, code=1) == {"lock x.lock": "remains"}
        assert f"a git is at work here, or may be (process {git.pid})" in orch("doctor", cwd=repo.path).out
        assert git.stdin is not None
        git.stdin.write(b"commit\n")
        git.stdin.close()
        assert git.wait() == 0
    assert repo.head("refs/heads/x") == repo.head()


def test_a_lock_that_any_process_has_open_is_not_touched(repo: Repo) -> None:
    lock = repo.path / ".git/config.lock"
    with lock.open("w") as file, subprocess.Popen(["cat"], cwd="/", stdin=subprocess.PIPE, stdout=file):
        assert repair(repo, code=1) == {"lock config.lock": "remains"}
        assert lock.exists()
    assert repair(repo) == {"lock config.lock": "repaired"}


def test_while_a_run_is_worked_on_its_things_and_locks_are_left_alone(repo: Repo, tmp_path: Path) -> None:
    wait = {"run": f"setsid env -i sleep 1000 & until test -e {tmp_path}/go; do sleep 0.05; done; kill $!"}
    steps = [{"report": "up"}, wait, {"write": {"path": "A", "text": "a"}}]
    process = start_orch(
        "run", write_plan(tmp_path / "p", [{"id": "A", "writes": ["A"], "steps": steps}]), cwd=repo.path
    )
    wait_for_line(process.stdout, "A: says up")
    try:
        repo.write(".git/HEAD.lock", "")
        assert repair(repo, code=1) == {"lock HEAD.lock": "remains"}
        (repo.path / ".git/HEAD.lock").unlink()
        (repo.path / ".git/orch/.worktree-abc").mkdir()  # it may be the run's
        assert repair(repo) == {}
        (repo.path / ".git/orch/.worktree-abc").rmdir()
    finally:
        (tmp_path / "go").touch()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert repo.show("A") == "a"


@pytest.mark.parametrize(
    ("point", "left"),
    [
        ("worktree-record:1", {"draft"}),
        ("worktree-trashed:1", {"record", "trash"}),
        ("worktree-forgotten:1", {"trash"}),
        ("report-write:1", {"temporary .report.json"}),
    ],
)
def test_what_a_killed_run_leaves_is_repaired_and_it_can_still_be_resumed(
    repo: Repo, point: str, left: set[str]
) -> None:
    killed_orch(repo, point)
    seen = look(repo)
    assert left <= {key if key in left else key.split()[0] for key in seen}
    wrong = {key: outcome for key, outcome in seen.items() if outcome != "told"}
    assert wrong
    assert set(wrong.values()) == {"repairable"}
    assert repair(repo) == {key: "repaired" if key in wrong else "told" for key in seen}
    assert look(repo, code=0) == {key: "told" for key in seen if key not in wrong}
    said = orch("resume", "r", cwd=repo.path)
    assert said.code == 0, said.out + said.err
    assert {path: repo.show(path, "main") for path in ("A.txt", "B.txt")} == {"A.txt": "A\n", "B.txt": "B\n"}
    assert repo.status() == ""
    assert look(repo, code=0) == {}


def test_what_changes_between_the_look_and_the_repair_is_left_alone(repo: Repo) -> None:
    killed_orch(repo, "work-kept")
    repository = Repository.open(repo.path)
    (place,) = home().glob("repo-*")
    lock = repo.path / ".git/packed-refs.lock"
    lock.touch()
    scene = look_around(repository, place)
    (of_git,) = stale_locks(scene)
    temporary = [found.repair for found in left_by_runs(scene) if found.repair]
    assert of_git.repair is not None
    assert temporary
    lock.unlink()
    (repo.path / ".git/another").touch()  # so that it is another file, whatever its number
    lock.touch()
    assert of_git.repair() == "it is another one by now"
    with change.file_lock(repo.path / ".git/orch/r/journal"):
        assert {repair() for repair in temporary} == {"a process is working on the run r now"}
    assert lock.exists()


def test_processes_of_a_dead_run_are_ended_and_a_person_there_is_not(repo: Repo, tmp_path: Path) -> None:
    agent = f"{HIDDEN} > {tmp_path}/hidden; echo $$ > {tmp_path}/leader; pwd > {tmp_path}/place; sleep 1000"
    plan = write_plan(tmp_path / "p", [{"id": "A", "writes": ["A"], "steps": [{"run": agent}]}])
    process = start_orch("run", plan, "--run", "r", cwd=repo.path)
    wait_for_line(process.stdout, "A: default (script@1) starts")
    while not (tmp_path / "place").exists() or not (tmp_path / "place").read_text().endswith("\n"):
        assert process.poll() is None
    assert repair(repo) == {}
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    pids = [int((tmp_path / name).read_text()) for name in ("hidden", "leader")]
    with person(Path((tmp_path / "place").read_text().strip())) as shell:
        seen = look(repo)
        assert all(seen[f"process process {pid}"] == "repairable" for pid in pids)
        assert all(map(alive, pids))
        outcome = repair(repo)
        assert all(outcome[f"process process {pid}"] == "repaired" for pid in pids)
        assert alive(shell)
    assert not any(map(alive, pids))
    assert outcome["run run r"] == "told"


def attempt_cut_off(repo: Repo, command: str) -> Path:
    """Kill a run whose agent has run a command, and return the folder of its worktree."""
    tasks = [{"id": "A", "writes": ["A"], "steps": [{"run": command}]}]
    plan = write_plan(repo.path.parent / "p", tasks)
    killed = orch("run", plan, "--run", "r", cwd=repo.path, env={"ORCH_KILL_AT": "process-ended:1"})
    assert killed.code == -signal.SIGKILL
    (folder,) = home().rglob("A.gen-1")
    return folder


COMMIT = "git -c user.name=x -c user.email=x commit --quiet --all --message x"


def test_a_record_goes_only_if_all_that_it_leads_to_is_elsewhere(repo: Repo) -> None:
    folder = attempt_cut_off(repo, f"echo a > A; git add A; {COMMIT}")
    own = {"draft", "temporary", "run"}
    shutil.rmtree(folder)
    record = repo.path / ".git/worktrees/A.gen-1"
    assert look(repo)["record A.gen-1"] == "remains"
    assert repair(repo, code=1)["record A.gen-1"] == "remains"
    assert record.is_dir()
    repo.git("branch", "found", "worktrees/A.gen-1/HEAD")
    assert repair(repo)["record A.gen-1"] == "repaired"
    assert not record.exists()
    assert {key.split()[0] for key in look(repo, code=0)} <= own


def test_a_record_that_holds_staged_files_stays(repo: Repo) -> None:
    shutil.rmtree(attempt_cut_off(repo, "echo a > A; git add A"))
    said = orch("doctor", cwd=repo.path)
    assert (said.code, "files are staged there that are on no branch" in said.out) == (1, True)


def test_a_folder_of_a_run_that_has_ended_or_vanished_is_told_and_kept(repo: Repo) -> None:
    folder = attempt_cut_off(repo, "echo a > A")
    assert not any(key.startswith("folder") for key in repair(repo))  # `orch resume` needs it
    shutil.rmtree(repo.path / ".git/orch/r")
    repo.git("branch", "orch/r/A/gen-1")
    with subprocess.Popen(
        ["sleep", "1000"], cwd=folder, start_new_session=True
    ) as editor:  # a person's, without a terminal
        assert look(repo) == {"folder A.gen-1": "remains", "refs run r": "remains"}
        said = orch("doctor", cwd=repo.path)
        assert editor.poll() is None
        editor.kill()
    assert (said.code, "`orch recover r`" in said.out, "`orch clean r`" in said.out) == (1, True, True)
    assert (folder / "A").read_text() == "a\n"
    assert repo.head("orch/r/A/gen-1") == repo.head()


def test_worktrees_of_others_are_told_and_not_touched(repo: Repo, tmp_path: Path) -> None:
    for name in ("gone", "locked", "here"):
        repo.git("worktree", "add", "-q", tmp_path / name)
    repo.git("worktree", "lock", tmp_path / "locked")
    shutil.rmtree(tmp_path / "gone")
    shutil.rmtree(tmp_path / "locked")
    assert look(repo) == {"record gone": "remains"}
    said = orch("doctor", cwd=repo.path)
    assert (said.code, "git worktree prune" in said.out) == (1, True)
    assert sorted(p.name for p in (repo.path / ".git/worktrees").iterdir()) == ["gone", "here", "locked"]


def test_a_record_that_git_had_hardly_begun_goes_and_a_fuller_one_stays(repo: Repo) -> None:
    repo.write(".git/worktrees/begun/locked", "initializing")
    repo.write(".git/worktrees/fuller/HEAD", f"{repo.head()}\n")
    assert look(repo) == {"record begun": "repairable", "record fuller": "remains"}
    assert repair(repo, code=1) == {"record begun": "repaired", "record fuller": "remains"}
    assert [p.name for p in (repo.path / ".git/worktrees").iterdir()] == ["fuller"]


def test_what_only_a_running_run_needs_goes_and_what_resuming_needs_stays(repo: Repo) -> None:
    attempt_cut_off(repo, f"test $ORCH_GENERATION = 2 || {{ echo a > A; git add A; {COMMIT}; }}")
    run = repo.path / ".git/orch/r"
    repo.write(".git/orch/r/prompts/.new-abc", "half")
    repo.write(".git/orch/r/authors/a/.new-def", "half")
    repo.write(".git/orch/r/authors/.new-b.json", "of a shared file called .new-b")
    repo.write(".git/orch/r/plan/.new-file", "a user's own")
    (private,) = run.glob("git-*")
    outcome = repair(repo)
    (scratch,) = (name for name in outcome if name.startswith("temporary orch-"))
    repaired = [f"temporary {private.name}", "temporary .new-abc", "temporary .new-def", scratch]
    assert outcome == {**dict.fromkeys(repaired, "repaired"), "run run r": "told"}
    names = {p.name for p in run.iterdir()}
    assert {"plan", "journal", "prompts", "indexes", "board.log"} <= names
    assert (run / "plan/.new-file").exists()
    (run / "authors/.new-ghi").touch()
    said = orch("resume", "r", cwd=repo.path)
    assert said.code == 0, said.out + said.err
    assert sorted(p.name for p in (run / "authors").iterdir()) == [".new-b.json", "a"]
    assert repo.show("A", "orch/r/A/gen-1") == "a\n"
    (run / "indexes").mkdir()
    (run / "journal").write_bytes(b"something else")
    assert repair(repo, code=1) == {"run run r": "remains"}
    assert (run / "indexes").exists()


def test_files_of_the_users_that_were_set_aside_are_told(repo: Repo) -> None:
    repo.write(".git/orch-aside-abc/0", "mine")
    said = orch("doctor", cwd=repo.path)
    assert (said.code, "orch recover --item set-aside/abc" in said.out) == (1, True)
    assert (repo.path / ".git/orch-aside-abc/0").read_text() == "mine"
