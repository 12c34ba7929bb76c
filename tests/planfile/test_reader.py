from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
import yaml

from orchestrator.errors import UsageError
from orchestrator.planfile import load_plan
from orchestrator.planfile.sources import MAX_SOURCE_BYTES
from tests.planfile.texts import TASK, load, problems
from tests.support.cost import at_most_calls

if TYPE_CHECKING:
    from pathlib import Path

FULL = """\
version: 1
name: user-management
base: main
contracts:
  files:
    contracts/types/user.py: {from: contracts/user.py}
    contracts/behaviors/user_not_found.md: "A missing user is a UserNotFoundError, never None."
  implementations:
    - {interface: "contracts.interfaces.auth:IAuthService", by: "src.auth.service:AuthService", task: A-001}
shared: ["src/shared/**"]
tracks:
  auth:    {owns: ["src/auth/**", "tests/auth/**"]}
  profile: {owns: ["src/profile/**", "tests/profile/**"]}
agents:
  default: {kind: script}
  claude:  {kind: command, preset: claude}
  haiku:   {kind: anthropic, model: claude-haiku-5-5}
  zed:     {kind: acp, command: ["gemini", "--acp"]}
tasks:
  - id: A-001
    title: Auth service
    track: auth
    writes: ["src/auth/**"]
    needs: []
    prompt: |
      Implement IAuthService …
    todos:
      - {id: hash-passwords, title: "Hash passwords with scrypt"}
    agent: default
    attempts: 3
    limits: {wall: 30m, stall: 60s, cost_usd: 2, turns: 80}
    steps:
      - claim: hash-passwords
      - write: {path: src/auth/service.py, from: service.py}
      - write: {path: src/auth/empty.py, text: ""}
      - patch: patches/a.patch
      - when: {generation: 1, do: [{patch: patches/a.patch}, {sleep: 200ms}, {fail: on purpose}]}
      - run: "true"
      - delete: src/auth/old.py
      - done: hash-passwords
      - report: all done
  - {id: P-001, track: profile, agent: claude, prompt: "Profile service"}
gates:
  - {name: tests, run: "python -m pytest -q", timeout: 10m}
limits: {jobs: 4, cost_usd: 20, wall: 4h}
merge: {window: 8}
"""


def test_the_whole_format_is_read(tmp_path: Path) -> None:
    for name, content in {
        "contracts/user.py": b"class User: ...",
        "service.py": b"\xff\x00",
        "patches/a.patch": b"",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    loaded = load(tmp_path, FULL)
    assert loaded.path == tmp_path / "plan.yaml"
    assert dict(loaded.sources) == {
        "contracts/user.py": b"class User: ...", "service.py": b"\xff\x00", "patches/a.patch": b"",
    }  # fmt: skip
    assert loaded.warnings == ()
    task = loaded.plan.task("A-001")
    assert (task.limits.wall, task.limits.stall, task.limits.cost_usd) == (1800, 60, 2)
    assert task.prompt == "Implement IAuthService …\n"
    assert loaded.plan.agents["zed"].command == ("gemini", "--acp")
    assert len(task.steps) == 9


def test_the_digest_sees_the_plan_and_every_source(tmp_path: Path) -> None:
    text = TASK + "contracts: {files: {a: {from: x}, b: {from: y}}}\n"
    (tmp_path / "x").write_text("1")
    (tmp_path / "y").write_text("2")
    digests = {load(tmp_path, text).sha256, load(tmp_path, text).sha256}
    assert len(digests) == 1
    digests.add(load(tmp_path, text + "# a comment\n").sha256)
    (tmp_path / "x").write_text("12")
    (tmp_path / "y").write_text("")
    digests.add(load(tmp_path, text).sha256)
    assert len(digests) == 3
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)


def test_warnings_have_their_place(tmp_path: Path) -> None:
    loaded = load(tmp_path, TASK.replace("writes: []", "writes: [Src/a]") + "- {id: B, writes: [src/b], steps: []}\n")
    [warning] = loaded.warnings
    assert warning.startswith(f"{tmp_path}/plan.yaml:7:20: tasks[1] (B).writes[0]: 'src' here and 'Src' elsewhere")
    assert warning.endswith("(see line 5)")


# --- the plan file and the files it names -----------------------------------------------------------------------------


def test_a_plan_that_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    cases = {"missing.yaml": "No such file", ".": "a folder", "pipe": "not an ordinary file", "x" * 300: "too long"}
    for name, reason in cases.items():
        with pytest.raises(UsageError, match=reason):
            load_plan(tmp_path / name)


def test_a_plan_larger_than_the_limit(tmp_path: Path) -> None:
    assert "larger than 4 MiB" in problems(tmp_path, b"#" * ((4 << 20) + 1))[0]
    with pytest.raises(UsageError, match="4 MiB"):
        load(tmp_path, b"#" * ((4 << 20) + 2))


def test_files_that_a_plan_cannot_name(tmp_path: Path) -> None:
    folder = tmp_path / "plans"
    (folder / "deep").mkdir(parents=True)
    (tmp_path / "secret").write_text("s")
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "loop").symlink_to("loop")
    (folder / "up").symlink_to(tmp_path)
    (folder / "file").write_text("f")
    (folder / "inside").symlink_to("deep/../file")
    os.mkfifo(folder / "pipe")
    with (folder / "huge").open("wb") as huge:
        huge.truncate(MAX_SOURCE_BYTES + 1)
    cases = {
        str(tmp_path / "secret"): "is an absolute path",
        "../secret": "leaves the plan's folder",
        "../missing": "leaves the plan's folder",
        "deep/../../secret": "leaves the plan's folder",
        "out": "is a link that leaves the plan's folder",
        "up/secret": "is a link that leaves the plan's folder",
        "missing": "there is no file 'missing'",
        "file/x": "cannot be found (Not a directory)",
        "loop": "cannot be found",
        "deep": "it is a folder",
        "pipe": "it is not an ordinary file",
        "huge": "it is larger than 64 MiB",
        "x" * 300: "File name too long",
    }
    files = "".join(f"    f{n}: {{from: {name}}}\n" for n, name in enumerate(cases))
    said = problems(folder, f"{TASK}contracts:\n  files:\n{files}")
    assert len(said) == len(cases)
    for n, (problem, reason) in enumerate(zip(said, cases.values(), strict=True)):
        assert problem.startswith(f"plan.yaml:{9 + n}:{len(f'    f{n}: {{from: ') + 1}: contracts.files.f{n}.from: ")
        assert reason in problem
    fine = load(folder, TASK + "contracts: {files: {a: {from: deep/../file}, b: {from: inside}, c: {from: ./file}}}\n")
    assert dict(fine.sources) == {"deep/../file": b"f", "inside": b"f", "./file": b"f"}


def test_a_file_that_nobody_may_read(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (tmp_path / "x").write_text("")
    (tmp_path / "x").chmod(0)
    assert "Permission denied" in problems(tmp_path, TASK + "contracts: {files: {a: {from: x}}}\n")[0]


def test_the_cost_of_loading_a_plan_of_five_hundred_tasks_is_bounded(tmp_path: Path) -> None:
    tasks = [
        {
            "id": f"c{n}-0123456789ab",
            "writes": [f"src/{n % 40}/file_{n}_{m}.py" for m in range(20)] + ["CHANGELOG.md"],
            "needs": [f"c{n - 1}-0123456789ab"] if n else [],
            "steps": [{"patch": f"{n % 7}.patch"}],
        }
        for n in range(500)
    ]
    for n in range(7):
        (tmp_path / f"{n}.patch").write_text("x")
    text = yaml.dump(
        {"version": 1, "name": "big", "tasks": tasks}, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    )
    with at_most_calls(10_000_000):
        loaded = load(tmp_path, text)
    assert len(loaded.plan.tasks) == 500
    assert len(loaded.sources) == 7
