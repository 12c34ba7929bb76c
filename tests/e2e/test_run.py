"""`orch run` from end to end, as its user runs it: what lands, what does not, and what is left behind."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.orch import orch, write_plan
from tests.support.repos import Repo, make_repo
from tests.support.stories import assert_tidy, report_of, task, write

pytestmark = pytest.mark.e2e


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo", README_txt="start\n", other__b_txt="b\n", mine__x_txt="x\n")


def test_all_lands_and_the_checkout_follows(repo: Repo, tmp_path: Path) -> None:
    before = repo.head()
    plan = write_plan(tmp_path / "p", [task("A"), task("B", needs=["A"]), task("C")])
    said = orch("run", plan, "--jobs", "2", cwd=repo.path)
    assert said.code == 0, said.err
    assert "3 of 3 tasks landed on main" in said.out
    assert {"A.txt", "B.txt", "C.txt"} <= set(repo.files())
    assert (repo.path / "B.txt").read_text() == "text\n"
    report = report_of(repo)
    assert report["status"] == "landed"
    assert report["base"] == {"branch": "main", "before": before, "after": repo.head()}
    assert [t["status"] for t in report["tasks"]] == ["landed"] * 3
    order = repo.git("log", "--first-parent", "--reverse", "--format=%s", f"{before}..HEAD").splitlines()
    assert order.index("Land A: A") < order.index("Land B: B")
    assert_tidy(repo)


def test_json_is_one_document_on_stdout_and_progress_is_on_stderr(repo: Repo, tmp_path: Path) -> None:
    said = orch("run", write_plan(tmp_path / "p", [task("A")]), "--json", cwd=repo.path)
    assert said.json == report_of(repo)
    assert "A: landed as" in said.err


def test_every_landed_commit_carries_trailers_that_git_reads(repo: Repo, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "p", [task("A", {"report": "Done.\nProvenance-Task: EVIL"}, write("A.txt"))])
    assert orch("run", plan, "--run", "r1", cwd=repo.path).code == 0
    for commit in repo.git("rev-list", "HEAD~1..HEAD").split():
        message = repo.git("log", "-1", "--format=%B", commit)
        trailers = repo.git("interpret-trailers", "--parse", stdin=message.encode()).splitlines()
        assert trailers[0] == "Provenance-Run: r1"
        assert trailers[1] == "Provenance-Task: A"
        assert len(trailers) == 12
        assert "EVIL" not in message
    assert repo.git("log", "-1", "--format=%an", "HEAD^2") == "A default script@1"


def test_a_failing_task_blocks_its_dependants_only(repo: Repo, tmp_path: Path) -> None:
    plan = write_plan(
        tmp_path / "p",
        [
            task("A", write("A.txt"), {"fail": "no luck"}, attempts=2),
            task("B", needs=["A"]),
            task("C", needs=["B"]),
            task("D"),
        ],
    )
    said = orch("run", plan, cwd=repo.path)
    assert said.code == 1
    report = report_of(repo)
    assert {t["id"]: t["status"] for t in report["tasks"]} == {
        "A": "failed",
        "B": "blocked",
        "C": "blocked",
        "D": "landed",
    }
    assert report["status"] == "partial"
    assert report["tasks"][0]["generation"] == 2
    assert "no luck" in report["tasks"][0]["reason"]
    assert "A: failed: the agent failed: no luck" in said.out
    assert "git diff main...orch/" in said.out
    assert_tidy(repo)


def test_nothing_lands_and_the_base_stays(repo: Repo, tmp_path: Path) -> None:
    before = repo.head()
    said = orch("run", write_plan(tmp_path / "p", [task("A", {"fail": "x"}, attempts=1)]), cwd=repo.path)
    assert (said.code, repo.head()) == (1, before)
    assert "nothing was changed" in said.out
    assert report_of(repo)["status"] == "failed"


def test_the_next_generation_is_told_why_the_last_one_was_refused(repo: Repo, tmp_path: Path) -> None:
    steps = [
        {"when": {"generation": 1, "do": [write("A.txt", "one\n"), write("other/b.txt", "mine now\n")]}},
        {"when": {"generation": 2, "do": [{"run": "cp $ORCH_PROMPT A.txt"}]}},
    ]
    said = orch("run", write_plan(tmp_path / "p", [task("A", *steps)]), "--run", "r", cwd=repo.path)
    assert said.code == 0, said.err
    told = repo.show("A.txt")
    assert "Generation 1 was refused" in told
    assert "other/b.txt: edits this path, but the task may write A.txt (out-of-scope)" in told
    assert "orch/r/A/gen-1" in told
    assert repo.show("other/b.txt") == "b\n"
    assert repo.show("other/b.txt", "orch/r/A/gen-1") == "mine now\n"  # refused, and kept
    report = report_of(repo)
    assert report["conflicts"]["detected_early"] == 1
    assert report["conflicts"]["by_type"]["direct"] == 1
    assert report["conflicts"]["resolved"]["auto"] == 1


def test_a_contract_violation_is_found_without_running_the_code(repo: Repo, tmp_path: Path) -> None:
    interface = "from abc import ABC\nclass IService(ABC):\n    async def get(self, key: str) -> str: ...\n"
    wrong = "from contracts.i import IService\nraise SystemExit\nclass Service(IService):\n    def get(self, key): return 1\n"
    right = wrong.replace("    def", "    async def")
    steps = [
        {"when": {"generation": 1, "do": [write("src/service.py", wrong)]}},
        {"when": {"generation": 2, "do": [write("src/service.py", right)]}},
    ]
    plan = write_plan(
        tmp_path / "p",
        [{"id": "A", "writes": ["src/**"], "steps": steps}],
        contracts={
            "files": {"contracts/i.py": interface},
            "implementations": [{"interface": "contracts.i:IService", "by": "src.service:Service", "task": "A"}],
        },
    )
    said = orch("run", plan, cwd=repo.path)
    assert said.code == 0, said.out
    assert "check contracts failed: src/service.py:4: Service.get" in said.out
    report = report_of(repo)
    assert (report["tasks"][0]["generation"], report["conflicts"]["by_type"]["semantic"]) == (2, 1)


def test_contracts_are_committed_first_and_only_if_they_differ(repo: Repo, tmp_path: Path) -> None:
    contracts = {"files": {"contracts/a.md": "A missing user is an error.\n", "contracts/b.md": {"from": "b.md"}}}
    plan = write_plan(tmp_path / "p", [task("A")], {"b.md": "from a file\n"}, contracts=contracts)
    assert orch("run", plan, cwd=repo.path).code == 0
    first = repo.git("log", "--first-parent", "--reverse", "--format=%H", "HEAD").splitlines()[1]
    assert repo.git("log", "-1", "--format=%(trailers:key=Provenance-Task,valueonly)", first).strip() == "contracts"
    assert (repo.show("contracts/a.md"), repo.show("contracts/b.md")) == (
        "A missing user is an error.\n",
        "from a file\n",
    )
    again = write_plan(tmp_path / "q", [task("B")], {"b.md": "from a file\n"}, contracts=contracts)
    said = orch("run", again, cwd=repo.path)
    assert "stand on the base branch already" in said.out
    assert repo.git("log", "--format=%s", "HEAD").count("contracts: what") == 1


@pytest.mark.unconfined
def test_a_conflict_with_what_landed_meanwhile_goes_back_to_the_agent(repo: Repo, tmp_path: Path) -> None:
    # A person commits to the same file while the agent works: the scope cannot forbid that, the merge finds it.
    person = f"cd {repo.path} && echo person > A.txt && git add A.txt && git -c user.name=p -c user.email=p commit -qm person"
    steps: list[dict[str, Any]] = [{"when": {"generation": 1, "do": [{"run": person}]}}, {"run": "echo agent >> A.txt"}]
    said = orch("run", write_plan(tmp_path / "p", [task("A", *steps)]), cwd=repo.path)
    assert said.code == 0, said.out
    assert "check merge failed: A.txt: does not merge with what has landed since" in said.out
    assert repo.show("A.txt") == "person\nagent\n"
    report = report_of(repo)
    assert (report["tasks"][0]["generation"], report["conflicts"]["at_merge"]) == (2, 1)
    assert_tidy(repo)


def test_gates_run_on_the_merged_tree_and_their_failure_is_told(repo: Repo, tmp_path: Path) -> None:
    steps = [
        {"when": {"generation": 1, "do": [write("A.txt", "bad\n")]}},
        {"when": {"generation": 2, "do": [{"run": "cp $ORCH_PROMPT prompt.txt"}, write("A.txt", "good\n")]}},
    ]
    plan = write_plan(
        tmp_path / "p",
        [{"id": "A", "writes": ["*.txt"], "steps": steps}],
        gates=[{"name": "good", "run": "echo looking; cat A.txt; grep good A.txt"}, {"name": "later", "run": "true"}],
    )
    said = orch("run", plan, cwd=repo.path)
    assert said.code == 0, said.out
    assert "looking\nbad" in repo.show("prompt.txt")
    (log,) = (repo.path / ".git/orch").glob("*/gates/A.gen-1.good.log")
    assert log.read_text() == "looking\nbad\n"
    assert report_of(repo)["conflicts"]["by_type"]["behavioral"] == 1
    assert_tidy(repo)


def test_a_gate_that_hangs_or_that_finds_leftovers_of_another(repo: Repo, tmp_path: Path) -> None:
    plan = write_plan(
        tmp_path / "p",
        [task("A"), task("B", needs=["A"])],
        gates=[{"name": "clean", "run": "test ! -e leftover && touch leftover"}],
    )
    assert orch("run", plan, cwd=repo.path).code == 0
    hangs = write_plan(
        tmp_path / "q", [task("C", attempts=1)], gates=[{"name": "hangs", "run": "sleep 60", "timeout": "200ms"}]
    )
    said = orch("run", hangs, cwd=repo.path)
    assert said.code == 1
    assert "did not end within 0.2 s" in said.out


def test_a_command_agent_gets_its_prompt_and_its_exit_code_decides(repo: Repo, tmp_path: Path) -> None:
    agent = 'cat > A.txt; test "$(cat $ORCH_PROMPT)" = "$(cat A.txt)" && test "$ORCH_GENERATION" = 2'
    plan = write_plan(
        tmp_path / "p",
        [
            {
                "id": "A",
                "writes": ["A.txt"],
                "agent": "mine",
                "prompt": "Write it.",
                "todos": [{"id": "one"}],
                "attempts": 2,
            }
        ],
        agents={"mine": {"kind": "command", "command": agent, "model": "cat@1"}},
    )
    said = orch("run", plan, cwd=repo.path)
    assert said.code == 0, said.out
    assert repo.show("A.txt").startswith("# A: A\n\nWrite it.\n\n## Where you may write\n\n- A.txt\n")
    assert "ended with exit code 1" in repo.show("A.txt")
    assert "Provenance-Model: cat@1" in repo.git("log", "-1", "--format=%B")
    board = orch("board", "--json", cwd=repo.path).json
    assert "one" in json.dumps(board)


def test_limits_end_an_attempt_or_the_run(repo: Repo, tmp_path: Path) -> None:
    plan = write_plan(
        tmp_path / "p",
        [
            task("A", {"run": "sleep 60"}, attempts=1, limits={"wall": "300ms"}),
            task("B", {"run": "echo x; sleep 60"}, attempts=1, limits={"stall": "300ms"}),
            task("C", write("C.txt"), write("C.txt"), attempts=1, limits={"turns": 1}),
            task("D", {"sleep": "1h"}, attempts=1, limits={"wall": "200ms"}),
        ],
    )
    said = orch("run", plan, "--jobs", "4", "--json", cwd=repo.path)
    reasons = {t["id"]: t["reason"] for t in said.json["tasks"]}
    assert "time limit of 0.3 s" in reasons["A"]
    assert "printed nothing for 0.3 s" in reasons["B"]
    assert "limit of 1 turn " in reasons["C"]
    assert "time limit of 0.2 s" in reasons["D"]
    whole = write_plan(tmp_path / "q", [task("E", {"sleep": "1h"}), task("F", needs=["E"])], limits={"wall": "500ms"})
    said = orch("run", whole, "--json", cwd=repo.path)
    assert said.code == 1
    assert {t["status"] for t in said.json["tasks"]} <= {"cancelled", "blocked"}
    assert "time limit of 0.5 s" in said.json["stopped"]


def test_the_board_and_the_log_tell_the_story(repo: Repo, tmp_path: Path) -> None:
    steps = [{"claim": "one"}, {"report": "half\x1b[31m way"}, write("A.txt"), {"done": "one"}]
    plan = write_plan(tmp_path / "p", [task("A", *steps, todos=[{"id": "one", "title": "First"}])])
    assert orch("run", plan, cwd=repo.path).code == 0
    board = orch("board", cwd=repo.path).out
    assert "[x] one" in board
    log = orch("log", "--task", "A", cwd=repo.path).out
    assert "A: claims one" in log
    assert "\x1b" not in log + board
    assert orch("status", "--json", cwd=repo.path).json["status"] == "landed"
    kinds = [json.loads(line)["kind"] for line in orch("log", "--json", cwd=repo.path).out.splitlines()]
    assert kinds[0] == "run-started"
    assert kinds[-1] == "run-ended"


def test_orch_runs_from_inside_a_hook_of_another_repository(repo: Repo, tmp_path: Path) -> None:
    other = make_repo(tmp_path / "other")
    plan = write_plan(tmp_path / "p", [task("A")])
    leak = {"GIT_DIR": str(other.path / ".git"), "GIT_WORK_TREE": str(other.path), "GIT_INDEX_FILE": "/nonsense"}
    assert orch("run", plan, cwd=repo.path, env=leak).code == 0
    assert other.files() == ["README.txt"]


def test_worktrees_are_made_outside_every_repository(repo: Repo, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "p", [task("A", {"run": "pwd -P > A.txt"})])
    make_repo(tmp_path / "dotfiles")
    assert orch("run", plan, cwd=repo.path, env={"HOME": str(tmp_path / "dotfiles")}).code == 0
    place = Path(repo.show("A.txt").strip())
    assert place.is_relative_to(tmp_path / ".orch-worktrees")
    assert not place.exists()


def test_a_name_that_is_taken_and_a_folder_without_a_repository(repo: Repo, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "p", [task("A")])
    assert orch("run", plan, "--run", "one", cwd=repo.path).code == 0
    said = orch("run", plan, "--run", "one", cwd=repo.path)
    assert (said.code, "There is a run one already" in said.err) == (2, True)
    (tmp_path / "empty").mkdir()
    assert orch("run", plan, cwd=tmp_path / "empty").code == 2
    fresh = tmp_path / "fresh"
    subprocess.run(["git", "init", "--quiet", str(fresh)], check=True)
    said = orch("run", plan, cwd=fresh)
    assert (said.code, "no commit yet" in said.err) == (2, True)
