"""The published formats: the schemas are current, and what a real run writes is what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from orchestrator.model.events import event_as_json, event_from_json
from orchestrator.model.formats import BlameLineJson, Report, TaskLinesJson
from tests.support.orch import orch, write_plan
from tests.support.repos import make_repo

ROOT = Path(__file__).resolve().parents[1]


def test_the_published_schemas_are_current(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "write_schemas.py"
    subprocess.run([sys.executable, script, tmp_path], check=True, capture_output=True)
    written = {p.name: p.read_text() for p in tmp_path.glob("*.json")}
    assert written == {p.name: p.read_text() for p in (ROOT / "contracts").glob("*.json")}, "run scripts/schemas"


@pytest.mark.e2e
def test_what_a_run_writes_is_what_the_formats_say(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo", b_txt="b\n")
    steps = [
        {"report": "hello"},
        {"write": {"path": "a.txt", "text": "a\n"}},
        {"when": {"generation": 1, "do": [{"run": "rm b.txt"}]}},
    ]
    plan = write_plan(
        tmp_path / "p",
        [{"id": "A", "writes": ["a.txt"], "steps": steps}, {"id": "B", "writes": ["c.txt"], "steps": [{"fail": "no"}]}],
        gates=[{"name": "g", "run": "true"}],
    )
    said = orch("run", plan, "--json", cwd=repo.path)
    assert set(TypeAdapter(Report).validate_python(said.json, strict=True)) == set(said.json)
    for line in orch("log", "--json", cwd=repo.path).out.splitlines():
        data = json.loads(line)
        assert {"at": data["at"], **json.loads(json.dumps(event_as_json(event_from_json(data))))} == data
    for line in orch("blame", "a.txt", "--json", cwd=repo.path).out.splitlines():
        TypeAdapter(BlameLineJson).validate_python(json.loads(line), strict=True)
    lines = orch("blame", "--task", "A", "--json", cwd=repo.path).json
    assert lines == {"task": "A", "files": {"a.txt": [[1, 1]]}}
    assert set(TaskLinesJson.__annotations__) == set(lines)
