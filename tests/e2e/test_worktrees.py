"""Each way of making worktrees: what an agent finds, what of its work is kept, and what is left when orch or the machine goes."""

from __future__ import annotations

import os
import signal
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.journal.journal import read_journal
from orchestrator.model.events import AttemptStarted
from orchestrator.worktrees.mounts import is_mounted, unmount, why_no_overlay
from orchestrator.worktrees.reuse import make_as_new
from tests.support.orch import Said, orch, write_plan
from tests.support.repos import Repo, make_repo
from tests.support.stories import assert_tidy, report_of, task

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.e2e, pytest.mark.unconfined]


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[Repo]:
    files = {f"old__f{number}_txt": f"{number}\n" for number in range(30)}
    repo = make_repo(tmp_path / "repo", top_txt="top\n", **files)
    repo.write(".gitignore", "*.log\n")
    repo.commit("ignore")
    yield repo
    for place in [*homes().glob("*/*/*"), *homes().glob("*/.layers/*/*/aside")]:
        unmount(place, even_if_used=True)


@pytest.fixture(params=["overlay", "pool", "plain"])
def technique(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "overlay" and (why := why_no_overlay(tmp_path)):
        pytest.skip(why)
    monkeypatch.setenv("ORCH_WORKTREES", request.param)
    return str(request.param)


@pytest.fixture
def overlay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if why := why_no_overlay(tmp_path):
        pytest.skip(why)
    monkeypatch.setenv("ORCH_WORKTREES", "overlay")


def homes() -> Path:
    return Path(os.environ["HOME"]) / ".local/state/orch"


def run(repo: Repo, *tasks: dict[str, Any], env: dict[str, str] | None = None) -> Said:
    agents = {"default": {"kind": "script", "env": ["HOME"]}}  # where the worktrees are
    plan = write_plan(repo.path.parent / "p", list(tasks), agents=agents)
    return orch("run", plan, "--run", "r", "--jobs", "1", cwd=repo.path, env=env)


def techniques(repo: Repo) -> list[str]:
    events = (event for _, event in read_journal(repo.path / ".git/orch/r/journal"))
    return [event.technique for event in events if isinstance(event, AttemptStarted)]


# What an agent does to a folder, and what the next one would find of it if it were not put right.
MESS = """set -e; test -z "$(git status --porcelain --ignored)"; test "$(git rev-parse HEAD)" = "$ORCH_BASE"
git mv old newer; python3 -c 'import os; os.rename("newer", "x"); os.rename("x", "newer")'
rm newer/f1.txt; echo changed > newer/f2.txt
chmod +x newer/f3.txt; ln -s f4.txt newer/link; mkdir -p empty/folder; echo noise > noise.log; mkdir deep; echo x > deep/x
git update-index --assume-unchanged newer/f5.txt; echo hidden > newer/f5.txt; chmod 700 newer; chmod 600 top.txt
ln top.txt $HOME/further-name || true"""  # an overlay is a file system of its own


def test_an_agent_finds_its_commit_and_everything_it_does_is_captured(repo: Repo, technique: str) -> None:
    before = repo.files()
    anything = ["**"]
    clean = {
        "run": 'test -z "$(git status --porcelain --ignored)" && test "$(stat -c %a top.txt)" = 644 && test ! -e noise.log'
    }
    first = task("A", {"run": MESS}, writes=anything)
    second = task("B", clean, {"run": "echo b > B.txt; echo later >> $HOME/further-name"}, writes=anything, needs=["A"])
    third = task(
        "C", clean, {"run": "grep top top.txt && ! grep later top.txt && echo c > C.txt"}, writes=anything, needs=["B"]
    )
    said = run(repo, first, second, third)
    assert said.code == 0, said.out + said.err
    made = {"overlay": ["overlay"] * 3, "pool": ["plain", "pool", "pool"], "plain": ["plain"] * 3}
    assert techniques(repo) == made[technique]
    moved = {path.replace("old/", "newer/") for path in before} - {"newer/f1.txt"}
    assert set(repo.files("main")) == moved | {"newer/link", "deep/x", "B.txt", "C.txt"}
    assert (repo.show("newer/f2.txt", "main"), repo.show("newer/f5.txt", "main")) == ("changed\n", "hidden\n")
    assert repo.git("ls-tree", "main", "newer/f3.txt").startswith("100755")
    assert_tidy(repo)
    assert list(homes().rglob("*")) == []


def kill_with_work(repo: Repo) -> Path:
    """Kill orch while its agent, which has changed files, is at work; return the worktree."""
    change = "echo mine > A.txt; echo changed > top.txt; rm old/f1.txt"
    said = run(repo, task("A", {"run": change}, writes=["**"]), env={"ORCH_KILL_AT": "work-captured"})
    assert said.code == -signal.SIGKILL, said.out + said.err
    (folder,) = homes().glob("*/r/A.gen-1")
    return folder


def test_after_a_restart_of_the_machine_an_overlay_is_mounted_again_and_its_work_is_kept(
    repo: Repo, overlay: None
) -> None:
    folder = kill_with_work(repo)
    assert is_mounted(folder)
    unmount(folder)  # as a restart does
    assert [place.name for place in folder.iterdir()] == ["NOT-MOUNTED.txt"]
    assert orch("clean", cwd=repo.path).code == 0  # a run that can be resumed is left alone
    said = orch("resume", cwd=repo.path)
    assert said.code == 0, said.out + said.err
    kept = "orch/r/A/gen-1"
    assert (repo.show("A.txt", kept), repo.show("top.txt", kept)) == ("mine\n", "changed\n")
    assert "old/f1.txt" not in repo.files(kept)
    assert_tidy(repo)
    assert list(homes().rglob("*")) == []


def test_doctor_mounts_recover_brings_back_and_clean_removes_nothing_that_is_nowhere_else(
    repo: Repo, overlay: None, tmp_path: Path
) -> None:
    folder = kill_with_work(repo)
    unmount(folder)
    subprocess.run(["rm", "-r", repo.path / ".git/orch/r"], check=True)  # nobody can resume it any more
    said = orch("doctor", "--dry-run", cwd=repo.path)
    assert f"{folder}: a worktree of the run r that is not mounted; would be mounted again." in said.out, said.out
    assert not is_mounted(folder)
    assert f"{folder}: a worktree of the run r that is not mounted; mounted again." in orch("doctor", cwd=repo.path).out
    assert (folder / "A.txt").read_text() == "mine\n"
    unmount(folder)
    assert orch("recover", "r", "--to", tmp_path / "back", cwd=repo.path).code == 0
    assert ((tmp_path / "back/A.txt").read_text(), (tmp_path / "back/old").is_dir()) == ("mine\n", True)
    unmount(folder)
    kept = orch("clean", "--json", cwd=repo.path).json["kept"]
    assert "in no commit that stays" in {each["name"]: each["why"] for each in kept}["A/gen-1/folder"]
    assert (folder / "A.txt").read_text() == "mine\n"
    for path, text in {"A.txt": "mine\n", "top.txt": "changed\n"}.items():
        repo.write(path, text)
    repo.commit("the same by hand")
    said = orch("clean", cwd=repo.path)
    assert "removed: A/gen-1/folder of r" in said.out, said.out + said.err
    assert (repo.git("worktree", "list").count("\n"), list(homes().glob("*/*"))) == (0, [])


def test_a_template_that_somebody_has_changed_is_used_no_more(repo: Repo, overlay: None) -> None:
    spoil = "tree=$(echo ~/.local/state/orch/*/.templates/*/tree); echo evil > $tree/top.txt; echo evil > $tree/extra"
    kill_with_work(repo)  # its template stays for as long as its layer needs it
    subprocess.run(spoil, shell=True, check=True)
    said = orch("resume", cwd=repo.path)
    assert said.code == 0, said.out + said.err
    assert (repo.show("top.txt", "main"), "extra" in repo.files("main")) == ("changed\n", False)
    assert "evil" not in repo.git("show", "orch/r/A/gen-2:top.txt")


def test_a_kept_template_is_moved_on_from_by_what_has_changed(repo: Repo, overlay: None) -> None:
    tasks = [task(name, {"run": f'test -z "$(git status --porcelain)" && echo x > {name}.txt'}) for name in "ABC"]
    for before, after in pairwise(tasks):
        after["needs"] = [before["id"]]
    count = {
        "run": "test $(ls -d ~/.local/state/orch/*/.templates/* | wc -l) = 1 && test -s A.txt -a -s C.txt && echo x > D.txt"
    }
    said = run(repo, *tasks, task("D", count, needs=["C"]))
    assert said.code == 0, said.out + said.err
    assert [t["status"] for t in report_of(repo)["tasks"]] == ["landed"] * 4


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("magic", "ORCH_WORKTREES=magic is no way of making worktrees."),
        ("overlay", "ORCH_WORKTREES=overlay does not work here"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    repo: Repo, tmp_path: Path, asked: str, said: str
) -> None:
    home = tmp_path / "with,comma"  # a mount cannot name it
    answer = orch(
        "run",
        write_plan(tmp_path / "p", [task("A")]),
        cwd=repo.path,
        env={"ORCH_WORKTREES": asked, "ORCH_HOME": str(home)},
    )
    assert (answer.code, said in answer.err) == (2, True), answer.err
    assert not (repo.path / ".git/orch").exists()


def test_a_folder_that_somebody_works_in_is_not_used_again(tmp_path: Path) -> None:
    folder = tmp_path / "run/A.gen-1"
    folder.mkdir(parents=True)
    (folder / ".git").write_text("gitdir: x\n")
    with subprocess.Popen(["cat"], cwd=folder, stdin=subprocess.PIPE) as process:
        assert not make_as_new(folder)
        process.communicate()
    assert make_as_new(folder)
