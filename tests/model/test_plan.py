from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestrator.model.plan import AgentSpec, Plan, parse_duration, repository_path, spec_hash
from orchestrator.model.plan_steps import each_step
from orchestrator.model.plan_values import described


def plan(*tasks: dict[str, Any], **rest: Any) -> Plan:
    return Plan.model_validate({"version": 1, "name": "p", "tasks": tasks or ({"id": "A"},), **rest})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("200ms", 0.2), ("30s", 30), ("1.5m", 90), ("1h30m", 5400), ("2d", 172800), ("0s", 0), ("1m1m", 120)],
)
def test_durations(text: str, seconds: float) -> None:
    assert math.isclose(parse_duration(text), seconds)


@pytest.mark.parametrize(
    "text", [30, "30", "", "s", "1 h", "-1s", "1e3s", "٣s", "1y", None, True, (), {}, "9" * 400 + "d"]
)
def test_no_durations(text: object) -> None:
    with pytest.raises(ValueError, match="write a"):
        parse_duration(text)


@given(st.integers(0, 10**9))
@settings(max_examples=50, deadline=None)
def test_milliseconds_are_exact_enough(count: int) -> None:
    assert math.isclose(parse_duration(f"{count}ms"), count / 1000)


@pytest.mark.parametrize("path", ["a", "a/b.py", ".github/x", "a b", "é", "...", "..a/b..", ".gitignore", "a\\b"])
def test_repository_paths(path: str) -> None:
    assert repository_path(path) == path


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "missing"), (None, "missing"), (3, "no path"), ((), "no path"),
        ("/a", "absolute"), ("C:/a", "absolute"), ("C:\\a", "absolute"),
        ("../a", "leaves"), ("a/..", "leaves"), ("a/../b", "leaves"),
        (".git/config", "git's own"), ("a/.GIT/x", "git's own"), (".git", "git's own"), (".git. /x", "git's own"),
        ("a//b", "empty"), ("a/", "empty"), ("./a", "'.' part"), ("a/.", "'.' part"),
        ("a\nb", "control"), ("a\x7f", "control"), ("a/" + "x" * 256, "255 bytes"), ("é" * 128, "255 bytes"),
    ],
)  # fmt: skip
def test_no_repository_paths(path: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        repository_path(path)


@pytest.mark.parametrize("task_id", ["A-001", "a", "0", "a.b_c-d", "c12-0123456789ab"])
def test_task_ids(task_id: str) -> None:
    assert plan({"id": task_id}).task(task_id).id == task_id


@pytest.mark.parametrize("task_id", ["", "-a", ".a", "a/b", "a b", "a\n", "é", "a..b", "a.lock", "a.", "x" * 101])
def test_ids_that_no_branch_can_carry(task_id: str) -> None:
    with pytest.raises(ValidationError):
        plan({"id": task_id})


@pytest.mark.parametrize("base", ["main", "release/1.0", "feature/@x", "ü"])
def test_base_branches(base: str) -> None:
    assert plan(base=base).base == base


@pytest.mark.parametrize("base", ["", "-x", "a b", "a..b", "a~1", "a^", "x:y", "a/", "/a", "a//b", ".a", "a/.b", "a.lock", "@",
                                  "a@{1}", "a*", "a\\b", "a.", "a\x7f"])  # fmt: skip
def test_no_base_branches(base: str) -> None:
    with pytest.raises(ValidationError):
        plan(base=base)


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": True}, {"version": 1.0}, {"version": "1"}, {"version": 2},
        {"limits": {"cost_usd": True}}, {"limits": {"cost_usd": "2"}}, {"limits": {"cost_usd": math.inf}},
        {"limits": {"cost_usd": math.nan}}, {"limits": {"cost_usd": 10**400}}, {"limits": {"wall": "0s"}},
        {"limits": {"jobs": 2.0}}, {"limits": {"jobs": 0}}, {"limits": None}, {"limits": {"unknown": 1}},
        {"tracks": {"": {"owns": ("a",)}}}, {"tracks": {"a\nProvenance-Task: x": {"owns": ("a",)}}},
        {"tracks": {"a": {"owns": ()}}}, {"tracks": {"a": {"owns": ("/a",)}}}, {"shared": ("",)}, {"shared": ("a", 3)},
        {"agents": {"a": {"kind": "acp"}}}, {"agents": {"a": {"kind": "acp", "command": ()}}},
        {"agents": {"a": {"kind": "command"}}}, {"agents": {"a": {"kind": "command", "preset": "x", "command": "y"}}},
        {"agents": {"a": {"kind": "command", "command": ("x", 3)}}}, {"agents": {"a": {"kind": "command", "command": " "}}},
        {"agents": {"a": {"kind": "anthropic", "effort": "huge"}}}, {"agents": {"a": {"kind": "script", "effort": "low"}}},
        {"agents": {"a": {"kind": "script", "command": "x"}}}, {"agents": {"a": {"kind": "anthropic", "preset": "x"}}},
        {"contracts": {"files": {"a": {"text": "x", "from": "y"}}}}, {"contracts": {"files": {"a": {}}}},
        {"contracts": {"files": {"a": 3}}}, {"contracts": {"files": {"../a": "x"}}},
    ],
)  # fmt: skip
def test_single_values_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        plan(**wrong)


def test_a_contract_file_is_its_text_or_names_a_file() -> None:
    files = plan(contracts={"files": {"a": "text", "b": {"from": "b.py"}}}).contracts.files
    assert (files["a"].text, files["b"].source) == ("text", "b.py")


def test_a_command_may_come_as_json() -> None:
    text = (
        '{"version": 1, "name": "p", "tasks": [{"id": "A"}], "agents": {"a": {"kind": "acp", "command": ["x", "-y"]}}}'
    )
    assert Plan.model_validate_json(text).agents["a"].command == ("x", "-y")


def test_who_may_write_what() -> None:
    loaded = plan(
        {"id": "A", "track": "t"}, {"id": "B", "track": "t", "writes": ("src/b",)}, {"id": "C"}, {"id": "D", "writes": ()},
        tracks={"t": {"owns": ("src/**",)}}, shared=("lib/**",), contracts={"files": {"types[1].py": ""}},
    )  # fmt: skip
    assert [loaded.owned(task) for task in loaded.tasks] == [("src/**",), ("src/b",), (), ()]
    assert loaded.protected() == ("types\\[1].py", "lib/**")
    assert loaded.agent_of(loaded.task("A")) == AgentSpec(kind="script")
    with pytest.raises(KeyError):
        loaded.task("Z")


def test_steps_are_told_by_their_key() -> None:
    inner = {"when": {"generation": 1, "do": ({"run": "x"}, {"sleep": "200ms"})}}
    steps = plan({"id": "A", "steps": ({"delete": "a"}, inner, {"fail": "y"})}).tasks[0].steps
    places = [where for where, _ in each_step(steps, ("steps",))]
    assert places == [
        ("steps", 0), ("steps", 1), ("steps", 1, "when", "do", 0), ("steps", 1, "when", "do", 1), ("steps", 2),
    ]  # fmt: skip


def test_the_spec_hash_sees_every_change_and_nothing_else() -> None:
    one, same, other = (plan({"id": "A", "title": t}).tasks[0] for t in ("x", "x", "y"))
    assert spec_hash(one) == spec_hash(same) != spec_hash(other)
    assert len(spec_hash(one)) == 16


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "nothing"),
        (True, "true"),
        (3, "3"),
        ("a'b", '"a\'b"'),
        ((), "a list"),
        ([1], "a list"),
        ({}, "a mapping"),
    ],
)
def test_values_are_spoken_of(value: object, words: str) -> None:
    assert described(value) == words


def test_a_long_value_is_cut() -> None:
    assert len(described("x" * 10**6)) < 100
