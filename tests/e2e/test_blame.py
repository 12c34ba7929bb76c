"""`orch blame`: every line knows its task, and lines that no run wrote say so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from orchestrator.cli import main
from orchestrator.model.formats import AllLinesJson, FileProvenanceJson, LinesByJson, NoteJson, SharesJson, WhyJson
from tests.support.orch import orch, write_plan
from tests.support.repos import Repo, make_repo

pytestmark = [pytest.mark.e2e, pytest.mark.unconfined]

MAKE = "printf 'old\\nby A\\nby A too\\n' > src/a.py; echo x > 'src/odd:7'"
CHANGE = "printf 'old\\nby B\\nby A too\\n' > src/b.py; rm src/a.py; echo b > b.txt"
AT_LENGTH = ", and goes on saying so for a good while, until it is long enough for a copy"
MORE = f'for n in 1 2 3 4 5 6; do echo "C says $n{AT_LENGTH}"; done >> src/b.py'


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """Return a repository in which A, B and C have landed, C at its second try and with another agent, and D has not."""
    folder = tmp_path_factory.mktemp("blame")
    repo = make_repo(folder / "repo", src__a_py="old\n")
    again = {"when": {"generation": 1, "do": [{"run": "echo broken >> src/b.py"}]}}
    plan = write_plan(
        folder / "p",
        [
            {"id": "A", "writes": ["src/**"], "steps": [{"run": MAKE}]},
            {"id": "B", "writes": ["src/**", "*.txt"], "needs": ["A"], "steps": [{"run": CHANGE}]},
            {"id": "C", "writes": ["src/b.py"], "needs": ["B"], "agent": "other", "title": "Say it",
             "prompt": "Say six things.\nLoudly.",
             "steps": [{"run": MORE}, again]},
            {"id": "D", "writes": ["src/b.py"], "needs": ["C"], "attempts": 1,
             "steps": [{"run": "echo d >> src/b.py"}, {"fail": "no way"}]},
        ],
        contracts={"files": {"contracts/c.md": "agreed\n"}},
        agents={"default": {"kind": "script"}, "other": {"kind": "script"}},
        gates=[{"name": "whole", "run": "! grep -q broken src/*.py"}],
    )  # fmt: skip
    said = orch("run", plan, "--run", "r", cwd=repo.path)
    assert said.code == 1, said.out + said.err
    return repo


@pytest.fixture
def repo(landed: Repo, tmp_path: Path) -> Repo:
    """Return a copy of it, to work in."""
    return Repo(shutil.copytree(landed.path, tmp_path / "repo", symlinks=True))


@pytest.fixture(scope="module")
def edited(landed: Repo, tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """Return it after somebody changed a line of B's and one of C's, added one, and copied most of the file."""
    repo = Repo(shutil.copytree(landed.path, tmp_path_factory.mktemp("edited") / "repo", symlinks=True))
    text = repo.show("src/b.py").replace("by B", "by me").replace("C says 2", "Mine says 2") + "new\n"
    repo.commit("Mend it", src__b_py=text)
    repo.commit("Copy it", src__sub__copy_py="".join(text.splitlines(keepends=True)[3:]))
    return repo


def said_of(repo: Repo, *arguments: str | Path) -> Any:
    """Return what `orch blame … --json` says."""
    said = orch("blame", *arguments, "--json", cwd=repo.path)
    assert said.code == 0, said.err
    return said.json


def test_each_line_tells_its_task_across_a_rename(landed: Repo) -> None:
    lines = [json.loads(line) for line in orch("blame", "src/b.py:1-4", "--json", cwd=landed.path).out.splitlines()]
    assert [(line["line"], line["task"], line["text"]) for line in lines] == [
        (1, None, "old"),
        (2, "B", "by B"),
        (3, "A", "by A too"),
        (4, "C", f"C says 1{AT_LENGTH}"),
    ]
    assert lines[1] == {
        "line": 2, "commit": lines[1]["commit"], "task": "B", "generation": 1, "agent": "default", "model": "script@1",
        "run": "r", "text": "by B",
    }  # fmt: skip
    plain = orch("blame", "src/b.py", cwd=landed.path).out.splitlines()
    assert "by hand " in plain[0]
    assert "B gen 1 default script@1" in plain[1]
    assert "A default script@1" in landed.git("blame", "src/b.py").splitlines()[2]  # plain git says it too


def test_one_line_from_a_folder_inside_and_a_name_with_a_colon(landed: Repo) -> None:
    said = orch("blame", "b.py:2", "--json", cwd=landed.path / "src")
    assert said.json["task"] == "B"
    assert orch("blame", "odd:7", "--json", cwd=landed.path / "src").json["task"] == "A"
    assert orch("blame", "src/odd:7:1", "--json", cwd=landed.path).json["line"] == 1
    assert orch("blame", "contracts/c.md", "--json", cwd=landed.path).json["task"] == "contracts"


def test_a_task_tells_its_lines_in_all_files(landed: Repo) -> None:
    assert said_of(landed, "--task", "B") == {"task": "B", "files": {"b.txt": [[1, 1]], "src/b.py": [[2, 2]]}}
    assert orch("blame", "--task", "A", cwd=landed.path).out == "src/b.py: 3\nsrc/odd:7: 1\n"


def test_agents_and_models_are_asked_for_anywhere(landed: Repo) -> None:
    by_other = said_of(landed, "src", "--agent", "other")
    TypeAdapter(LinesByJson).validate_python(by_other, strict=False)
    assert by_other == {"agent": "other", "files": {"src/b.py": [[4, 9]]}}
    both = said_of(landed, "src/b.py:2-5", "--model", "script@1", "--agent", "other")
    assert both == {"agent": "other", "model": "script@1", "files": {"src/b.py": [[4, 5]]}}
    assert said_of(landed, "src/odd:7", "--task", "B")["files"] == {}


def test_a_folder_and_a_summary_of_it(edited: Repo) -> None:
    folder = said_of(edited, "src/sub")
    TypeAdapter(AllLinesJson).validate_python(folder)
    assert [row[:4] for row in folder["files"]["src/sub/copy.py"]] == [[1, 7, None, None]]
    shares = said_of(edited, "src", "--summary")
    TypeAdapter(SharesJson).validate_python(shares, strict=True)
    assert {name: row["lines"] for name, row in shares["tasks"].items()} == {"A": 2, "C": 5}
    assert shares["agents"]["default"] == {"lines": 2, "share": round(2 / 18, 4), "files": 2}
    assert shares["by_hand"] == {"lines": 11, "share": round(11 / 18, 4), "files": 2, "changed": 2}
    text = orch("blame", "--all", cwd=edited.path).out
    assert "20 lines in 5 files" in text
    assert "Of the lines by hand, 2 stand where a task's line stood." in text
    assert said_of(edited, "src/b.py:2-5", "--summary", "--agent", "other")["lines"] == 1


def test_lines_changed_by_hand_tell_whose_they_were(edited: Repo) -> None:
    lines = orch("blame", "src/b.py", cwd=edited.path).out.splitlines()
    assert "by hand, was B gen 1" in lines[1]
    assert "by hand, was C gen 2" in lines[4]
    assert "by hand  " in lines[9]
    ranges = orch("blame", "src", cwd=edited.path).out.splitlines()
    assert any("by hand, was C gen 2" in line and line.endswith(" src/b.py:5") for line in ranges)


def test_copies_are_followed_on_demand(edited: Repo) -> None:
    rows = said_of(edited, "src/sub", "--copies")["files"]["src/sub/copy.py"]
    assert [row[:2] + row[3:5] for row in rows] == [
        [1, 1, "C", 2],
        [2, 2, None, None],
        [3, 6, "C", 2],
        [7, 7, None, None],
    ]
    assert said_of(edited, "src/sub/copy.py:3", "--copies")["task"] == "C"
    assert said_of(edited, "--task", "C", "--copies")["files"]["src/sub/copy.py"] == [[1, 1], [3, 6]]


def test_why_tells_what_is_known_and_what_is_not_any_more(edited: Repo, repo: Repo) -> None:
    found = said_of(edited, "--why", "src/b.py:4")
    assert set(TypeAdapter(WhyJson).validate_python(found, strict=True)) == set(found)
    assert (found["task"], found["generation"], found["title"], found["prompt"]) == (
        "C",
        2,
        "Say it",
        "Say six things.\nLoudly.",
    )
    assert [(gate["name"], gate["passed"]) for gate in found["gates"]] == [("whole", True)]
    assert found["landed"] == edited.head("main~2")
    assert '"outcome"' in Path(found["transcript"]).read_text()
    text = orch("blame", "--why", "src/b.py:4", cwd=edited.path).out
    assert "    Say six things.\n    Loudly.\n" in text
    assert "gate        whole: passed" in text
    assert "before      a line of B gen 1, run r" in orch("blame", "src/b.py:2", "--why", cwd=edited.path).out
    shutil.rmtree(repo.path / ".git" / "orch" / "r")
    gone = said_of(repo, "--why", "src/b.py:4", "--rev", "main")
    assert (gone["task"], gone["prompt"], gone["gates"]) == ("C", None, None)
    assert gone["unknown"] == [
        "the prompt, the gates, the transcript and the cost, since the folder of the run r is gone"
    ]


def test_the_history_of_a_file_has_refused_generations_too(landed: Repo, repo: Repo) -> None:
    found = said_of(landed, "--history", "src/b.py")
    TypeAdapter(FileProvenanceJson).validate_python(found)
    assert found["conflict_risk"] == 4
    assert found["earlier_names"] == ["src/a.py"]
    told = [(g["task"], g["generation"], g["landed"]) for g in found["history"]]
    assert told == [("A", 1, True), ("B", 1, True), ("C", 1, False), ("C", 2, True), ("D", 1, False)]
    reasons = {(g["task"], g["generation"]): g["reason"] for g in found["history"]}
    assert "whole" in reasons["C", 1]
    assert "no way" in reasons["D", 1]
    assert "4 tasks wrote it" in orch("blame", "--history", "src/b.py", cwd=landed.path).out
    shutil.rmtree(repo.path / ".git" / "orch" / "r")
    gone = said_of(repo, "--history", "src/b.py", "--rev", "main")
    assert "the folder of the run r is gone" in gone["history"][4]["reason"]


def test_notes_are_written_at_one_stroke_and_others_are_left_alone(repo: Repo) -> None:
    repo.git("notes", "add", "--message", "mine", "main")
    mine = repo.head("refs/notes/commits")
    assert said_of(repo, "--export", "notes")["commits"] == 4
    note = json.loads(
        repo.git(
            "notes", "--ref=orch-provenance", "show", repo.git("blame", "-s", "-l", "-L4,4", "src/b.py").split()[0]
        )
    )
    assert TypeAdapter(NoteJson).validate_python(note)["files"] == {"src/b.py": [(4, 9)]}
    assert "'task'" not in repo.git("log", "--notes=orch-provenance", "main")
    assert '"task": "C"' in repo.git("log", "--notes=orch-provenance", "main")
    before = repo.head("refs/notes/orch-provenance")
    assert orch("blame", "--export", "notes", cwd=repo.path).code == 0
    assert repo.head("refs/notes/orch-provenance") == before  # nothing is new
    repo.commit("by hand", src__b_py="other\n")
    assert said_of(repo, "--export", "notes", "--rev", "main")["commits"] == 3
    assert repo.head("refs/notes/orch-provenance~1") == before
    assert repo.head("refs/notes/commits") == mine


def test_one_json_file_a_file(edited: Repo, tmp_path: Path) -> None:
    assert said_of(edited, "--export", tmp_path / "out")["files"] == 5
    found = json.loads((tmp_path / "out" / "src" / "b.py.json").read_text())
    assert set(TypeAdapter(FileProvenanceJson).validate_python(found)) == set(found)
    lines = {(row["first"], row["last"]): row for row in found["lines"]}
    assert (lines[6, 9]["task"], lines[6, 9]["was"]) == ("C", None)
    assert lines[5, 5]["task"] is None
    assert (lines[5, 5]["commit"], lines[5, 5]["was"]["task"]) == (edited.head("main~1"), "C")
    assert found["conflict_risk"] == 4
    said = orch("blame", "--export", tmp_path / "out", cwd=edited.path)
    assert (said.code, "is not an empty folder" in said.err) == (2, True)


def test_two_files_that_would_need_one_place_are_not_exported(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo", a="a\n", **{"a.json__b": "b\n", "odd\n\x1bname": "c\n"})
    said = orch("blame", "--export", tmp_path / "out", cwd=repo.path)
    assert (said.code, "a.json would be a file and a folder" in said.err) == (2, True)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith((".", "out"))] == []
    assert (
        orch("blame", ".", cwd=repo.path).out.splitlines()[-1].endswith(r" odd\x0a\x1bname:1")
    )  # no terminal is steered


def test_commits_named_by_the_repository_are_looked_past(edited: Repo, repo: Repo) -> None:
    repo.commit("Reformat", src__b_py=repo.show("src/b.py").replace("C says 3", "C  says 3"))
    repo.commit("Name it", _git_blame_ignore_revs="")
    repo.write(".git-blame-ignore-revs", f"# reformatted\n{repo.head('HEAD~1')}\n")
    assert said_of(repo, "src/b.py:6")["task"] == "C"
    assert said_of(repo, "--task", "C")["files"] == {"src/b.py": [[4, 9]]}
    assert said_of(repo, "src/b.py:6", "--no-ignore-revs")["task"] is None
    repo.write(".git-blame-ignore-revs", "main\n")
    said = orch("blame", "src/b.py", cwd=repo.path)
    assert (said.code, ".git-blame-ignore-revs:1 holds 'main'" in said.err) == (2, True)


def test_a_linked_worktree_and_a_kill_leave_nothing_behind(edited: Repo, tmp_path: Path) -> None:
    left = edited.path / ".git" / "orch-blobs-left"
    left.mkdir()
    edited.git("worktree", "add", "--quiet", "--detach", tmp_path / "other")
    assert orch("blame", "--all", "--json", cwd=tmp_path / "other").json["files"]
    assert list((edited.path / ".git").glob("orch-blobs-*")) == []


def test_the_base_branch_is_asked_even_if_another_is_checked_out(repo: Repo) -> None:
    repo.git("checkout", "--quiet", "-b", "elsewhere", "main~3")
    assert orch("blame", "src/b.py:2", "--json", cwd=repo.path).json["task"] == "B"
    said = orch("blame", "src/b.py:2", "--rev", "HEAD", cwd=repo.path)
    assert said.code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["src/none.py"], "There is no file or folder src/none.py"),
        (["src/b.py:10"], "has 9 lines"),
        (["src/b.py:0"], "there is no line 0"),
        (["src/b.py:5-12"], "there are no lines 5 to 12"),
        (["src/b.py:5-2"], "ends before it begins"),
        (["src:3"], "src is a folder"),
        (["src/b.py", "--rev", "nope"], "no revision nope"),
        (["--task", "Z"], "No commit on refs/heads/main comes from a task Z"),
        (["--agent", "Z"], "comes from an agent Z.\nThere are agents: other, default, plan."),
        (["src", "--summary", "--model", "Z"], "comes from a model Z.\nThere are models: script@1, plan@1."),
        ([], "Say what to look at: PATH[:LINE[-LINE]], --task ID"),
        (["src", "--all"], "Say either PATH or --all"),
        (["src/b.py", "--why"], "--why is asked of one line"),
        (["--why"], "--why is asked of a line: PATH:LINE"),
        (["src", "--history"], "src is a folder; --history is asked of a file"),
        (["--history", "--summary", "src/b.py"], "different questions"),
        (["--export", "notes", "--task", "A"], "--task does not go with --export"),
        (["../outside.py"], "outside the repository"),
    ],
)
def test_what_is_not_there_is_one_sentence_and_usage(
    landed: Repo, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    with pytest.raises(SystemExit) as ended:  # in this process: so many are slow to start
        main(["blame", *arguments, "--repo", str(landed.path)])
    said = capsys.readouterr().err
    assert (ended.value.code, words in said) == (2, True), said


def test_forged_trailers_in_a_persons_commit_are_not_believed_when_incomplete(repo: Repo) -> None:
    repo.write("src/p.py", "mine\n")
    repo.git("add", "--all")
    repo.git("commit", "--quiet", "--message", "mine\n\nProvenance-Task: A\nProvenance-Run: r")
    assert orch("blame", "src/p.py", "--json", cwd=repo.path).json["task"] is None
