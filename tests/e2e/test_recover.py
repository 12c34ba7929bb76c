"""`orch recover` finds what runs left that did not land, and brings it back byte for byte; it removes nothing."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.support.orch import orch, start_orch, write_plan
from tests.support.repos import Repo, make_repo

pytestmark = [pytest.mark.e2e, pytest.mark.unconfined]

IDENTITY = "export GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x"
TASKS: list[dict[str, Any]] = [
    {"id": "A", "writes": ["A*"], "attempts": 1, "steps": [{"run": "echo a > A.txt; echo x > else"}]},
    {
        "id": "B", "writes": ["B*"], "attempts": 1,
        "steps": [{"run": f"{IDENTITY}; echo one > B1; git add .; git commit -qm 1; git rm -qf B1; echo b > B.txt"}],
    },
    {
        "id": "C", "writes": ["C*", ".gitignore"], "attempts": 1,
        "steps": [{"run": "echo '*.log' > .gitignore; echo log > C.log; echo c > C; mkfifo .pipe; rm .pipe"}],
    },
    {
        "id": "D", "writes": ["D*"], "attempts": 1,
        "steps": [{"write": {"path": "D", "text": "d"}}, {"fail": "no \x1b[31mway"}],
    },
]  # fmt: skip


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo")


def a_run(repo: Repo, tmp_path: Path, *names: str) -> None:
    tasks = [task for task in TASKS if task["id"] in names]
    assert orch("run", write_plan(tmp_path / "p", tasks), "--run", "r", "--new", cwd=repo.path).code in (0, 1)


def listed(repo: Repo, *options: str) -> dict[str, dict[str, Any]]:
    said = orch("recover", *options, "--json", cwd=repo.path)
    assert said.code == 0, said.err
    return {row["item"]: row for row in said.json["items"]}


def commit_of(repo: Repo, entries: list[tuple[str, bytes, bytes]], *parents: str) -> str:
    """Return a commit with these files: (mode, path without a slash, content)."""
    lines = []
    for mode, path, content in entries:
        blob = repo.git("hash-object", "-w", "--stdin", stdin=content)
        lines.append(f"{mode} blob {blob}\t".encode() + path + b"\0")
    tree = repo.git("mktree", "-z", stdin=b"".join(lines))
    return repo.git("commit-tree", tree, *(part for p in parents for part in ("-p", p)), "-m", "made by hand")


def everything(folder: Path) -> dict[bytes, tuple[str, bytes]]:
    """Return path → (kind and permission of its owner to execute, content) of all below a folder."""
    found = {}
    for place in folder.rglob("*"):
        mode = place.lstat().st_mode
        path = os.fsencode(place.relative_to(folder))
        if stat.S_ISLNK(mode):
            found[path] = "link", os.fsencode(place.readlink())
        elif not stat.S_ISDIR(mode):
            found[path] = "program" if mode & 0o100 else "file", place.read_bytes()
    return found


def test_what_did_not_land_is_listed_with_its_reason(repo: Repo, tmp_path: Path) -> None:
    a_run(repo, tmp_path, "A", "B", "C", "D")
    refs = repo.git("for-each-ref")
    found = listed(repo)
    assert {name: (row["kind"], row["files"]) for name, row in found.items()} == {
        "A/gen-1": ("refused attempt", 2),
        "C/gen-1/folder": ("kept folder", 3),
        "D/gen-1": ("failed attempt", 1),
    }
    assert found["A/gen-1"]["why"].startswith("check boundary failed: else: adds this path")
    assert found["C/gen-1/folder"]["why"] == ".gitignore was changed by the agent, and C.log is ignored now."
    assert found["D/gen-1"]["why"] == "the agent failed: no way"
    assert set(listed(repo, "--all")) == {*found, "B/gen-1", "B/gen-1/agent-commits", "C/gen-1"}
    assert set(listed(repo, "r", "--task", "A")) == {"A/gen-1"}
    text = orch("recover", cwd=repo.path).out
    assert "\x1b" not in text
    assert all(row["command"] in text for row in found.values())
    assert repo.git("for-each-ref") == refs


def test_the_commands_of_the_list_bring_everything_back(repo: Repo, tmp_path: Path) -> None:
    a_run(repo, tmp_path, "A", "B", "C", "D")
    for row in listed(repo, "--all").values():
        program, *arguments = shlex.split(row["command"])
        assert program == "orch"
        said = orch(*arguments, cwd=repo.path)
        assert said.code == 0, said.err
        if row["commit"]:
            assert repo.head(arguments[-1]) == row["commit"]
        else:
            assert everything(repo.path / arguments[-1]) == {
                b".gitignore": ("file", b"*.log\n"), b"C": ("file", b"c\n"), b"C.log": ("file", b"log\n"),
                b"README.txt": ("file", b"start\n"),
            }  # fmt: skip
            assert Path(row["folder"], "C.log").is_file()
    assert listed(repo)["A/gen-1"]["commit"] == repo.head("orch/r/A/gen-1")


ODD = [
    ("100644", b"a b", b"space"),
    ("100644", b"new\nline", b"\x00\xff"),
    ("100755", b"\xff\xfe", b"#!/bin/sh\n"),
    ("120000", b"dangling", b"no/where\xff"),
    ("120000", b"out", b"/etc/passwd"),
    ("100644", b"dos", b"a\r\nb\n$Id$\n"),
    ("100644", b".gitattributes", b"* text=auto eol=crlf ident filter=evil export-ignore\n"),
    ("100644", b"empty", b""),
]


def test_a_commit_is_written_byte_for_byte_even_if_its_run_is_forgotten(repo: Repo, tmp_path: Path) -> None:
    repo.git("config", "filter.evil.smudge", f"touch {tmp_path}/evil; cat")
    repo.git("update-ref", "refs/heads/orch/gone/A/gen-1", commit_of(repo, ODD, repo.head()))
    row = listed(repo, "gone")["A/gen-1"]
    assert (row["kind"], row["why"]) == ("attempt", "the run's journal does not tell")
    assert row["files"] == len(ODD) + 1  # README.txt is not in it
    said = orch("recover", "gone", "--to", tmp_path / "new/out", cwd=repo.path)
    assert said.code == 0, said.err
    kinds = {"100644": "file", "100755": "program", "120000": "link"}
    assert everything(tmp_path / "new/out") == {path: (kinds[mode], content) for mode, path, content in ODD}
    assert not (tmp_path / "evil").exists()
    assert [place.name for place in (tmp_path / "new").iterdir()] == ["out"]


def test_a_folder_is_copied_with_all_that_git_would_not_take(repo: Repo, tmp_path: Path) -> None:
    script = r"""git init -q inner; echo x > inner/x; mkfifo pipe; mkdir closed empty; echo s > closed/s; chmod 500 closed
    printf y > "$(printf 'odd\n\377')"; ln -s pipe link; ln -s /etc out
    chmod 640 README.txt; echo secret > .env; chmod 700 .env"""
    plan = write_plan(tmp_path / "p", [{"id": "A", "writes": ["**"], "attempts": 1, "steps": [{"run": script}]}])
    assert orch("run", plan, "--run", "r", cwd=repo.path).code == 1
    row = listed(repo)["A/gen-1/folder"]
    assert row["files"] is None  # what is no file cannot be compared
    out = tmp_path / "out"
    out.mkdir()
    said = orch("recover", "--to", out, "--json", cwd=repo.path)
    assert said.code == 0, said.err
    assert said.json["left_out"] == ["pipe"]
    kept = Path(row["folder"])
    kept.joinpath("pipe").unlink()
    expected = {path: entry for path, entry in everything(kept).items() if path != b".git"}
    assert everything(out) == expected
    assert expected[b"odd\n\xff"] == ("file", b"y")
    assert (out / "inner/.git/HEAD").is_file()
    modes = [stat.S_IMODE((out / name).stat().st_mode) for name in ("closed", "README.txt", ".env", "empty")]
    assert modes == [stat.S_IMODE((kept / name).stat().st_mode) for name in ("closed", "README.txt", ".env", "empty")]
    assert listed(repo)["A/gen-1/folder"]["files"] == len(expected) - 1  # git knows no such mode as README.txt has now


def test_older_snapshots_are_reached_through_the_newest(repo: Repo, tmp_path: Path) -> None:
    commit = repo.head()
    for number in range(3):
        commit = commit_of(repo, [("100644", b"file", b"%d" % number)], commit)
    repo.git("update-ref", "refs/orch/r/A/gen-1/snapshot", commit)
    row = listed(repo)["A/gen-1/snapshot"]
    assert (row["kind"], row["snapshots"], row["files"]) == ("snapshot", 3, 2)
    for number, name in enumerate(("~2", "~1", "~0", "")):
        out = tmp_path / f"out{name}"
        said = orch("recover", "--item", f"A/gen-1/snapshot{name}", "--to", out, cwd=repo.path)
        assert said.code == 0, said.err
        assert everything(out) == {b"file": ("file", b"%d" % min(number, 2))}
    assert orch("recover", "--item", "A/gen-1/snapshot~1", "--branch", "older", cwd=repo.path).code == 0
    assert repo.head("older") == repo.head(f"{commit}~1")
    assert listed(repo, "--item", "A/gen-1/snapshot~2")["A/gen-1/snapshot~2"]["commit"] == repo.head(f"{commit}~2")
    said = orch("recover", "--item", "A/gen-1/snapshot~3", "--branch", "x", cwd=repo.path)
    assert (said.code, "its 3 snapshots end at ~2" in said.err) == (2, True)


def test_the_work_of_a_killed_run_is_found(repo: Repo, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "p", [TASKS[0]])
    killed = orch("run", plan, "--run", "r", cwd=repo.path, env={"ORCH_KILL_AT": "work-kept"})
    assert killed.code == -signal.SIGKILL
    found = listed(repo)
    assert {name: row["kind"] for name, row in found.items()} == {"A/gen-1": "attempt", "A/gen-1/folder": "kept folder"}
    assert found["A/gen-1"]["why"] == "its attempt has not ended"
    assert orch("recover", "--item", "A/gen-1", "--branch", "mine/again", cwd=repo.path).code == 0
    assert repo.show("A.txt", "mine/again") == "a\n"
    shutil.rmtree(repo.path / ".git/orch/r")  # now only the ref and the folder are left
    assert listed(repo, "r")["A/gen-1"]["files"] == 2
    assert set(listed(repo, "r")) == {"A/gen-1", "A/gen-1/folder"}


def test_worktrees_are_found_where_they_were_made(repo: Repo, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "p", [TASKS[2]])
    assert orch("run", plan, "--run", "r", cwd=repo.path, env={"ORCH_HOME": str(tmp_path / "else")}).code == 0
    assert Path(listed(repo)["C/gen-1/folder"]["folder"]).is_relative_to(tmp_path / "else")


def test_files_that_a_killed_landing_had_set_aside_are_copied(repo: Repo, tmp_path: Path) -> None:
    aside = repo.path / ".git/orch-aside-k3"
    aside.mkdir()
    (aside / "0").write_bytes(b"mine\r\n")
    row = listed(repo)["set-aside/k3"]
    assert (row["run"], row["kind"], row["files"]) == (None, "set-aside files", 1)
    assert "orch recover --item set-aside/k3 --to" in orch("recover", cwd=repo.path).out
    assert orch("recover", "--to", tmp_path / "out", cwd=repo.path).code == 0
    assert everything(tmp_path / "out") == {b"0": ("file", b"mine\r\n")}
    assert (aside / "0").is_file()


REFUSALS = {
    "both": (["--to", "new", "--branch", "x"], "either --to or --branch"),
    "ambiguous": (["--branch", "x"], "A/gen-1 of r, C/gen-1/folder of r, D/gen-1 of r"),
    "no such item": (["--item", "A/gen-7", "--branch", "x"], "nothing here that is called A/gen-7"),
    "no such run": (["nope"], "There is no run nope"),
    "older than no chain": (["--item", "A/gen-1~1", "--branch", "x"], "only snapshots have older ones"),
    "a branch of a folder": (["--item", "C/gen-1/folder", "--branch", "x"], "is a folder and no commit"),
    "there": (["--item", "A/gen-1", "--branch", "main"], "There is a branch main already"),
    "below": (["--item", "A/gen-1", "--branch", "main/x"], "There is a branch main, so"),
    "above": (["--item", "A/gen-1", "--branch", "dir"], "There is a branch dir/x, so"),
    "dots": (["--item", "A/gen-1", "--branch", "a..b"], "cannot be the name of a branch"),
    "option": (["--item", "A/gen-1", "--branch=-x"], "cannot be the name of a branch"),
    "head": (["--item", "A/gen-1", "--branch", "HEAD"], "cannot be the name of a branch"),
    "empty": (["--item", "A/gen-1", "--branch", ""], "cannot be the name of a branch"),
    "line": (["--item", "A/gen-1", "--branch", "a\nb"], "cannot be the name of a branch"),
    "ours": (["--item", "A/gen-1", "--branch", "orch/r/A/gen-9"], "a name for branches of runs"),
    "full": (["--item", "A/gen-1", "--to", "full"], "no empty folder"),
    "file": (["--item", "A/gen-1", "--to", "README.txt"], "no empty folder"),
    "link": (["--item", "A/gen-1", "--to", "link"], "no empty folder"),
}


def test_what_cannot_be_done_is_refused_in_one_sentence(repo: Repo, tmp_path: Path) -> None:
    a_run(repo, tmp_path, "A", "C", "D")
    repo.git("branch", "dir/x")
    repo.write("full/file", "mine")
    (tmp_path / "real").mkdir()
    (repo.path / "link").symlink_to(tmp_path / "real")
    refs = repo.git("for-each-ref")
    for case, (arguments, sentence) in REFUSALS.items():
        said = orch("recover", *arguments, cwd=repo.path)
        assert (said.code, sentence in said.err) == (2, True), (case, said)
    assert repo.git("for-each-ref") == refs
    assert everything(repo.path / "full") == {b"file": ("file", b"mine")}
    assert list((tmp_path / "real").iterdir()) == []
    assert [p.name for p in repo.path.iterdir() if p.name.startswith(".orch-incomplete")] == []


def entry(mode: bytes, name: bytes, oid: str) -> bytes:
    return mode + b" " + name + b"\0" + bytes.fromhex(oid)


@pytest.mark.parametrize("name", [b"..", b".git", b".GIT", b"twice", b"nul"])
def test_a_commit_made_to_lead_elsewhere_is_refused_and_leaves_nothing(repo: Repo, tmp_path: Path, name: bytes) -> None:
    blob = repo.git("hash-object", "-w", "--stdin", stdin=b"evil")
    link = repo.git("hash-object", "-w", "--stdin", stdin=bytes(tmp_path) + b"/elsewhere" + b"\0" * (name == b"nul"))
    inner = repo.git("mktree", "-z", stdin=f"100644 blob {blob}\tx\0".encode())
    content = entry(b"40000", name, inner)
    if name in (b"twice", b"nul"):
        content = entry(b"120000", name, link) + (content if name == b"twice" else b"")
    tree = repo.git(
        "hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=entry(b"100644", b"a", blob) + content
    )
    repo.git("update-ref", "refs/orch/r/A/gen-1/agent-commits", repo.git("commit-tree", tree, "-m", "evil"))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "there").mkdir()
    said = orch("recover", "--to", tmp_path / "there/out", cwd=repo.path)
    assert said.code == 1, said
    assert "Traceback" not in said.err
    assert list((tmp_path / "there").iterdir()) == list((tmp_path / "elsewhere").iterdir()) == []


def test_a_copy_that_is_killed_does_not_look_complete(repo: Repo, tmp_path: Path) -> None:
    aside = repo.path / ".git/orch-aside-k3"
    aside.mkdir()
    for number in range(16):
        with (aside / str(number)).open("wb") as file:
            file.truncate(8 << 20)
    out = tmp_path / "there/out"
    process = start_orch("recover", "--to", out, cwd=repo.path)
    while process.poll() is None and not list(out.parent.glob(".orch-incomplete-*/draft/*")):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert not out.exists() or len(everything(out)) == 16
    for leftover in out.parent.iterdir():
        shutil.rmtree(leftover)
