"""A coding program whose provider is to blame: all with the credential wait or stop, and no attempt is counted."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from orchestrator.journal.journal import read_journal
from orchestrator.model.events import AttemptStarted, Noticed
from tests.support.fake_model import FakeModel
from tests.support.orch import Said, orch, write_plan
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.e2e

REAL_LOGINS = "ORCH_REAL_LOGINS" in os.environ  # read now: tests are sealed from such variables
# Asks the model server once; writes what it says, or tells how it was refused, as coding programs do.
PROGRAM = """\
import json, os, pathlib, sys, urllib.error, urllib.request
task = os.environ["ORCH_TASK"]
body = {"messages": [{"role": "user", "content": f"# {task}:"}], "tools": [{"type": "function"}]}
request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(body).encode())
print(json.dumps({"type": "start", "id": "s-1"}))
print("rate limit, says the model; try again in 900s", flush=True) if task == "noise" else None
try:
    with urllib.request.urlopen(request) as answer:
        text = json.load(answer)["choices"][0]["message"]["content"]
except urllib.error.HTTPError as error:
    said = json.load(error)["error"]["message"]
    print(json.dumps({"type": "error", "message": f"{error.code}: {said}"}) if sys.argv[1] == "json" else f"{error.code}: {said}")
    sys.exit(1 if sys.argv[1] == "json" else 0)
pathlib.Path(task).mkdir(exist_ok=True)
pathlib.Path(task, "said.txt").write_text(text)
"""


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo")


def preset(program: Path, how: str, **more: Any) -> str:
    argv = ["{program}", str(program), how]
    events = [
        {"when": {"type": "start"}, "session": "id"},
        {"when": {"type": "error"}, "failure": "message"},
    ]
    troubles = {"quota": ["try again in (?P<reset>[0-9.]+s)", "^429"], "login": ["^401"], "overload": ["^529"]}
    return yaml.safe_dump(
        {
            "program": sys.executable, "install": "pip install it==1", "argv": argv, "provider": "openai",
            "keys": ["OPENAI_API_KEY", "OPENAI_BASE_URL"], "events": events, "troubles": troubles, **more,
        }
    )  # fmt: skip


def run(
    repo: Repo, tmp_path: Path, agents: Mapping[str, str], story: Mapping[str, Any], **task: Any
) -> tuple[Said, list[str]]:
    """Run a plan with a task for each agent, which is named as it is; return what was said, and who asked the model."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    presets = {
        "json": preset(program, "json"),
        "resumed": preset(program, "json", resume=["{program}", str(program), "json", "{session}"]),
        "plain": preset(program, "plain", events=[]),
    }
    tasks = [
        {"id": name, "writes": [f"{name}/**"], "agent": name, "prompt": "x", "attempts": 1, **task} for name in agents
    ]
    with FakeModel({"s": {f"# {name}:": steps for name, steps in story.items()}}) as fake:
        plan = write_plan(
            tmp_path / "p", tasks, files={f"{name}.yaml": text for name, text in presets.items()},
            agents={name: {"kind": "command", "preset": f"{kind}.yaml"} for name, kind in agents.items()},
        )  # fmt: skip
        env = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": fake.url("s")}
        said = orch("run", plan, "--run", "r", "--jobs", "1", "--json", cwd=repo.path, env=env)
        return said, [str(body["messages"][0]["content"]).strip("# :") for _, body in fake.requests]


def notices(repo: Repo) -> list[tuple[float, str]]:
    return [(at, e.text) for at, e in read_journal(repo.path / ".git/orch/r/journal") if isinstance(e, Noticed)]


def test_a_quota_is_waited_for_and_costs_no_attempt(repo: Repo, tmp_path: Path) -> None:
    """One goes on in its session, two are put off, and one that shares their key does not begin before its time."""
    quota = {"say": "text", "faults": [{"status": 429, "say": "no more, try again in 1.5s."}]}
    story = {"again": [quota], "off": [quota], "quiet": [quota], "later": [{"say": "text"}]}
    agents = {"again": "resumed", "off": "json", "quiet": "plain", "later": "json"}
    said, asked = run(repo, tmp_path, agents, story)
    assert said.code == 0, said.out + said.err
    generations = {task["id"]: task["generation"] for task in said.json["tasks"]}
    assert generations == {"again": 1, "off": 2, "quiet": 2, "later": 1}
    assert sorted(asked) == ["again", "again", "later", "off", "off", "quiet", "quiet"]
    opened = [
        at for at, text in notices(repo) if text.startswith("openai: try again in 1.5s.; its agents wait for 2 s")
    ]
    starts = [at for at, e in read_journal(repo.path / ".git/orch/r/journal") if isinstance(e, AttemptStarted)]
    assert len(opened) == 3
    assert [at for at in starts if any(0 < at - since < 1.4 for since in opened)] == []


def test_a_refused_login_is_found_once_and_said_once(repo: Repo, tmp_path: Path) -> None:
    refused = [{"say": "text", "faults": [{"status": 401, "say": "no such key", "times": 9}]}]
    agents = {"one": "json", "two": "resumed", "three": "json"}
    said, asked = run(repo, tmp_path, agents, dict.fromkeys(agents, refused), attempts=3)
    assert (said.code, asked) == (1, ["one"])
    assert [task["generation"] for task in said.json["tasks"]] == [1, 1, 1]
    assert all("the login is refused (401: no such key)" in task["reason"] for task in said.json["tasks"])
    told = "openai: the login is refused (401: no such key); nothing more is tried with it"
    assert [text for _, text in notices(repo)] == [told]


def test_what_the_work_is_to_blame_for_is_counted(repo: Repo, tmp_path: Path) -> None:
    wrong = [{"say": "text", "faults": [{"status": 400, "say": "bad request", "times": 9}]}]
    said, asked = run(repo, tmp_path, {"noise": "json"}, {"noise": wrong}, attempts=2)
    (task,) = said.json["tasks"]
    assert (said.code, task["generation"], len(asked)) == (1, 2, 2)
    assert "it failed: 400: bad request" in task["reason"]


def test_a_pattern_that_is_none_is_refused_by_the_check(tmp_path: Path) -> None:
    text = preset(tmp_path / "x.py", "json", troubles={"quota": ["("]})
    tasks = [{"id": "a", "writes": ["a/**"], "agent": "a", "prompt": "x"}]
    agents = {"a": {"kind": "command", "preset": "a.yaml"}}
    said = orch("check", write_plan(tmp_path / "p", tasks, files={"a.yaml": text}, agents=agents), cwd=tmp_path)
    assert said.code == 3
    assert "a.yaml: troubles.quota: '(' is no regular expression" in said.err


@pytest.mark.skipif(importlib.util.find_spec("claude_agent_sdk") is None, reason="the extra 'claude' is not installed")
@pytest.mark.skipif(not REAL_LOGINS, reason="it tries for 15 seconds; ORCH_REAL_LOGINS=1 lets it")
@pytest.mark.realagent
def test_the_real_claude_code_says_once_that_its_key_is_refused(repo: Repo, tmp_path: Path) -> None:
    tasks = [{"id": name, "writes": [f"{name}/**"], "agent": "c", "prompt": "x", "attempts": 3} for name in "ab"]
    with FakeModel({"s": [{"faults": [{"status": 401, "say": "invalid x-api-key", "times": 99}]}]}) as fake:
        plan = write_plan(tmp_path / "p", tasks, agents={"c": {"kind": "command", "preset": "claude-sdk"}})
        env = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": fake.url("s")}
        said = orch("run", plan, "--run", "r", "--jobs", "1", "--json", cwd=repo.path, env=env)
    assert [task["generation"] for task in said.json["tasks"]] == [1, 1]
    (told,) = (text for _, text in notices(repo) if "nothing more is tried" in text)
    assert told.startswith("anthropic: the login is refused (Invalid API key")
