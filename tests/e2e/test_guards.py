"""Programs that turn in circles: they are told once where they can be, and stopped the second time."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.orch import orch, write_plan
from tests.support.repos import Repo, make_repo

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
# Makes one call again and again, as a coding program tells of it; told to do something else, it writes its file.
PROGRAM = """\
import json, os, pathlib, sys, time
prompt = sys.argv[2]
task = os.environ["ORCH_TASK"]
say = lambda **event: print(json.dumps(event), flush=True)
say(type="start", id="s")
if "same arguments" in prompt or "have failed" in prompt:
    pathlib.Path(task).mkdir(exist_ok=True)
    pathlib.Path(task, "f").write_text("done")
    sys.exit()
for n in range(60):
    say(type="tool", id=str(n), name="run", arguments={"command": "make" if sys.argv[1] == "same" else f"make {n}"})
    say(type="tool_end", id=str(n), output="no", failed=sys.argv[1] != "same")
    time.sleep(0.05)
"""


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo")


def preset(program: Path, how: str, **more: Any) -> str:
    events = [
        {"when": {"type": "start"}, "session": "id"},
        {"when": {"type": "tool"}, "called": {"call": "id", "tool": "name", "arguments": "arguments"}},
        {"when": {"type": "tool_end"}, "returned": {"call": "id", "text": "output", "failed": {"failed": True}}},
    ]
    argv = ["{program}", str(program), how, "{prompt}"]
    return yaml.safe_dump({"program": sys.executable, "install": "-", "argv": argv, "events": events, **more})


def test_programs_are_told_once_and_stopped_the_second_time(repo: Repo, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    resume = ["{program}", str(program), "same", "{prompt}", "{session}"]
    files: dict[str, str | bytes] = {"told.yaml": preset(program, "same", resume=resume), "same.yaml": preset(program, "same"),
             "errors.yaml": preset(program, "errors")}  # fmt: skip
    turns: list[list[dict[str, Any]]] = [[{"call": [f"make {n}", "failed"]} for n in range(60)] for _ in range(3)]
    (tmp_path / "turns.json").write_text(json.dumps(turns))
    acp = f"cd {ROOT} && exec {sys.executable} -m tests.support.acp_agent {tmp_path / 'turns.json'}"
    agents = {name.removesuffix(".yaml"): {"kind": "command", "preset": name} for name in files}
    plan = write_plan(
        tmp_path / "p", [{"id": n, "writes": [f"{n}/**"], "prompt": "x", "agent": n, "attempts": 1} for n in (*agents, "acp")],
        files=files, agents={**agents, "acp": {"kind": "acp", "command": acp}},
    )  # fmt: skip
    said = orch("run", plan, "--run", "r", "--json", cwd=repo.path)
    assert said.code == 1, said.out + said.err
    tasks = {task["id"]: task for task in said.json["tasks"]}
    assert tasks["told"]["status"] == "landed", tasks["told"]["reason"]
    assert "it called run with the same arguments 4 times in a row" in tasks["same"]["reason"]
    assert "its last 6 calls failed" in tasks["errors"]["reason"]
    assert "its last 6 calls failed" in tasks["acp"]["reason"]
    for name in ("same", "errors", "acp"):
        text = (repo.path / f".git/orch/r/transcripts/{name}.gen-1.jsonl").read_text()
        lines = [json.loads(line) for line in text.splitlines()]
        assert [line["stop"] for line in lines if line["event"] == "advised"] == [False, True]
        if name != "acp":  # that one tells of a whole turn at once
            assert sum(line["event"] == "called" for line in lines) < 30
