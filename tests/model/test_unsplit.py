from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.globs import Scope
from orchestrator.model.plan import Plan
from orchestrator.model.plan_rules import problems_of
from orchestrator.model.unsplit import WHOLE, unsplit


def plan_of(*tasks: dict[str, Any], **more: Any) -> Plan:
    return Plan.model_validate_json(__import__("json").dumps({"version": 1, "name": "p", "tasks": list(tasks), **more}))


def task(name: str, *writes: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "writes": list(writes), **more}


def test_one_task_has_the_work_of_all_in_their_order() -> None:
    whole = unsplit(plan_of(
        task("B", "b/**", needs=["A"], prompt="Do b.", steps=[{"claim": "x"}, {"when": {"generation": 1, "do": [{"done": "x"}]}}],
             todos=[{"id": "x", "title": "X"}], limits={"wall": "1m", "turns": 3, "cost_usd": 1}),
        task("A", "a/**", title="First", prompt="Do a.", limits={"wall": "2m", "turns": 4}, attempts=7),
        contracts={"files": {"c": "x"}, "implementations": [{"interface": "c:C", "by": "a:A", "task": "A"}]},
        gates=[{"name": "g", "run": "true"}],
    )).tasks[0]  # fmt: skip
    assert (whole.id, whole.attempts, whole.limits.wall, whole.limits.turns, whole.limits.cost_usd) == (
        WHOLE,
        7,
        180.0,
        7,
        None,
    )
    assert whole.prompt.index("## A: First") < whole.prompt.index("Do a.") < whole.prompt.index("## B")
    assert [todo.id for todo in whole.todos] == ["B.x"]
    dumped = [step.model_dump(mode="json") for step in whole.steps]
    assert dumped == [{"claim": "B.x"}, {"when": {"generation": 1, "do": [{"done": "B.x"}]}}]


def test_the_result_is_a_valid_plan_that_keeps_contracts_and_gates() -> None:
    plan = unsplit(plan_of(
        task("A", "a/**"), task("B", "b/**"), gates=[{"name": "g", "run": "true"}],
        contracts={"files": {"c.py": "x"}, "implementations": [{"interface": "c:C", "by": "a:A", "task": "A"}]},
    ))  # fmt: skip
    assert not problems_of(plan)
    assert [gate.name for gate in plan.gates] == ["g"]
    assert plan.contracts.implementations[0].task == WHOLE


@pytest.mark.parametrize(
    ("agents", "of_tasks", "chosen"),
    [
        ({}, ["default", "default"], "default"),
        ({"m": {"kind": "anthropic"}, "n": {"kind": "anthropic"}}, ["n", "m", "n"], "n"),
        ({"m": {"kind": "anthropic"}, "s": {"kind": "script"}}, ["s", "s", "m"], "m"),
    ],
)
def test_the_agent_of_most_tasks_does_it_but_no_script_does_what_a_model_was_to_do(
    agents: dict[str, Any], of_tasks: list[str], chosen: str
) -> None:
    plan = plan_of(*(task(f"T{n}", f"{n}/**", agent=agent) for n, agent in enumerate(of_tasks)), agents=agents)
    assert unsplit(plan).tasks[0].agent == chosen
    assert unsplit(plan, "m").tasks[0].agent == "m"


globs = st.sampled_from(["a/**", "a/b/**", "*.md", "!a/b/**", "!a/c/*", "!a/c/x", "b/x", "!b/x"])
paths = st.sampled_from(["a/x", "a/b/x", "a/b/c/x", "a/c/x", "r.md", "b/x", "b/y", "z"])


@given(st.lists(st.lists(globs, min_size=1, max_size=4), min_size=1, max_size=3), paths)
def test_it_may_write_what_one_of_them_may(scopes: list[list[str]], path: str) -> None:
    plan = plan_of(*(task(f"T{n}", *written) for n, written in enumerate(scopes)))
    anyone = any(Scope(written).matches(path) for written in scopes)
    whole = unsplit(plan).tasks[0].writes
    assert whole is not None
    if anyone:
        assert Scope(whole).matches(path)
    if not any(glob.startswith("!") for written in scopes for glob in written):
        assert Scope(whole).matches(path) == anyone
