"""`orch clean` removes only what is proved to be kept elsewhere: afterwards every file content can still be reached."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.git.repository import Repository
from orchestrator.leftovers import cleaning
from orchestrator.leftovers.recoverable import find_items
from orchestrator.model.items import Item
from orchestrator.worktrees.home import worktrees_home
from tests.e2e.test_interrupt import wait_for_line
from tests.support.orch import Said, orch, start_orch, write_plan
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.e2e, pytest.mark.unconfined]


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo", README_txt="start\n", old_txt="old\n")


def a_run(repo: Repo, folder: Path, tasks: list[dict[str, Any]], **more: Any) -> Said:
    return orch("run", write_plan(folder, tasks, **more), "--run", "r", cwd=repo.path)


def task(task_id: str, script: str, *writes: str, **more: Any) -> dict[str, Any]:
    return {"id": task_id, "writes": writes or [f"{task_id}*"], "attempts": 1, "steps": [{"run": script}], **more}


def clean(repo: Repo, *options: str) -> tuple[list[str], dict[str, str]]:
    """Clean, and return the names of what went, and name → reason of what stays; no content may be lost."""
    before = blobs(repo)
    said = orch("clean", *options, "--json", cwd=repo.path)
    assert said.code == 0, said.err
    assert blobs(repo) == before
    return [row["name"] for row in said.json["removed"]], {row["name"]: row["why"] for row in said.json["kept"]}


def blobs(repo: Repo) -> set[str]:
    """Return every file content that a ref, or the HEAD of a worktree, leads to."""
    listed = repo.git("rev-list", "--objects", "--all", "--no-object-names", "--filter=object:type=blob")
    kinds = repo.git("cat-file", "--batch-check=%(objecttype) %(objectname)", stdin=listed.encode())
    return {line for line in kinds.splitlines() if line.startswith("blob")}


def refs(repo: Repo) -> set[str]:
    return set(repo.git("for-each-ref", "--format=%(refname)").split())


def commit(repo: Repo, files: dict[str, str], *parents: str) -> str:
    lines = "".join(
        f"100644 blob {repo.git('hash-object', '-w', '--stdin', stdin=text.encode())}\t{path}\0"
        for path, text in files.items()
    )
    tree = repo.git("mktree", "-z", stdin=lines.encode())
    return repo.git("commit-tree", tree, *(part for p in parents for part in ("-p", p)), "-m", "made by hand")


def home() -> Path:
    return Path(os.environ["HOME"]) / ".local/state/orch"


def files_below(*folders: Path) -> dict[Path, tuple[int, int]]:
    places = [place for folder in folders for place in folder.rglob("*")]
    return {place: (place.lstat().st_mtime_ns, place.lstat().st_ino) for place in places}


def test_what_landed_goes_and_what_did_not_stays_with_its_reason(repo: Repo, tmp_path: Path) -> None:
    tasks = [
        task("A", "echo a > A"),
        task("B", "echo b > B; echo x > else"),
        task("C", "mv old.txt new.txt", "new.txt"),
        task("D", "true"),
        task("E", "exit 1", needs=["B"]),
    ]
    assert a_run(repo, tmp_path / "p", tasks).code == 1
    kept_files = {*files_below(repo.path / ".git/orch"), repo.path / ".git/orch/clean.lock"}
    before = refs(repo)
    said = orch("clean", "--dry-run", cwd=repo.path)
    assert refs(repo) == before
    assert "would remove: A/gen-1 of r" in said.out
    removed, kept = clean(repo)
    assert removed == ["A/gen-1", "D/gen-1"]
    assert set(kept) == {"B/gen-1", "C/gen-1"}
    assert before - refs(repo) == {"refs/heads/orch/r/A/gen-1", "refs/heads/orch/r/D/gen-1"}
    assert kept["B/gen-1"] == (
        "2 files are nowhere else; bring it back with `orch recover r --item B/gen-1 --branch recovered/r/B-gen-1`, "
        f"or delete it yourself: git update-ref -d refs/heads/orch/r/B/gen-1 {repo.head('orch/r/B/gen-1')}"
    )
    assert "no branch has them as it left them" in kept["C/gen-1"]  # a rename: its content is on main, the work is not
    assert f"kept: B/gen-1 of r: {kept['B/gen-1']}" in orch("clean", "r", cwd=repo.path).out
    assert clean(repo)[0] == []
    assert set(files_below(repo.path / ".git/orch")) == kept_files
    assert orch("status", "r", cwd=repo.path).code == 0


def test_work_goes_once_it_was_brought_back_or_landed_in_another_attempt(repo: Repo, tmp_path: Path) -> None:
    twice = [{"write": {"path": "A", "text": "a"}}, {"when": {"generation": 1, "do": [{"fail": "too early"}]}}]
    plan = [{"id": "A", "writes": ["A"], "steps": twice}, task("B", "echo b > B; echo x > else")]
    assert a_run(repo, tmp_path / "p", plan).code == 1
    assert orch("recover", "--item", "B/gen-1", "--branch", "mine", cwd=repo.path).code == 0
    removed, kept = clean(repo)
    assert (removed, kept) == (["A/gen-1", "A/gen-2", "B/gen-1"], {})
    assert repo.show("B", "mine") == "b\n"


def test_of_two_refs_with_the_same_content_one_stays(repo: Repo) -> None:
    main = repo.head()
    for number in (1, 2):
        repo.git(
            "update-ref",
            f"refs/orch/r/A/gen-{number}/snapshot",
            commit(repo, {"x": "only\n", f"{number}": "old\n"}, main),
        )
    removed, kept = clean(repo)
    assert (removed, list(kept)) == (["A/gen-1/snapshot"], ["A/gen-2/snapshot"])
    repo.git("update-ref", "refs/heads/orch/r/A/gen-2", commit(repo, {"x": "only\n"}, main))
    assert clean(repo)[0] == ["A/gen-2/snapshot"]  # what is easiest to find stays
    assert "refs/heads/orch/r/A/gen-2" in refs(repo)


def test_what_may_go_by_itself_vouches_for_nothing(repo: Repo) -> None:
    branch = "refs/heads/orch/r/A/gen-1"
    repo.git("update-ref", branch, commit(repo, {"x": "only\n"}, repo.head()))
    for voucher in ("refs/remotes/origin/x", "refs/stash", "refs/orch/r/candidate", "refs/bisect/bad"):
        repo.git("update-ref", voucher, branch)
    repo.git("symbolic-ref", "refs/heads/alias", branch)
    removed, kept = clean(repo)
    assert (removed, list(kept)) == ([], ["A/gen-1"])
    repo.git("tag", "mine", branch)
    repo.git("tag", "no-commit", "main:README.txt")
    assert clean(repo)[0] == ["A/gen-1"]


def test_a_branch_that_is_checked_out_stays(repo: Repo, tmp_path: Path) -> None:
    assert a_run(repo, tmp_path / "p", [task("A", "echo a > A")]).code == 0
    repo.git("worktree", "add", "-q", tmp_path / "look", "orch/r/A/gen-1")
    removed, kept = clean(repo)
    assert removed == []
    assert f"it is checked out in {tmp_path / 'look'}" in kept["A/gen-1"]
    repo.git("worktree", "remove", tmp_path / "look")
    assert clean(repo)[0] == ["A/gen-1"]


IGNORING = "echo '*.log' > .gitignore; printf 'l\\n' > 'A \n1.log'; chmod +x 'A \n1.log'; ln -s x A.log; echo a > A"


@pytest.mark.parametrize("sha", ["sha1", "sha256"])
def test_a_folder_goes_once_every_file_in_it_is_in_a_commit(tmp_path: Path, sha: str) -> None:
    repo = Repo(tmp_path / "repo")
    repo.path.mkdir()
    repo.git("init", "-q", "-b", "main", f"--object-format={sha}")
    repo.commit()
    assert a_run(repo, tmp_path / "p", [task("A", IGNORING, "A*", ".gitignore")]).code == 0
    (folder,) = home().glob("*/r/A.gen-1")
    removed, kept = clean(repo)
    assert removed == ["A/gen-1"]
    assert kept["A/gen-1/folder"].startswith(
        "2 files in it, such as A \\x0a1.log, are in no commit that stays; look into"
    )
    repo.write("A \n1.log", "l\n")
    (repo.path / "A.log").symlink_to("x")
    repo.git("add", "--force", "A \n1.log", "A.log")
    repo.commit()
    assert "1 file in it" in clean(repo)[1]["A/gen-1/folder"]  # the mode is another
    (repo.path / "A \n1.log").chmod(0o755)
    repo.commit()
    assert clean(repo, "--dry-run")[0] == ["A/gen-1/folder", str(folder.parent)]
    assert folder.is_dir()
    assert clean(repo) == (["A/gen-1/folder", str(folder.parent)], {})
    assert not folder.parent.exists()
    assert repo.git("worktree", "list").count("\n") == 0
    assert not list((repo.path / ".git").glob("worktrees/*"))


NOT_ELSEWHERE = {
    "echo x > new": "1 file in it, such as new, is in no commit that stays",
    "echo x >> README.txt": "1 file in it, such as README.txt, is in no commit that stays",
    "chmod +x README.txt": "1 file in it, such as README.txt, is in no commit that stays",
    "ln -sf old.txt README.txt": "1 file in it, such as README.txt, is in no commit that stays",
    "cp README.txt copy": "1 file in it, such as copy, is in no commit that stays",
    "mkfifo pipe": "pipe is no file, folder or link",
    "mkdir sub; echo 'gitdir: x' > sub/.git": "1 file in it, such as sub/.git, is in no commit that stays",
    "echo 'precious' > .git": "1 file in it, such as .git, is in no commit that stays",
    "echo y > y; git add y; git commit -qm y; git rm -q y": "what its agent committed there",
}


def test_a_folder_with_anything_of_its_own_stays(repo: Repo) -> None:
    repo.git("config", "user.name", "x")
    repo.git("config", "user.email", "x")
    repo.git("tag", "no-commit", "main:README.txt")
    home_of_run = worktrees_home(Repository.open(repo.path)) / "r"
    for number, script in enumerate(NOT_ELSEWHERE):
        folder = home_of_run / f"A{number}.gen-1"
        repo.git("worktree", "add", "-q", "--detach", folder)
        subprocess.run(script, shell=True, cwd=folder, check=True)
    before = files_below(home_of_run)
    removed, kept = clean(repo)
    assert removed == []
    for number, (script, reason) in enumerate(NOT_ELSEWHERE.items()):
        assert reason in kept[f"A{number}/gen-1/folder"], script
    assert files_below(home_of_run) == before


def test_a_folder_that_was_about_to_be_removed_and_an_unknown_one_are_judged_alike(repo: Repo) -> None:
    home_of_run = worktrees_home(Repository.open(repo.path)) / "r"
    trash, unknown = home_of_run / ".A.gen-1.trash", home_of_run / "mine"
    repo.git("worktree", "add", "-q", "--detach", trash)
    unknown.mkdir()
    removed, kept = clean(repo)
    assert (removed, kept) == (["A/gen-1/trash"], {str(unknown): "it is no worktree of an attempt"})
    assert list(home_of_run.iterdir()) == [unknown]
    unknown.rmdir()
    assert clean(repo) == ([str(home_of_run)], {})


def test_of_a_run_that_has_vanished_nothing_is_left_for_ever(repo: Repo, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "p", [task("A", "echo a > A.txt", "A.txt")], gates=[{"name": "g", "run": "true"}])
    killed = orch("run", plan, "--run", "r", cwd=repo.path, env={"ORCH_KILL_AT": "base-move"})
    assert killed.code == -signal.SIGKILL
    shutil.rmtree(repo.path / ".git/orch/r")
    candidate, branch = "refs/orch/r/_candidate/A", "refs/heads/orch/r/A/gen-1"
    assert set(repo.git("for-each-ref", "--format=%(refname)").split()) == {candidate, branch, "refs/heads/main"}
    left = {
        each["name"].rpartition("/")[2]: each["outcome"]
        for each in orch("doctor", "--json", cwd=repo.path).json["found"]
    }
    assert {outcome for name, outcome in left.items() if name.startswith("gate-")} == {"repaired"}
    repo.git("merge", "--quiet", branch)
    gone, kept = clean(repo)
    assert (candidate in gone, kept) == (True, {})
    assert repo.git("for-each-ref", "--format=%(refname)") == "refs/heads/main"
    assert orch("doctor", "--json", cwd=repo.path).json["found"] == []
    assert not [path for path in home().rglob("*") if path.is_file()]


def test_set_aside_files_stay(repo: Repo) -> None:
    (repo.path / ".git/orch-aside-x").mkdir()
    (repo.path / ".git/orch-aside-x/0").write_text("start\n")
    assert "orch recover --item set-aside/x --to" in clean(repo)[1]["set-aside/x"]
    assert (repo.path / ".git/orch-aside-x/0").is_file()


SLOW = [{"write": {"path": "B", "text": "b"}}, {"report": "up"}, {"sleep": "60s"}]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_runs_that_go_on_are_left_alone(repo: Repo, tmp_path: Path, number: int) -> None:
    tasks = [task("A", "echo a > A"), {"id": "B", "needs": ["A"], "writes": ["B"], "steps": SLOW}]
    process = start_orch("run", write_plan(tmp_path / "p", tasks), "--run", "r", cwd=repo.path)
    wait_for_line(process.stdout, "B: says up")
    repo.git("update-ref", "refs/heads/orch/gone/A/gen-1", "main")
    before = refs(repo)
    assert clean(repo, "r") == ([], {"r": "a process is working on it"})
    os.kill(process.pid, number)
    process.communicate(timeout=60)
    before = refs(repo)
    removed, kept = clean(repo)
    assert removed == ["A/gen-1"]
    assert before - refs(repo) == {"refs/heads/orch/gone/A/gen-1"}
    why = "B was cancelled and can still land" if number == signal.SIGINT else "it has not ended"
    assert kept == {"r": f"{why}; `orch resume r` goes on with it"}
    assert f"left alone: r: {why}" in orch("clean", cwd=repo.path).out
    repository = Repository.open(repo.path)
    items = find_items(repository, home(), ["r"])  # as if it had been taken up since it was asked whether it goes on
    verdicts = cleaning.clean(repository, home(), ["r"], items, dry_run=False)
    assert {verdict.why for verdict in verdicts} == {kept["r"]}


def test_a_damaged_journal_keeps_everything(repo: Repo, tmp_path: Path) -> None:
    assert a_run(repo, tmp_path / "p", [task("A", "echo a > A")]).code == 0
    (repo.path / ".git/orch/r/journal").write_bytes(b"not a journal of any version")
    removed, kept = clean(repo)
    assert (removed, "is not a journal" in kept["r"]) == ([], True)


@pytest.mark.parametrize(
    "kill", ["ref-move:1", "ref-moved:1", "worktree-trashed", "worktree-forgotten", "worktree-removed"]
)
def test_a_clean_that_is_killed_has_lost_nothing_and_can_be_repeated(repo: Repo, tmp_path: Path, kill: str) -> None:
    ignoring = "echo '*.log' > .gitignore; echo l > A.log; echo a > A"
    assert a_run(repo, tmp_path / "p", [task("A", ignoring, "A*", ".gitignore"), task("B", "echo b > B")]).code == 0
    repo.write("A.log", "l\n")
    repo.git("add", "--force", "A.log")
    repo.commit()
    before = blobs(repo)
    assert orch("clean", cwd=repo.path, env={"ORCH_KILL_AT": kill}).code == -signal.SIGKILL
    assert blobs(repo) == before
    clean(repo)
    assert not list(home().glob("*/*"))
    assert not list((repo.path / ".git").glob("worktrees/*"))
    assert refs(repo) == {"refs/heads/main"}


@pytest.mark.parametrize("seed", range(6))
def test_whatever_refs_there_are_every_content_can_still_be_reached(repo: Repo, seed: int) -> None:
    dice = random.Random(seed)
    commits = [repo.head()]
    for _ in range(12):
        files = {f"f{dice.randrange(4)}": f"content {dice.randrange(12)}\n" for _ in range(dice.randrange(1, 4))}
        commits.append(commit(repo, files, *dict.fromkeys(dice.choices(commits, k=dice.randrange(3)))))
    names = [
        *(f"refs/heads/orch/r/{name}/gen-{number}" for name in "AB" for number in (1, 2)),
        *(f"refs/orch/r/{name}/gen-{number}/snapshot" for name in "AB" for number in (1, 2)),
        *(f"refs/orch/r/{name}/gen-{number}/agent-commits" for name in "AB" for number in (1, 2)),
        "refs/heads/mine", "refs/tags/mine", "refs/remotes/origin/mine",
    ]  # fmt: skip
    for name in dice.sample(names, dice.randrange(3, len(names))):
        repo.git("update-ref", name, dice.choice(commits))
    foreseen, before = clean(repo, "--dry-run"), refs(repo)
    removed, kept = clean(repo)  # which compares the contents
    assert (removed, kept) == foreseen
    assert len(before - refs(repo)) == len(removed)
    assert clean(repo) == ([], kept)


def test_a_ref_that_was_moved_since_it_was_looked_at_stays(repo: Repo) -> None:
    ref = "refs/orch/r/A/gen-1/snapshot"
    repo.git("update-ref", ref, "main")
    repository = Repository.open(repo.path)
    items = find_items(repository, home(), ["r"])
    repo.git("update-ref", ref, commit(repo, {"x": "only\n"}, repo.head()))
    (verdict,) = cleaning.clean(repository, home(), ["r"], items, dry_run=False)
    assert (verdict.name, verdict.why) == ("A/gen-1/snapshot", "it was moved or deleted meanwhile")
    assert repo.show("x", ref) == "only\n"


class _SeenTwice(list[Item]):
    """Items; whoever goes through them for the second time, as when the proof is made, does so after something was done."""

    def __init__(self, items: list[Item], deed: Callable[[], object]) -> None:
        super().__init__(items)
        self._looks, self._deed = 0, deed

    def __iter__(self) -> Iterator[Item]:
        self._looks += 1
        if self._looks == 2:
            self._deed()
        return super().__iter__()


def test_a_ref_stays_if_what_vouched_for_it_has_gone_since(repo: Repo) -> None:
    ref, only = "refs/orch/r/A/gen-1/snapshot", commit(repo, {"x": "only\n"}, repo.head())
    repo.git("update-ref", ref, only)
    repo.git("branch", "mine", only)
    repository = Repository.open(repo.path)
    items = _SeenTwice(find_items(repository, home(), ["r"]), lambda: repo.git("branch", "-D", "mine"))
    (verdict,) = cleaning.clean(repository, home(), ["r"], items, dry_run=False)
    assert verdict.why == "refs were moved back or deleted meanwhile; run `orch clean` again"
    assert repo.show("x", ref) == "only\n"


def test_a_run_that_is_not_there_is_a_usage_error(repo: Repo) -> None:
    said = orch("clean", "nope", cwd=repo.path)
    assert (said.code, "There is no run nope" in said.err) == (2, True)
    assert orch("clean", cwd=repo.path).out == "Nothing was removed.\n"
