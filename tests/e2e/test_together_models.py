"""Mode crdt with models: one writes an outline, three fill it in at the same time, and one of them is replaced."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.fake_model import FakeModel
from tests.support.orch import Said, orch, start_orch, write_plan
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e

Steps = list[dict[str, Any]]
OUTLINE = '''"""Zählt 漢."""


def one():
    # TODO:One return the first


def two():
    # TODO:Two return the second


def three():
    # TODO:Three return the third
'''
BODIES = {"first": "    return 'ä'", "second": "    return '漢'", "third": "    return '😀'"}
DONE = {"name": "done", "input": {"summary": "It is written."}}
GATES = [{"name": "runs", "run": "python3 -c 'import app; assert (app.one(), app.two(), app.three())'"}]


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo")


def block(words: str) -> str:
    return f'<xcrdt_code_output crdtPosition="{{position}}">\n{words}\n</xcrdt_code_output>'


CURSOR = {"name": "cursor", "input": {"path": "app.py", "where": "end"}}


def run(repo: Repo, tmp_path: Path, more: dict[str, Steps]) -> Said:
    stories: dict[str, Steps] = {  # the first that fits counts
        **more,
        "# Your part: Outline": [{"call": CURSOR}, {"say": block(OUTLINE), "calls": [DONE]}, {"say": "Done."}],
        **{
            f"# Your part: return the {name}": [{"say": block(body), "calls": [DONE], "pace": 200}, {"say": "Done."}]
            for name, body in BODIES.items()
            if f"# Your part: return the {name}" not in more
        },
    }
    agents = {"m": {"kind": "anthropic", "model": "claude-sonnet-5-5"}}
    task = {"id": "app", "title": "The app", "writes": ["app.py"], "prompt": "Write it.", "agent": "m", "attempts": 2}
    with FakeModel({"story": stories}) as fake:
        plan = write_plan(tmp_path / "p", [task], agents=agents, gates=GATES, crdt={"outliner": "m"})
        env = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": fake.url("story")}
        return orch("run", plan, "--mode", "crdt", "--run", "r", "--jobs", "3", "--json", cwd=repo.path, env=env)


def blamed(repo: Repo) -> dict[str, str]:
    lines = repo.git("blame", "--line-porcelain", "app.py", "main").splitlines()
    subjects = [line.removeprefix("summary ") for line in lines if line.startswith("summary ")]
    return dict(zip((line[1:] for line in lines if line.startswith("\t")), subjects, strict=True))


def test_an_outline_is_filled_in_by_three_and_lands_with_its_authors(repo: Repo, tmp_path: Path) -> None:
    said = run(repo, tmp_path, {})
    assert said.code == 0, said.out + said.err
    text = OUTLINE
    for name, marker in zip(BODIES, ("One", "Two", "Three"), strict=True):
        text = text.replace(f"    # TODO:{marker} return the {name}", BODIES[name])
    assert repo.show("app.py", "main").rstrip("\n") == text.rstrip("\n")
    lines = blamed(repo)
    assert lines["def one():"] == "outline: Outline"
    assert [lines[body].partition(":")[0] for body in BODIES.values()] == ["One", "Two", "Three"]
    ours = [json.loads(line) for line in orch("blame", "app.py", "--json", cwd=repo.path).out.splitlines()]
    assert {line["model"] for line in ours} == {"claude-sonnet-5-5@anthropic"}
    assert said.json["tasks"][0]["cost_usd"] > 0


def test_one_that_turns_in_circles_is_replaced(repo: Repo, tmp_path: Path) -> None:
    look = {"name": "look", "input": {"path": "app.py"}}
    body = BODIES["second"]
    circling: Steps = [{"say": "I look.", "call": look}] * 6
    more: dict[str, Steps] = {
        "Another writer failed at this": [{"say": block(body), "calls": [DONE]}, {"say": "Done."}],
        "# Your part: return the second": circling,
    }
    said = run(repo, tmp_path, more)
    assert said.code == 0, said.out + said.err
    assert blamed(repo)[body].startswith("Two:")
    first = (repo.path / ".git/orch/r/transcripts/whole.gen-1.Two.jsonl").read_text()
    assert '"stop": true' in first
    assert (repo.path / ".git/orch/r/transcripts/whole.gen-1.Two-2.jsonl").is_file()


def test_what_does_not_fit_together_is_mended_by_the_reconciler(repo: Repo, tmp_path: Path) -> None:
    twice = "def one():\n    return 1\n"
    steps = [{"stream": {"path": "app.py", "text": twice, "rate": 2000}}]
    tasks = [{"id": name, "track": "app", "steps": steps, "attempts": 1} for name in ("A", "B")]
    delete = {"name": "cursor", "input": {"path": "app.py", "where": "before", "text": twice, "delete": twice}}
    stories: dict[str, Steps] = {"# Your part: Mend": [{"call": delete}, {"call": DONE}, {"say": "Done."}]}
    agents = {"default": {"kind": "script"}, "m": {"kind": "anthropic", "model": "claude-sonnet-5-5"}}
    with FakeModel({"story": stories}) as fake:
        plan = write_plan(
            tmp_path / "p", tasks, agents=agents, crdt={"reconciler": "m"}, tracks={"app": {"owns": ["app.py"], "mode": "crdt"}},
            gates=[{"name": "once", "run": "test $(grep -c 'def one' app.py) = 1"}],
        )  # fmt: skip
        env = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": fake.url("story")}
        said = orch("run", plan, "--json", cwd=repo.path, env=env)
        asked = json.dumps([body for _, body in fake.requests])
    assert said.code == 0, said.out + said.err
    assert "duplicate-declaration" in asked
    assert repo.show("app.py", "main").count("def one") == 1


def test_an_outline_that_is_being_written_outlives_a_kill(repo: Repo, tmp_path: Path) -> None:
    stories: dict[str, Steps] = {"# Your part: Outline": [{"call": CURSOR}, {"say": block(OUTLINE), "pace": 20}]}
    agents = {"m": {"kind": "anthropic", "model": "claude-sonnet-5-5"}}
    tasks = [{"id": "app", "writes": ["app.py"], "prompt": "Write it.", "agent": "m"}]
    with FakeModel({"story": stories}) as fake:
        plan = write_plan(tmp_path / "p", tasks, agents=agents, crdt={"outliner": "m"})
        env = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": fake.url("story")}
        process = start_orch("run", plan, "--mode", "crdt", "--run", "r", "--heartbeat", "0.1", cwd=repo.path, env=env)
        while "+def one" not in repo.git("log", "--all", "-p", "--format=", "--", "app.py"):
            assert process.poll() is None, process.communicate()
        process.kill()
        process.communicate(timeout=60)
    (left,) = [item for item in orch("recover", "--json", cwd=repo.path).json["items"] if item["kind"] == "snapshot"]
    assert "def one" in repo.show("app.py", left["commit"])
