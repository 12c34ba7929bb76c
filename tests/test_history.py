"""A real history, planned and run, ends with the tree it really led to, and each line with the commit it came from."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
import yaml

from orchestrator.cli import main
from tests.support.histories import Change, History, file, lines, link, random_history, script, submodule
from tests.support.orch import orch
from tests.support.replays import assert_blame_agrees, replay

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.repos import Repo

pytestmark = pytest.mark.e2e


# --- every kind of change ---


def add_moves(history: History) -> None:
    commit = history.commit
    commit(history.move("a", "a2"), "rename")
    commit({"a2": None, "a3": file(lines("a") + "more\n")}, "rename and edit")
    commit({"a3": file(lines("b")), "b": file(lines("a") + "more\n")}, "swap two files")
    moved: Change = {"new/dir/x": file(lines("x")), "new/dir/y": file(lines("y") + "e\n")}
    commit({"dir/x": None, "dir/y": None, **moved}, "rename a folder")
    commit({"run": script(lines("run"))}, "+x")
    commit({"run": script(lines("run") + "z\n")}, "edit")
    commit({"run": file(lines("run") + "z\n"), "b": script(lines("a") + "more\n")}, "-x")


def add_types(history: History) -> None:
    commit = history.commit
    targets = {"l1": "new/dir/x", "l2": "/etc/passwd", "l3": "nowhere", "l4": "new", "s/l5": "../../.."}
    commit({path: link(target) for path, target in targets.items()}, "links")
    commit({"l1": file("was a link\n"), "l": link("run"), "l3": link("l3/x")}, "file to link, link to file")
    commit({"l": file("again\n"), "l3": None, "l3/x": file("below what was a link to itself\n")})
    commit({}, "empty")
    commit({"bin": file(bytes(range(256)) * 20), "zero": file(), "bare": file("no newline at the end")})
    commit({"bin": file(bytes(range(255, -1, -1)) * 20), "zero": file("x"), "bare": file("none\nhere either")})
    commit({"zero": file(), "bin": None})
    commit({"f2d": None, "f2d/in": file("in\n"), "d2f/1": None, "d2f/2": None, "d2f": file("flat\n")})
    commit({"f2d/in": None, "f2d": link("d2f")}, "folder to link")
    commit({"d2f": None, "d2f/3": file("three\n"), "f2d": None, "f2d/deep/er": file("q")})


def add_what_git_treats_apart(history: History) -> None:
    commit = history.commit
    commit({".gitignore": file("*.log\nbuild/\n")}, "ignore")
    commit({"x.log": file("forced\n"), "build/out": file("f\n"), "build/.gitignore": file("*\n")}, "add --force")
    commit({"x.log": file("forced\nagain\n"), "build/out": None, "build/out2": link("out")})
    modules = '[submodule "lib"]\n\tpath = lib\n\tignore = all\n'
    commit({".gitmodules": file(modules), "lib": submodule("1")}, "submodules")
    commit({"lib": submodule("2"), "other": submodule("4")})
    commit({"lib": None, "vendor/lib": submodule("2"), "other": file("a file now\n")})
    commit({"vendor/lib": None, "vendor/lib/code.c": file("c\n"), ".gitmodules": None, "other": submodule("5")})
    commit({"other": link("x"), "kept": submodule("6")})
    commit({".github/workflows/ci.yml": file("on: push\n"), "CODEOWNERS": file("*\n")}, "control")
    commit({".github/workflows/ci.yml": None, "s/.gitattributes": file("* text\n")})


def add_sizes(history: History) -> None:
    commit = history.commit
    long, longer = "p" * 200 + "/" + "q" * 90 + "/f", "/".join(["r" * 200] * 12)
    commit({long: file("long\n"), longer: file("longer\n")}, "long names")
    commit({long: None, longer: file("longer\nstill\n")})
    commit({"big": file(lines("big", 20_000))}, "big")
    commit({"big": file(lines("big", 20_000).replace("big 9000\n", "new\nlines\n"))})
    commit({"big": file(lines("big", 20_000))}, "Revert")
    commit({"a3": None, "run": None}, "delete")
    commit({"a3": file(lines("b")), "copy": file(lines("b"))}, "the same once more")


@pytest.mark.parametrize("jobs", [pytest.param(1, marks=pytest.mark.soak), 4])
def test_every_kind_of_change_is_replayed_exactly(tmp_path: Path, jobs: int) -> None:
    history = History()
    names = ("a", "b", "dir/x", "dir/y", "run", "f2d", "d2f/1", "d2f/2", "l")
    history.commit({name: file(lines(name.rpartition("/")[2])) for name in names}, "start")
    for add in (add_moves, add_types, add_what_git_treats_apart, add_sizes):
        add(history)
    done = replay(tmp_path, history, jobs=jobs)
    assert_blame_agrees(done)
    assert done.clone.status() == ""


@pytest.mark.parametrize(("seed", "jobs"), [pytest.param(1, 1, marks=pytest.mark.soak), (3, 4)])
def test_random_histories_are_replayed_exactly(tmp_path: Path, seed: int, jobs: int) -> None:
    assert_blame_agrees(replay(tmp_path, random_history(seed, 32), jobs=jobs))


@pytest.mark.unconfined
@pytest.mark.parametrize(
    ("window", "slots", "batch"), [pytest.param(1, 1, 1, marks=pytest.mark.soak), (8, 3, 1), (8, 2, 4)]
)
def test_the_tree_is_exact_at_any_window_though_gates_fail_now_and_then(
    tmp_path: Path, window: int, slots: int, batch: int
) -> None:
    """Of all commits, those whose name begins so fail their gate once, as a flaky test does."""
    (tmp_path / "seen").mkdir()
    flaky = f"c=$(git rev-parse HEAD); case $c in [0-4]*) mkdir {tmp_path}/seen/$c 2>/dev/null && exit 1;; esac; true"
    gate = f"gates: [{{name: g, run: {json.dumps(flaky)}}}]\n"
    policy = f"merge: {{window: {window}, slots: {slots}, batch: {batch}}}\n"
    assert_blame_agrees(replay(tmp_path, random_history(4, 24), jobs=3, more=gate + policy))
    assert list((tmp_path / "seen").iterdir())


# --- names ---

# Characters that mean something to git, to globs, to YAML, to a shell or to a terminal; bytes that are no UTF-8.
NAMES = [
    "café/ñ".encode(), "cafe\u0301/n\u0303".encode(), b"with space", b" lead", b"trail ", b'"quoted"', b"it's",
    b"tab\tname", b"new\nline", b"-dash", b"--out", b"\xff\xfe.bin", b"d\x80/\x81", b"d\x81/\x81", b"*", b"**", b"?",
    b"[a]", b"{b,c}", b"!not", b"back\\slash", b"\\\\\xff", b"x b/x", b"x b/x b/x b/x", b"#c", b"1e3", b"no", b"~",
    b": y", b"file:7", b"C:/x", b"C:\\y", "\ufeffbom".encode(), "\u0085nel".encode(), "\u2028ls".encode(),
    "\ufffe".encode(), b"\x01\x7f", b"cr\r", b"$(touch pwned)", b"%s", b"a,b", b"...", b"a..b", b"HEAD", b"-", b"@{0}",
    b":(glob)x", b":/y", "🎉".encode() * 60, b"*" * 250 + b"/f", b"AbC", b"abc",
]  # fmt: skip


def test_any_name_that_git_can_store_survives(tmp_path: Path) -> None:
    history, numbered = History(), list(enumerate(NAMES))
    commit = history.commit
    commit({"seed": file("seed\n"), b"old/\xfe\n*": file(lines("old"))})
    for part in range(4):
        commit({name: file(lines(f"n{n}", 5)) for n, name in numbered if n % 4 == part}, NAMES[part])
    for name in (b"*", b"?", b"\xff\xfe.bin", b"d\x80/\x81", b"new\nline"):
        commit({name: file(lines(f"again {name!r}", 3))}, name)
    commit({name: script(lines(f"n{n}", 5) + "more\n") for n, name in numbered if n % 3 == 0}, "edit")
    commit({name: script(lines(f"n{n}", 5)) for n, name in numbered if n % 3 == 2}, "mode")
    commit({name: link(name[:50]) for n, name in numbered if n % 3 == 1}, "links")
    commit({b"old/\xfe\n*": None, b"\xfd\n*": file(lines("old"))}, "rename")
    commit({name: None for n, name in numbered if n % 4 == 3}, "delete")
    commit({name: submodule("7") for n, name in numbered if n % 8 == 3}, "submodules")
    commit({name: file() if n % 16 == 3 else None for n, name in numbered if n % 8 == 3}, "no submodules")
    done = replay(tmp_path, history, jobs=4)
    assert_blame_agrees(done)
    for name in (b"-dash", b"file:7", b"new\nline", b"d\x80/\x81"):
        path = os.fsdecode(name)
        assert [line["task"] for line in done.shown(path)] == done.expected(path)


# --- line ends, encodings, filters ---


@pytest.mark.parametrize("conversion", ["true", "input"])
def test_no_attribute_and_no_setting_changes_a_byte(tmp_path: Path, conversion: str) -> None:
    history = History()
    commit, crlf = history.commit, lines("crlf", end="\r\n")
    commit({"c.txt": file(crlf), "m.txt": file(crlf + lines("lf")), "bare.txt": file("a\r\nb\r")}, "no attributes")
    commit({"c.txt": file(crlf + "more\r\n")})
    commit({".gitattributes": file("* text=auto\n")})
    commit({"c.txt": file("more\r\n" + crlf), "m.txt": file("lf\n" + crlf), "bare.txt": file("a\r\nb\rc")})
    commit({".gitattributes": file("* text=auto\n*.bat eol=crlf\n"), "a.bat": file(lines("a"))})
    commit({"a.bat": file(lines("a") + "more\n"), "b.bat": file(crlf)})
    commit({"b.bat": file(crlf + "more\r\n")}, "stored with CRLF, against its attribute")
    commit({".gitattributes": file("*.txt text\n")})
    commit({"c.txt": file(crlf), "a.bat": file(lines("a")), "b.bat": None})
    odd = (
        "*.utf text working-tree-encoding=UTF-16LE\n*.id ident\n*.big filter=boom\nsecret export-ignore export-subst\n"
    )
    commit({".gitattributes": file(odd), "x.utf": file(lines("ü"))})
    commit(
        {"x.utf": file(lines("ß")), "y.id": file("$Id$\n1\n"), "z.big": file("1\n"), "secret": file("$Format:%H$\n")}
    )
    commit({"y.id": file("$Id: stored $\n2\n"), "z.big": file("2\n"), "secret": file("$Format:%h$\n")})
    commit(
        {".gitattributes": file("* -text\n"), "s/.gitattributes": file("* text eol=crlf\n"), "s/f": file(lines("s"))}
    )
    commit({"s/f": file(lines("s") + "more\n"), "s/.gitattributes": None, "c.txt": file(lines("c"))})
    settings = {"core.autocrlf": conversion, "filter.boom.required": "true"}
    settings |= {"filter.boom.clean": "false", "filter.boom.smudge": "false"}

    def prepare(clone: Repo) -> None:
        for key, value in settings.items():
            clone.git("config", key, value)

    assert_blame_agrees(replay(tmp_path, history, prepare=prepare))


# --- merges, messages ---


def test_lines_of_a_side_branch_belong_to_the_merge_that_brought_them_in(tmp_path: Path) -> None:
    history = History()
    commit = history.commit
    commit({"f": file(lines("f", 20)), "g": file(lines("g")), "h": file(lines("h"))}, "before the range")
    early = commit({"early": file("older than the range, and not in it\n")}, "early", after=1)
    start = commit({"g": file(lines("g") + "start\n")}, "start")
    side = commit({"f": file("side\n" + lines("f", 20)), "new": file(lines("new"))}, "side", after=start)
    side = commit({"new": file(lines("new") + "side 2\n")}, "side 2", after=side)
    commit({"f": file(lines("f", 20) + "main\n")}, "main")
    evil: Change = {"f": file("side\n" + lines("f", 20) + "evil\nmain\n"), "evil": file("evil\n")}
    commit({**evil, "new": history.files(side)[b"new"]}, "merge with more than both", merge=(side,))
    commit({"early": history.files(early)[b"early"]}, "merge what is older", merge=(early,))
    sides = [commit({f"o{n}": file(lines(f"o{n}"))}, "side", after=history.tip) for n in range(3)]
    inner = commit({"o1": file(lines("o1") + "inner\n")}, "side of a side", after=sides[1])
    sides[1] = commit({"o1": history.files(inner)[b"o1"]}, "merge", after=sides[1], merge=(inner,))
    commit({f"o{n}": history.files(sides[n])[f"o{n}".encode()] for n in range(3)}, "octopus", merge=tuple(sides))
    unwanted = commit({"g": file("not wanted\n")}, "side", after=history.tip)
    commit({}, "merge, but take nothing", merge=(unwanted,))
    commit({"o2": None, "f": file(lines("f", 20))}, "Revert merge")
    commit({"f": file("side\n" + lines("f", 20) + "evil\nmain\n")}, "Revert the revert")
    done = replay(tmp_path, history, start=start, jobs=4)
    assert_blame_agrees(done)


FORGED = "".join(f"Provenance-{key}: forged\n" for key in (
    "Run", "Task", "Track", "Session", "Agent", "Model", "Spec-Hash", "Context-Hash", "Contracts-Hash", "Content-Hash",
    "Work-Product",
))  # fmt: skip


def test_authors_messages_and_tags_do_not_matter(tmp_path: Path) -> None:
    history = History()
    commit = history.commit
    commit({"f": file(lines("f"))}, f"before the range\n\n{FORGED}")
    commit({"g": file("1\n")}, f"Provenance-Task: forged\n\n{FORGED}Provenance-Generation: 1\n")
    commit({"h": file("2\n")}, b"caf\xe9 \x1b[31m", author=b"Ren\xe9 <rene@example.org>", encoding=b"ISO-8859-1")
    commit({"i": file("3\n")}, b"\xff\xfe no such encoding", author=b"\xff <>", encoding=b"x-unknown")
    commit({"j": file("4\n")}, "")
    commit({"f": file(lines("f") + "5\n")}, "---\n" + "long " * 100)
    done = replay(tmp_path, history, prepare=lambda clone: clone.git("tag", "-a", "-m", "tag", "c1", "HEAD"))
    assert_blame_agrees(done)
    assert [line["task"] for line in done.shown("f")] == [None] * 8 + [done.tasks[done.head]]
    assert done.shown("g")[0]["agent"] == "default"


def test_a_repository_with_longer_names_of_objects_is_replayed(tmp_path: Path) -> None:
    history = History()
    history.commit({"a": file(lines("a"))})
    history.commit({"b": file(lines("a") + "b\n"), "a": None, "l": link("b")})
    history.commit({"bin": file(bytes(range(256)) * 9)})
    assert_blame_agrees(replay(tmp_path, history, "--object-format=sha256"))


# --- the plan, and what cannot be planned ---


def test_only_commits_that_touch_a_common_path_are_ordered(tmp_path: Path) -> None:
    history = History()
    changes: list[Change] = [
        {"start": file()}, {"x": file("1\n")}, {"y": file("2\n")}, {"x": file("3\n"), "y": None}, {"y/z": file("4\n")},
        {b"n\x01": file("5\n")}, {"n?": file("6\n")}, {"n1": file("7\n")}, {"y/z": None, "y": link("x")},
        {"d/e/f": file("8\n")}, {"d/e/f": None}, {"d": file("9\n")},
    ]  # fmt: skip
    for change in changes:
        history.commit(change)
    done = replay(tmp_path, history)
    tasks = yaml.safe_load((done.plan / "plan.yaml").read_text())["tasks"]
    number = {task["id"]: int(task["id"][1:].partition("-")[0]) for task in tasks}
    assert [number[task["id"]] for task in tasks] == list(range(1, len(changes)))
    needs = [[number[need] for need in task["needs"]] for task in tasks]
    assert needs == [[], [], [1, 2], [3], [], [5], [5], [3, 4], [], [9], [9, 10]]


@pytest.fixture
def refusing(tmp_path: Path) -> Repo:
    """Return a repository with a line of commits, a merged side branch, an orphan, and trees of other tools."""
    history = History()
    history.commit({"a": file("1\n")})
    side = history.commit({"side": file("2\n")}, after=1)
    history.commit({"a": file("3\n")})
    history.commit({"side": file("2\n")}, merge=(side,))
    orphan = history.commit({"orphan": file("4\n")}, after=0)
    endless = history.commit({"x" * 300: file("no file system takes this\n")}, after=history.tip)
    repo, ids = history.write(tmp_path / "source")
    for name, number in (("side", side), ("orphan", orphan), ("endless", endless)):
        repo.git("branch", "--force", name, ids[number - 1])
    empty = repo.git("mktree", "--missing")
    tree = repo.git("mktree", "--missing", stdin=f"040000 tree {empty}\tempty\n".encode())
    repo.git("branch", "odd", repo.git("commit-tree", tree, "-p", "main", "-m", "an empty folder"))
    return repo


@pytest.mark.parametrize(
    ("revisions", "sentence"),
    [
        ("main", "'main' is no range."),
        ("..main", "'..main' is no range."),
        ("main~1..", "'main~1..' is no range."),
        ("main~1...main", "'main~1...main' is no range."),
        ("v9..main", "There is no revision v9 in this repository."),
        ("main..-x", "There is no revision -x in this repository."),
        ("main:a..main", "There is no revision main:a in this repository."),
        ("main~9..main", "There is no revision main~9 in this repository."),
        ("main..main", "main..main holds no commit."),
        ("main..main~1", "main..main~1 holds no commit."),
        ("side..main", "side is not among the first parents of main"),
        ("orphan..main", "orphan is not among the first parents of main"),
        ("main..orphan", "main is not among the first parents of orphan"),
        ("main..endless", "No file system takes the name 'xxx"),
        ("main..odd", "The tree of odd is not written as git writes it"),
    ],
)
def test_a_range_that_is_none_is_refused(
    tmp_path: Path, refusing: Repo, capsys: pytest.CaptureFixture[str], revisions: str, sentence: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["plan", "from-history", "--out", str(tmp_path / "out"), "--", str(refusing.path), revisions])
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert err.startswith(f"Error: {sentence}"), err
    assert len(err.splitlines()) <= 2
    assert {place.name for place in tmp_path.iterdir()} == {"home", "source"}


@pytest.mark.parametrize("out", ["full", "full/mine", "full/mine/below"])
def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, refusing: Repo, out: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("kept")
    said = orch("plan", "from-history", refusing.path, "main~1..main", "--out", out, cwd=tmp_path)
    assert (said.code, said.out, len(said.err.splitlines())) == (2, "", 2), said.err
    assert (tmp_path / "full" / "mine").read_text() == "kept"
    assert {place.name for place in tmp_path.rglob("*") if "source" not in place.parts} == {"home", "full", "mine"}


def test_an_empty_folder_is_filled(tmp_path: Path, refusing: Repo) -> None:
    (tmp_path / "empty").mkdir()
    said = orch("plan", "from-history", refusing.path, "main~1..main", "--out", "empty", "--json", cwd=tmp_path)
    assert said.json == {"plan": "empty/plan.yaml", "tasks": 1}
    assert sorted(place.name for place in (tmp_path / "empty").iterdir()) == ["patches", "plan.yaml"]


@pytest.mark.parametrize("place", ["nowhere", "home", "source/.git/HEAD"])
def test_what_is_no_repository_is_refused(tmp_path: Path, refusing: Repo, place: str) -> None:
    said = orch("plan", "from-history", place, "main~1..main", "--out", "out", cwd=tmp_path)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"Error: {place} is not "), said.err
    assert not (tmp_path / "out").exists()
