"""Going on with an edited plan: only what changed is planned again, what has landed stays, and no kill leaves half a plan."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.journal.journal import read_journal
from orchestrator.model.events import PlanEdited
from tests.e2e.test_terminal import Terminal
from tests.support.orch import Said, orch, write_plan
from tests.support.repos import Repo, make_repo
from tests.support.stories import assert_tidy, task, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.unconfined]

NEW_PATCH = """diff --git a/P.txt b/P.txt
new file mode 100644
--- /dev/null
+++ b/P.txt
@@ -0,0 +1 @@
+{}
"""


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo")


def killed(repo: Repo, plan: Path, at: str = "work-kept:1") -> None:
    """Begin the run `r` and have it killed."""
    said = orch("run", plan, "--run", "r", "--jobs", "1", cwd=repo.path, env={"ORCH_KILL_AT": at})
    assert said.code == -signal.SIGKILL, said.out + said.err


def outcome(said: Said) -> dict[str, tuple[str, int]]:
    """Return how each task of a report ended, and under which generation."""
    return {t["id"]: (t["status"], t["generation"]) for t in said.json["tasks"]}


def edits(repo: Repo) -> list[PlanEdited]:
    return [event for _, event in read_journal(repo.path / ".git/orch/r/journal") if isinstance(event, PlanEdited)]


def test_only_what_changed_is_planned_again(repo: Repo, tmp_path: Path) -> None:
    # When the second landing is in its gate, all others have come as far as they can; then the gate kills the run.
    journal, dead = repo.path / ".git/orch/r/journal", tmp_path / "dead"
    told = [f'"submitted","task":"{name}"' for name in ("SAME", "CHANGED", "PATCHED", "DROPPED")]
    waits = "; ".join(
        f"until grep -aqF '{words}' {journal}; do sleep 0.01; done" for words in (*told, '"refused","task":"REFUSED"')
    )
    gate = f'test "$(echo *.txt)" = "LANDED.txt README.txt" || {{ {waits}; touch {dead}; kill -9 $PPID; }}'
    agreed = {"contracts/c.md": "old\n", "contracts/d.md": "stays\n"}
    after: dict[str, Any] = {"needs": ["LANDED"]}
    same, hold = task("SAME", **after), {"run": f"test -e {dead} || sleep 60"}
    patched = {**task("PATCHED", {"patch": "p.patch"}, **after), "writes": ["P.txt"]}
    plan = write_plan(
        tmp_path / "p",
        [
            task("LANDED"), same, task("CHANGED", **after), patched, task("DROPPED", **after), task("WAITING", needs=["SAME"]),
            task("REFUSED", {"when": {"generation": 1, "do": [{"fail": "no"}]}}, hold, attempts=2, **after),
        ],
        {"p.patch": NEW_PATCH.format("old")}, contracts={"files": agreed}, gates=[{"name": "g", "run": gate}],
    )  # fmt: skip
    begun = orch("run", plan, "--run", "r", "--jobs", "8", cwd=repo.path)
    assert begun.code == -signal.SIGKILL, begun.out + begun.err

    write_plan(
        tmp_path / "p",
        [
            task("LANDED", write("LANDED.txt", "other\n")), same, task("CHANGED", write("CHANGED.txt", "new\n"), **after),
            patched, task("REFUSED", attempts=1, **after), task("NEW", **after),
            task("WAITING", write("WAITING.txt", "new\n"), needs=["SAME"]),
        ],
        {"p.patch": NEW_PATCH.format("new")},
        contracts={"files": {**agreed, "contracts/c.md": "new\n"}}, gates=[{"name": "other", "run": "test -e LANDED.txt"}],
    )  # fmt: skip
    said = orch("resume", "r", "--plan", plan, "--json", cwd=repo.path)
    assert said.code == 0, said.err
    assert outcome(said) == {
        "LANDED": ("landed", 1), "SAME": ("landed", 1), "CHANGED": ("landed", 2), "PATCHED": ("landed", 2),
        "REFUSED": ("landed", 3), "WAITING": ("landed", 1), "NEW": ("landed", 1),
    }  # fmt: skip
    assert {p: repo.show(p) for p in repo.files("main")} == {
        "README.txt": "start\n", "contracts/c.md": "new\n", "contracts/d.md": "stays\n", "LANDED.txt": "text\n",
        "SAME.txt": "text\n", "CHANGED.txt": "new\n", "P.txt": "new\n", "REFUSED.txt": "text\n",
        "WAITING.txt": "new\n", "NEW.txt": "text\n",
    }  # fmt: skip
    assert repo.show("CHANGED.txt", "orch/r/CHANGED/gen-1") == "text\n"
    assert repo.show("DROPPED.txt", "orch/r/DROPPED/gen-1") == "text\n"
    gates = {c["name"] for t in said.json["tasks"] if t["id"] != "LANDED" for c in t["checks"]} - {
        "boundary",
        "no-revert",
    }
    assert gates == {"gate:other"}
    assert "LANDED has landed as it was; put the change into a task of its own." in said.err
    (edit,) = edits(repo)
    assert (edit.landed, edit.changed) == (("LANDED",), ("CHANGED", "PATCHED", "REFUSED", "WAITING"))
    assert (edit.added, edit.dropped, edit.contracts) == (("NEW",), ("DROPPED",), ("contracts/c.md",))
    assert_tidy(repo)


def test_a_dropped_task_is_not_run_and_one_that_has_landed_stays(repo: Repo, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "p", [task("A"), task("B", needs=["A"]), task("C", needs=["B"])])
    killed(repo, plan, at="work-kept:2")
    write_plan(tmp_path / "p", [task("C")])
    said = orch("resume", "--plan", plan, "--json", cwd=repo.path)
    assert (said.code, outcome(said)) == (0, {"C": ("landed", 1)})
    assert repo.files("main") == ["A.txt", "C.txt", "README.txt"]
    assert orch("log", "r", "--task", "A", cwd=repo.path).out.count("landed as") == 1
    assert "B  cancelled" in orch("board", "r", cwd=repo.path).out
    # What was dropped is known if it comes back: nothing lands twice, and numbers only grow.
    write_plan(tmp_path / "p", [task("A"), task("B"), task("C")])
    again = orch("resume", "r", "--plan", plan, "--json", cwd=repo.path)
    assert (again.code, outcome(again)) == (0, {"A": ("landed", 1), "B": ("landed", 2), "C": ("landed", 1)})
    landed = repo.git("log", "--first-parent", "--format=%(trailers:key=Provenance-Task,valueonly,separator=)", "main")
    assert sorted(landed.split()) == ["A", "B", "C"]
    assert_tidy(repo)


def test_an_edited_plan_is_told_and_both_ways_are_named(repo: Repo, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "p", [task("A"), task("B")])
    killed(repo, plan)
    same = orch("run", plan, cwd=repo.path)
    assert (same.code, same.err.splitlines()[0]) == (2, "Error: The run r of this plan has not ended.")
    plan.write_text(f"# only a remark\n{plan.read_text()}")
    assert orch("run", plan, cwd=repo.path).err == same.err
    write_plan(tmp_path / "p", [task("A"), task("B", write("B.txt", "new")), task("C")])
    said = orch("run", plan, cwd=repo.path)
    assert (said.code, said.err.splitlines()) == (2, [
        "Error: The run r of this plan has not ended, and the plan was edited since:",
        "  New: C.",
        "  Changed, and starting anew: B.",
        f"Go on with the plan as it is now: orch resume r --plan {plan}",
        "Go on with the plan as it was: orch resume r",
        f"Start another run: orch run --new {plan}",
    ])  # fmt: skip
    as_it_was = orch("resume", "r", "--json", cwd=repo.path)
    assert (as_it_was.code, outcome(as_it_was)) == (0, {"A": ("landed", 2), "B": ("landed", 1)})
    assert repo.show("B.txt") == "text\n"


def test_what_a_run_cannot_go_on_with_changes_nothing(repo: Repo, tmp_path: Path) -> None:
    repo.git("branch", "dev")
    plan = write_plan(tmp_path / "p", [task("A")])
    killed(repo, plan)
    journal = (repo.path / ".git/orch/r/journal").read_bytes()
    write_plan(tmp_path / "p", [task("A")], base="dev")
    why = "it lands on dev, and the run lands on main"
    said, offered = orch("resume", "r", "--plan", plan, cwd=repo.path), orch("run", plan, cwd=repo.path)
    assert (said.code, why in said.err, f"orch run --new {plan}" in said.err) == (2, True, True)
    assert (offered.code, why in offered.err, "as it was: orch resume r" in offered.err) == (2, True, True)
    write_plan(tmp_path / "p", [task("A")], name="other")
    said, newest = orch("resume", "r", "--plan", plan, cwd=repo.path), orch("resume", "--plan", plan, cwd=repo.path)
    assert (said.code, "it is called other, and the run is one of test" in said.err) == (2, True)
    assert (newest.code, "No run of other in this repository has work left" in newest.err) == (2, True)
    for broken in (task("A", needs=["nobody"]), task("A", agent="x")):
        write_plan(tmp_path / "p", [broken], agents={"x": {"kind": "acp", "command": ["x"]}})
        assert orch("resume", "r", "--plan", plan, cwd=repo.path).code == 3
    assert (repo.path / ".git/orch/r/journal").read_bytes() == journal
    assert [f.name for f in (repo.path / ".git/orch/r").glob("plan*")] == ["plan"]
    assert orch("resume", "r", cwd=repo.path).code == 0


def test_a_pinned_plan_that_was_tampered_with_or_is_gone_is_not_gone_on_with(repo: Repo, tmp_path: Path) -> None:
    steps = {"write": {"path": "A.txt", "from": "a"}}
    plan = write_plan(tmp_path / "p", [task("A", steps)], {"a": "agreed\n"})
    killed(repo, plan)
    named = repo.path / ".git/orch/r/plan/a"
    named.write_text("other\n")
    said = orch("resume", "r", cwd=repo.path)
    assert (said.code, "is not the one with which the run r was left" in said.err) == (2, True), said.err
    named.unlink()
    assert orch("resume", "r", cwd=repo.path).code in (2, 3)
    assert repo.files("main") == ["README.txt"]
    named.write_text("agreed\n")
    assert (orch("resume", "r", cwd=repo.path).code, repo.show("A.txt")) == (0, "agreed\n")


KILLS = ["plan-pinned:1", "journal-append:4", "journal-appended:4", "checkout-move:1"]


@pytest.mark.parametrize("kill", KILLS)
def test_a_kill_leaves_the_old_plan_or_the_new_one(repo: Repo, tmp_path: Path, kill: str) -> None:
    old = {"contracts": {"files": {"k.md": "old\n"}}}
    plan = write_plan(tmp_path / "p", [task("A", {"write": {"path": "A.txt", "from": "a"}})], {"a": "old\n"}, **old)
    killed(repo, plan)
    new = {"contracts": {"files": {"k.md": "new\n"}}}
    tasks = [task("B"), task("A", {"write": {"path": "A.txt", "from": "a"}})]
    write_plan(tmp_path / "p", tasks, {"a": "new\n"}, **new)
    cut = orch("resume", "r", "--plan", plan, cwd=repo.path, env={"ORCH_KILL_AT": kill})
    assert cut.code == -signal.SIGKILL
    counts = bool(edits(repo))
    plan.unlink()
    (tmp_path / "p/a").unlink()
    said = orch("resume", "r", "--json", cwd=repo.path)
    assert said.code == 0, said.err
    assert [t["id"] for t in said.json["tasks"]] == (["B", "A"] if counts else ["A"])
    assert (repo.show("A.txt"), repo.show("k.md")) == (("new\n", "new\n") if counts else ("old\n", "old\n"))
    assert len(edits(repo)) == counts
    assert_tidy(repo)


def test_a_plan_may_be_edited_again_and_a_run_that_has_landed_goes_on_with_more(repo: Repo, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "p", [task("A", {"fail": "no"}, attempts=1), task("B", needs=["A"])])
    assert orch("run", plan, "--run", "r", "--jobs", "1", cwd=repo.path).code == 1
    write_plan(tmp_path / "p", [task("A", {"fail": "no"}, attempts=1), task("B", needs=["A"])], limits={"jobs": 3})
    said = orch("resume", "r", "--plan", plan, cwd=repo.path)
    assert (said.code, "Failed before, and not changed, so not tried again: A." in said.out) == (1, True)
    assert "up to 3 agents" in said.out
    write_plan(tmp_path / "p", [task("A"), task("B", needs=["A"])], limits={"jobs": 3})
    mended = orch("resume", "r", "--plan", plan, cwd=repo.path)
    assert (mended.code, "up to 3 agents" in mended.out) == (0, True)
    assert len(edits(repo)) == 2
    nothing = orch("resume", "r", "--plan", plan, cwd=repo.path)
    assert (nothing.code, "has landed" in nothing.err) == (2, True)
    write_plan(tmp_path / "p", [task("A"), task("B", needs=["A"]), task("C")])
    more = orch("resume", "r", "--plan", plan, "--json", cwd=repo.path)
    assert (more.code, outcome(more)) == (0, {"A": ("landed", 2), "B": ("landed", 1), "C": ("landed", 1)})
    assert_tidy(repo)


def test_on_a_terminal_the_edited_plan_is_offered(repo: Repo, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "p", [task("A")])
    killed(repo, plan)
    write_plan(tmp_path / "p", [task("A"), task("C")])
    no = Terminal("run", plan, cwd=repo.path)
    no.until("Go on with the plan as it is now?")
    os.write(no.master, b"n\n")
    shown = no.until(None)
    assert (no.process.wait(), "orch resume r --plan" in " ".join(shown.split())) == (2, True)
    yes = Terminal("run", plan, cwd=repo.path)
    assert "New: C." in yes.until("Go on with the plan as it is now?")
    os.write(yes.master, b"\n")
    shown = yes.until(None)
    assert yes.process.wait() == 0, shown
    assert repo.files("main") == ["A.txt", "C.txt", "README.txt"]
