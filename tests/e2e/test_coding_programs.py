"""Coding programs as agents, whole: a preset beside the plan, and the real Claude Code against a model server of ours."""

from __future__ import annotations

import importlib.util
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.fake_model import FakeModel
from tests.support.orch import Said, orch, write_plan
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e

PROGRAM = """\
import json, os, pathlib, sys
def say(**line): print(json.dumps(line), flush=True)
home = pathlib.Path(os.environ["HOME"])
settings = json.loads((home / "conf/settings.json").read_text())
say(type="start", id="s-1")
again = "--resume" in sys.argv
if not again:
    print("no json { at all")
    say(type="call", id=1, name="look", input={"argv": sys.argv[1:], "settings": settings, "secret": "SECRET" in os.environ})
    say(type="back", id=1, out="seen")
else:
    pathlib.Path("src/new.txt").write_text(os.environ["MY_KEY"] + "\\n")
say(type="end", text="ready" if again else "too early", usd=0.5, turns=[{"n": 1}])
"""


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo", src__old_txt="old\n", docs__old_txt="old\n")


def preset(**more: Any) -> str:
    """Return a preset as a user would write it, for a program that is a script of ours."""
    return yaml.safe_dump(
        {
            "program": sys.executable,
            "install": "pip install it==1",
            "argv": ["{program}", "-", "{write}", ["--model", "{model}"], ["--never", "{NO_SUCH|}{session}"]],
            "keys": ["MY_KEY", "NO_SUCH"],
            "files": {
                "conf/settings.json": {"board": "{board_url}", "x": ["{NO_SUCH}", "{protect}"], "y": "{NO_SUCH}"}
            },
            "events": [
                {"when": {"type": "start"}, "session": "id"},
                {
                    "when": {"type": "call"},
                    "turned": "id",
                    "called": {"call": "id", "tool": "name", "arguments": "input"},
                },
                {"when": {"type": "back"}, "returned": {"call": "id", "text": "out"}},
                {"when": {"type": "end"}, "summary": "text", "used": {"usd": "usd"}},
            ],
            **more,
        }
    )


def run(repo: Repo, folder: Path, agent: dict[str, Any], files: dict[str, str | bytes], **task: Any) -> Said:
    one = {"id": "a", "writes": ["src/**"], "agent": "it", "prompt": "do it", "attempts": 1, **task}
    plan = write_plan(folder, [one], files=files, agents={"it": {"kind": "command", **agent}}, shared=["src/common/**"])
    return orch("run", plan, "--json", cwd=repo.path, env={"MY_KEY": "k-1", "SECRET": "s"})


def transcript(repo: Repo) -> list[dict[str, Any]]:
    path = next((repo.path / ".git/orch").glob("*/transcripts/a.gen-1.jsonl"))
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_preset_beside_the_plan_is_filled_in_understood_and_resumed(repo: Repo, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    text = preset(
        argv=["{program}", str(program), "{write}", ["--model", "{model}"], ["--never", "{NO_SUCH}"]],
        resume=["{program}", str(program), "--resume", "{session}"],
    )
    said = run(repo, tmp_path / "p", {"preset": "it.yaml"}, {"it.yaml": text})
    assert said.code == 0, said.out
    (task,) = said.json["tasks"]
    assert task["cost_usd"] == 1.0  # two runs
    called = next(line for line in transcript(repo) if line["event"] == "called")
    assert called["arguments"]["argv"] == ["src/**"]
    assert called["arguments"]["settings"]["x"] == ["src/common/**"]
    assert called["arguments"]["settings"]["board"].startswith("http://127.0.0.1:")
    assert "y" not in called["arguments"]["settings"]
    assert called["arguments"]["secret"] is False
    assert repo.show("src/new.txt", "main") == "k-1\n"
    assert "ready" in repo.git("log", "--format=%B", "main")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("program: [", "it.yaml: it is no YAML: "),
        (preset(argw=1), "it.yaml: argw: this key is not known here"),
        (preset(argv=["x", 1]), "it.yaml: argv: 1 is no text; put it in quotes"),
        (preset(env={"A": "{modle}"}), "it.yaml: {modle} stands for nothing; known are the variables in 'keys', and program"),
        (preset(files={"../x": "y"}), "it.yaml: files: '../x' leads out of the program's home"),
        (preset(program="no-such"), "the program 'no-such' is not installed; install it with `pip install it==1`"),
    ],
    ids=["yaml", "key", "word", "name", "path", "program"],
)  # fmt: skip
def test_what_is_wrong_with_a_preset_is_said_at_once(tmp_path: Path, text: str, problem: str) -> None:
    one = {"id": "a", "writes": ["src/**"], "agent": "it", "prompt": "x"}
    agents = {"it": {"kind": "command", "preset": "it.yaml"}}
    said = orch("check", write_plan(tmp_path / "p", [one], files={"it.yaml": text}, agents=agents), cwd=tmp_path)
    assert said.code == 3
    assert f"plan.yaml: agents.it: {problem}" in said.err


needs_claude = pytest.mark.skipif(
    importlib.util.find_spec("claude_agent_sdk") is None, reason="the extra 'claude' is not installed"
)


@needs_claude
@pytest.mark.realagent
def test_the_real_claude_code_works_inside_its_scope_and_on_the_board(repo: Repo, tmp_path: Path) -> None:
    steps: list[dict[str, Any]] = [
        {"call": {"name": "mcp__board__todo_claim", "input": {"todo": "one"}}},
        {"call": {"name": "Write", "input": {"file_path": "{cwd}/src/new.txt", "content": "new\n"}}},
        {"call": {"name": "Write", "input": {"file_path": "{cwd}/docs/evil.txt", "content": "evil\n"}}},
        {"call": {"name": "Bash", "input": {"command": "echo evil > {cwd}/docs/evil2.txt", "description": "x"}}},
        {"call": {"name": "mcp__board__report_progress", "input": {"text": "nearly there"}}},
        {"call": {"name": "mcp__board__todo_done", "input": {"todo": "one"}}},
        {"say": "all done"},
    ]
    with FakeModel({"it": steps}) as fake:
        agents = {"it": {"kind": "command", "preset": "claude-sdk", "model": "claude-sonnet-5-5"}}
        one = {"id": "a", "writes": ["src/**"], "agent": "it", "prompt": "x", "attempts": 1, "todos": [{"id": "one"}]}
        plan = write_plan(tmp_path / "p", [{**one, "limits": {"cost_usd": 2}}], agents=agents)
        keys = {"ANTHROPIC_API_KEY": "test-key", "ANTHROPIC_BASE_URL": fake.url("it")}
        said = orch("run", plan, "--json", cwd=repo.path, env=keys)
    assert said.code == 0, said.out
    (task,) = said.json["tasks"]
    assert (task["status"], task["cost_usd"] > 0) == ("landed", True)
    assert sorted(repo.files("main")) == ["docs/old.txt", "src/new.txt", "src/old.txt"]
    message = repo.git("log", "--format=%B", "main")
    assert "all done" in message
    assert "claude-sonnet-5-5" in message
    failed = [line["text"] for line in transcript(repo) if line["event"] == "returned" and line["failed"]]
    assert "docs/evil.txt: the task may write src/**" in failed[0].replace("but ", "")
    assert len(failed) == 2
    assert [e["text"] for e in events(repo) if e["kind"] == "reported" and e["action"] == "says"] == ["nearly there"]


def events(repo: Repo) -> list[dict[str, Any]]:
    return [json.loads(line) for line in orch("log", "--json", cwd=repo.path).out.splitlines()]
