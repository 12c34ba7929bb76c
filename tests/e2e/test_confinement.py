"""What keeps an agent's programs in their place, as the system does it: one run in which every task tries one thing.

What the checks find when nothing keeps them is in `test_hostile` and `test_refused`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.confine.landlock import version
from orchestrator.confine.level import Level, signals_held, why_not
from tests.support.orch import orch, write_plan
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e

needs_landlock = pytest.mark.skipif(bool(why_not(Level.LANDLOCK)), reason=why_not(Level.LANDLOCK))
needs_bubblewrap = pytest.mark.skipif(bool(why_not(Level.BUBBLEWRAP)), reason=why_not(Level.BUBBLEWRAP))

DENIED = "Permission denied"
NOT_YOURS = "Operation not permitted"
LINE = "-"  # nothing is said; the deed has no effect that it could tell
COMMON = "$(git rev-parse --git-common-dir)"
NAMED = "export GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x"
CONNECT = f"{sys.executable} -c 'import socket; socket.create_connection((\"127.0.0.1\", PORT))'"
ABSTRACT = f"{sys.executable} -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"\\0SOCKET\")'"


@dataclass(frozen=True)
class Try:
    """What an agent tries; in its words, OUT is the user's folder, REPO the repository, ME the folder that it may write."""

    name: str
    command: str
    stopped: str
    """What the system or git says to it."""


TRIES = [
    Try("absolute-path", "echo x > REPO/top.txt", DENIED),
    Try("dot-dot", "echo x > ../../escaped", DENIED),
    Try("beside-the-worktree", "mkdir ../X.gen-9", DENIED),
    Try("users-file", "echo x >> OUT/precious", DENIED),
    Try("delete-users-file", "rm OUT/precious", DENIED),
    Try("empty-users-file", "truncate -s 0 OUT/precious", DENIED),
    Try("move-users-file-here", "mv OUT/precious ME/stolen", ""),
    Try("move-over-users-file", "echo x > ME/f; mv ME/f OUT/precious", ""),
    Try("shell-profile", "echo x >> OUT/home/.profile", DENIED),
    Try("through-a-link", "ln -s OUT/precious ME/l; echo x > ME/l; s=$?; rm ME/l; (exit $s)", DENIED),
    Try("through-a-linked-folder", "ln -s OUT ME/d; touch ME/d/new; s=$?; rm ME/d; (exit $s)", DENIED),
    Try("hard-link", "ln OUT/precious ME/h", ""),
    Try("temporary-folder", "touch /tmp/orch-escaped", DENIED),
    Try("scope-of-another", "echo x > other/file.txt", DENIED),
    Try("rename-out-of-anothers-scope", "mv other/file.txt ME/taken", ""),
    Try("rename-into-anothers-scope", "echo x > ME/f; mv ME/f other/f; s=$?; rm -f ME/f; (exit $s)", ""),
    Try("executable-file-of-another", "git update-index --chmod=+x other/file.txt", DENIED),
    Try("pointer-to-the-repository", "echo gitdir: /tmp > .git", DENIED),
    Try("setting", "git config a.b c", DENIED),
    Try("hooks-path", "git config core.hooksPath ME", DENIED),
    Try("file-system-monitor", "git config core.fsmonitor 'touch OUT/ran'", DENIED),
    Try("filter", "git config filter.x.clean 'touch OUT/ran'", DENIED),
    Try("text-conversion", "git config diff.x.textconv 'touch OUT/ran'", DENIED),
    Try("attributes", f"echo '* filter=x' >> {COMMON}/info/attributes", ""),
    Try("hook", f"echo 'touch OUT/ran' > {COMMON}/hooks/post-checkout", DENIED),
    Try("alternates", f"echo OUT >> {COMMON}/objects/info/alternates", DENIED),
    Try("object", "echo new | git hash-object -w --stdin", "insufficient permission"),
    Try("delete-objects", f"rm -rf {COMMON}/objects/pack {COMMON}/objects/??", DENIED),
    Try("collect-garbage", "git gc --quiet --prune=now", DENIED),
    Try("update-ref", "git update-ref refs/heads/main HEAD~1", DENIED),
    Try("branch", "git branch evil", DENIED),
    Try("tag", "git tag evil", DENIED),
    Try("ref-file", f"git rev-parse HEAD~1 > {COMMON}/refs/heads/main", DENIED),
    Try("push", "git push REPO HEAD~1:refs/heads/evil", "unable to create temporary object directory"),
    Try("forged-trailers", f"{NAMED}; git commit --allow-empty -m 'x\n\nProvenance-Task: other'", DENIED),
    Try("submodule", "git -c protocol.file.allow=always submodule add REPO ME/sub", DENIED),
    Try("worktree", "git worktree add OUT/w", DENIED),
    Try("stash", f"echo x > ME/x; {NAMED}; git stash -u", LINE),
    Try("journal", "echo x >> $ORCH_RUN_FOLDER/journal", DENIED),
    Try("board-log", "echo x >> $ORCH_RUN_FOLDER/board.log", DENIED),
    Try("prompt", "echo x >> $ORCH_PROMPT", DENIED),
    Try("transcript", "rm $ORCH_RUN_FOLDER/transcripts/*", DENIED),
    Try("report", "echo '{}' > $ORCH_RUN_FOLDER/report.json", DENIED),
    Try("gate-cache", "echo x > $ORCH_RUN_FOLDER/../.gate-cache/x", ""),
    Try("kill-the-orchestrator", "kill -9 $PPID", NOT_YOURS if signals_held() else LINE),
    Try("kill-a-process-of-the-user", "kill -9 USERS", NOT_YOURS if signals_held() else LINE),
    Try("environment-of-the-orchestrator", "cat /proc/$PPID/environ", DENIED),
    Try("memory-of-the-orchestrator", "cat /proc/$PPID/mem", DENIED),
    Try("no-mercy-for-the-orchestrator", "echo 1000 > /proc/$PPID/oom_score_adj", DENIED),
    Try("secret-in-the-environment", "test -n \"$CLOUD_SECRET_KEY$SSH_AUTH_SOCK\"", LINE),
    Try("sparse-file-of-a-terabyte", "truncate -s 1T ME/big; s=$?; rm ME/big; (exit $s)", "File too large"),
    Try("device", "mknod ME/disk b 8 0", DENIED),
    Try("mount", "mount --bind ME OUT", ""),
    Try("port-that-is-not-allowed", CONNECT, DENIED if version() >= 4 else LINE),
    Try("socket-of-another", ABSTRACT, NOT_YOURS if signals_held() else LINE),
]  # fmt: skip


@dataclass(frozen=True)
class Tried:
    """What one run of all of this came to."""

    repo: Repo
    outside: Path
    before: dict[str, str]
    report: dict[str, Any]
    err: str


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tried]:
    """Let every task try its own."""
    outside = tmp_path_factory.mktemp("user")
    (outside / "precious").write_text("mine\n")
    (outside / "home").mkdir()
    (outside / "home/.profile").write_text("mine\n")
    repo = make_repo(outside / "repo", top_txt="top\n", other__file_txt="theirs\n")
    repo.commit("second", second_txt="2\n")
    before = state_of(repo)
    sleeping = os.getpid()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0orch-test-{os.getpid()}")
        abstract.listen()
        words = {"OUT": str(outside), "REPO": str(repo.path), "PORT": str(server.getsockname()[1]),
                 "SOCKET": f"orch-test-{os.getpid()}", "USERS": str(sleeping)}  # fmt: skip
        plan = write_plan(
            outside / "plan",
            [task_for(each, words) for each in TRIES],
            agents={"default": {"kind": "script", "network": []}},
        )
        env = {"HOME": str(outside / "home"), "CLOUD_SECRET_KEY": "s3cret", "GIT_CONFIG_GLOBAL": os.devnull}
        said = orch("run", plan, "--json", "--jobs", "4", cwd=repo.path, env=env)
    yield Tried(repo, outside, before, json.loads(said.out), said.err)
    shutil.rmtree(outside, ignore_errors=True)


def task_for(each: Try, words: dict[str, str]) -> dict[str, Any]:
    command = re.sub(r"\bME\b", each.name, each.command)
    for word, meaning in words.items():
        command = command.replace(word, meaning)
    script = f"mkdir -p {each.name}; ( {command} ) > {each.name}/said 2>&1 && echo IT WORKED >> {each.name}/said; true"
    return {"id": each.name, "writes": [f"{each.name}/**"], "attempts": 1, "steps": [{"run": script}]}


def state_of(repo: Repo) -> dict[str, str]:
    """Return what an agent has no business to change: git's settings, hooks and branches, and the user's files."""
    git = repo.path / ".git"
    hooks = sorted((git / "hooks").iterdir())
    places = [git / "config", git / "info/attributes", git / "objects/info/alternates", git / "info/exclude", *hooks]
    files = {str(place): place.read_text() for place in places if place.exists()}
    refs = repo.git(
        "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads/main", "refs/tags", "refs/heads/evil"
    )
    return {**files, "refs": refs.replace(repo.head("main"), "tip")}


@needs_landlock
@pytest.mark.parametrize("each", TRIES, ids=lambda each: each.name)
def test_what_an_agent_tries_does_not_work(tried: Tried, each: Try) -> None:
    (task,) = [t for t in tried.report["tasks"] if t["id"] == each.name]
    assert (task["status"], task["confined"]) == ("landed", "landlock"), task["reason"]
    said = tried.repo.show(f"{each.name}/said")
    assert "IT WORKED" not in said
    assert each.stopped == LINE or each.stopped in said
    assert said or each.stopped == LINE


@needs_landlock
def test_and_all_is_as_it_was(tried: Tried) -> None:
    assert state_of(tried.repo) == tried.before
    assert (tried.outside / "precious").read_text() == (tried.outside / "home/.profile").read_text() == "mine\n"
    assert not (tried.outside / "ran").exists()
    assert not list(Path("/tmp").glob("orch-escaped"))
    tried.repo.git("fsck", "--strict")
    assert tried.repo.status() == ""


PUT_BACK = [
    ("config", "git config core.hooksPath /evil"),
    ("hooks/post-checkout", f"echo evil > {COMMON}/hooks/post-checkout"),
    ("info/exclude", f"echo '*' > {COMMON}/info/exclude"),
    ("info/attributes", f"mkdir -p {COMMON}/info; echo '* filter=x' > {COMMON}/info/attributes"),
    ("objects/info/alternates", f"echo /evil > {COMMON}/objects/info/alternates"),
    ("shallow", f"git rev-parse HEAD > {COMMON}/shallow"),
]
TOLD = [
    ("refs/tags/evil", "git tag evil"),
    ("refs/heads/evil", "git branch evil"),
    ("the .git file of the worktree was rewritten", "echo gitdir: /evil > .git"),
    ("the .git file of the worktree was removed", "rm .git; mkdir .git"),
]


@pytest.mark.unconfined
def test_without_confinement_the_repository_is_put_back_and_it_is_told(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    before = {name: content(repo, name) for name, _ in PUT_BACK}
    first = {"id": "first", "writes": ["first.txt"], "steps": [{"write": {"path": "first.txt", "text": "1\n"}}]}
    branch = "git update-ref refs/heads/orch/r/first/gen-1 HEAD; echo x > last.txt"
    commands = [*PUT_BACK, *TOLD, ("refs/heads/orch/r/first/gen-1 was moved", branch)]
    tasks = [first] + [
        {"id": f"T{n}", "writes": ["last.txt"], "needs": [f"T{n - 1}" if n else "first"], "steps": [{"run": command}]}
        for n, (_, command) in enumerate(commands)
    ]
    said = orch("run", write_plan(tmp_path / "p", tasks), "--run", "r", "--json", cwd=repo.path)
    assert said.code == 0, said.out
    assert {task["confined"] for task in said.json["tasks"]} == {"audit"}
    log = [json.loads(line) for line in orch("log", "r", "--json", cwd=repo.path).out.splitlines()]
    notices = {
        n: [e["text"] for e in log if e["kind"] == "noticed" and e["task"] == f"T{n}"] for n in range(len(commands))
    }
    for number, (name, _) in enumerate(commands):
        assert any(name in text for text in notices[number]), (name, notices[number])
    assert {name: content(repo, name) for name, _ in PUT_BACK} == before
    assert repo.show("first.txt", "orch/r/first/gen-1") == "1\n"
    kept = {place.name: place.read_text() for place in (repo.path / ".git/orch/r/set-aside").iterdir()}
    assert any("hooksPath" in text for text in kept.values())


def content(repo: Repo, name: str) -> bytes | None:
    place = repo.path / ".git" / name
    return place.read_bytes() if place.exists() else None


@needs_landlock
def test_a_gate_is_kept_in_its_folder_unless_the_plan_lets_it_out(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    tried = f"touch {tmp_path}/NAME {COMMON}/hooks/NAME; touch $TMPDIR/mine made && echo '<testsuite/>' > $ORCH_JUNIT"
    gates = [{"name": "held", "run": tried.replace("NAME", "held")},
             {"name": "free", "run": tried.replace("NAME", "free"), "confine": "audit"}]  # fmt: skip
    task = {"id": "A", "writes": ["a/**"], "steps": [{"write": {"path": "a/f", "text": "x\n"}}]}
    said = orch("run", write_plan(tmp_path / "p", [task], gates=gates), cwd=repo.path)
    assert said.code == 0, said.out
    assert ((tmp_path / "held").exists(), (tmp_path / "free").exists()) == (False, True)
    assert not (repo.path / ".git/hooks/held").exists()


@needs_landlock
def test_a_program_gets_what_the_plan_names_and_writes_what_it_is_granted(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    agents = {
        "default": {"kind": "script", "env": ["CLOUD_KEY"]},
        "wide": {
            "kind": "command",
            "command": "touch build.log && mkdir w && echo w > w/f && rm build.log",
            "writable": "worktree",
        },
    }
    steps = [
        {"run": 'test $CLOUD_KEY = k && test -z "$OTHER_KEY" && test -w $HOME && test -w $TMPDIR && ! touch b/f'},
        {"widen": ["b/**"]},
        {"run": "touch b/f"},
    ]
    tasks = [{"id": "A", "writes": ["a/**"], "attempts": 1, "steps": steps},
             {"id": "W", "writes": ["w/**"], "attempts": 1, "agent": "wide"}]  # fmt: skip
    env = {"CLOUD_KEY": "k", "OTHER_KEY": "o"}
    said = orch("run", write_plan(tmp_path / "p", tasks, agents=agents), "--json", cwd=repo.path, env=env)
    assert said.code == 0, said.out
    assert {"b/f", "w/f"} <= set(repo.files())


@needs_bubblewrap
def test_with_bubblewrap_other_peoples_files_are_not_there(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    (tmp_path / "home/.netrc").write_text("secret\n")
    hidden = f"! ls {tmp_path}/home/.netrc && test $(ls -A .. | wc -l) = 1 && ! ls $ORCH_RUN_FOLDER/journal"
    command = f"{hidden} && test -s $ORCH_PROMPT && ! touch top && git status --short && echo x > a/f"
    task = {"id": "A", "writes": ["a/**"], "attempts": 1, "steps": [{"run": command}]}
    plan = write_plan(tmp_path / "p", [task], agents={"default": {"kind": "script", "confine": "bubblewrap"}})
    said = orch("run", plan, "--json", cwd=repo.path)
    assert (said.code, said.json["tasks"][0]["confined"]) == (0, "bubblewrap"), said.out


@pytest.mark.parametrize(
    ("agent", "forced", "words"),
    [
        ({}, "prison", "ORCH_CONFINE=prison is no way of confining agents"),
        ({"network": [443]}, "audit", "default is to reach some ports only"),
        ({"confine": "bubblewrap"}, "", "bwrap"),
        ({}, "bubblewrap", "ORCH_CONFINE=bubblewrap cannot be had here"),
    ],
)
def test_a_level_that_cannot_be_had_is_refused_before_the_run(
    tmp_path: Path, agent: dict[str, Any], forced: str, words: str
) -> None:
    repo = make_repo(tmp_path / "repo")
    task = {"id": "A", "writes": ["a/**"], "steps": [{"run": "true"}]}
    plan = write_plan(tmp_path / "p", [task], agents={"default": {"kind": "script", **agent}})
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "git").symlink_to(shutil.which("git") or "")  # and no bwrap
    said = orch("run", plan, cwd=repo.path, env={"ORCH_CONFINE": forced, "PATH": str(tools)})
    assert (said.code, words in said.err) == (2, True), said.err
    assert not (repo.path / ".git/orch").exists()
