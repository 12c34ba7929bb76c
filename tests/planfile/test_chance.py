from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import PlanError
from tests.planfile.texts import load

if TYPE_CHECKING:
    from pathlib import Path

KEYS = """
version name base contracts files implementations interface by task shared tracks owns agents kind preset
model command tasks id title track writes needs prompt todos agent attempts limits wall stall cost_usd turns
steps gates run timeout jobs merge window write path text from delete patch claim done report sleep fail when
generation do default [key] step-write wirtes
"""
keys = st.sampled_from(KEYS.split())
scalars: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        True,
        0,
        1,
        -1,
        2.5,
        "",
        "A-001",
        "a",
        "src/**",
        "!x",
        "../x",
        "/x",
        "[",
        "30m",
        "script",
        "acp",
        "a:B",
        "default",
        "é",
    ]
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | st.sampled_from(["a", "b"]), inner, max_size=4),
    max_leaves=10,
)
a_step = st.dictionaries(keys, anything, max_size=2) | anything
a_task = st.fixed_dictionaries(
    {"id": st.sampled_from(["A", "B", "C", "a"]), "writes": st.lists(st.sampled_from(["a", "a/**", "!a/b", 3]), max_size=2)},
    optional={
        "needs": st.lists(st.sampled_from(["A", "B", "C", 7]), max_size=2), "track": st.sampled_from(["t", "u", 3]),
        "steps": st.lists(a_step, max_size=3), "todos": anything, "agent": anything, "limits": anything, "attempts": anything,
    },
)  # fmt: skip
plan_like = st.fixed_dictionaries(
    {"version": st.just(1), "name": st.just("p"), "tasks": st.lists(a_task | anything, max_size=4) | anything},
    optional={
        "tracks": st.dictionaries(st.sampled_from(["t", "u"]), st.fixed_dictionaries({"owns": st.lists(scalars)}) | anything),
        "agents": st.dictionaries(st.sampled_from(["default", "x"]), anything), "gates": anything, "shared": anything,
        "contracts": anything | st.fixed_dictionaries({"files": anything, "implementations": anything}), "limits": anything,
        "merge": anything, "base": anything, "bogus": anything,
    },
)  # fmt: skip


def check_that_it_loads_or_explains(folder: Path, data: bytes) -> None:
    try:
        load(folder, data)
    except PlanError as error:
        problems = error.problems
    else:
        return
    assert problems
    for problem in problems:
        assert re.match(r"\S+/plan\.yaml:\d+:\d+: \S", problem), problem
        assert "\n" not in problem
        assert not re.search(r"pydantic|Input should|https?:|cannot stand here; see", problem)


@given(plan_like)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_looks_like_a_plan_loads_or_is_explained(tmp_path: Path, value: object) -> None:
    check_that_it_loads_or_explains(tmp_path, yaml.safe_dump(value, allow_unicode=True).encode())


@given(st.binary(max_size=200) | st.text("a1 :-[]{},\n'\"&*!|>#%@`~?<\\\t", max_size=60).map(str.encode))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_bytes_there_are_it_loads_or_is_explained(tmp_path: Path, data: bytes) -> None:
    check_that_it_loads_or_explains(tmp_path, data)
