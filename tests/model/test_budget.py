"""Budgets of a task and of a run: what is left for the next attempt, and what ends them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model import decide as to_do
from orchestrator.model import events as happened
from orchestrator.model.budget import limit_passed, limited
from orchestrator.model.decide import decide
from orchestrator.model.outcome import OutcomeStatus
from orchestrator.model.plan import Plan, Task
from orchestrator.model.state import RunState, TaskState, fold
from tests.support.simulated import started


def plan_with(run: dict[str, Any], **task: Any) -> Plan:
    one = {"id": "a", "writes": ["a"], "prompt": "x", "agent": "c", "attempts": 9, **task}
    agents = {"c": {"kind": "command", "command": "true"}}
    plan = {
        "version": 1,
        "name": "p",
        "limits": run,
        "agents": agents,
        "tasks": [one, {**one, "id": "b", "writes": ["b"]}],
    }
    return Plan.model_validate_json(json.dumps(plan))


def after_one_attempt(plan: Plan, *, refused: bool = True) -> RunState:
    state = fold(RunState(), started(plan))
    ended = happened.AttemptEnded(
        task="a",
        generation=1,
        status=OutcomeStatus.FAILED,
        reason="no",
        seconds=5.0,
        cost_usd=2.0,
        turns=10,
        tokens=700,
    )
    state = fold(fold(state, happened.Assigned(task="a", generation=1)), ended)
    refusal = happened.Refused(task="a", generation=1, reason="no", feedback="")
    return fold(state, refusal) if refused else state


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        ({"cost_usd": 2}, "the task's budget of $2 is used up ($2.0000 in 1 attempt); no"),
        ({"tokens": 700}, "the task's budget of 700 tokens is used up (700 in 1 attempt); no"),
        ({"turns": 9}, "the task's budget of 9 turns is used up (10 in 1 attempt); no"),
        ({"wall": "5s"}, "the task's budget of 5 s is used up (5.0 s in 1 attempt); no"),
        ({"cost_usd": 2.1, "tokens": 701, "turns": 11, "wall": "6s"}, ""),
        ({}, ""),
    ],
)
def test_a_task_ends_once_its_attempts_have_used_up_its_budget(budget: dict[str, Any], reason: str) -> None:
    plan = plan_with({}, budget=budget)
    actions = decide(plan, after_one_attempt(plan), jobs=1, seconds=0)
    assert actions == ((to_do.End("a", "failed", reason),) if reason else (to_do.Start("a", 2),))


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"tokens": 699}, "the run's budget of 699 tokens is used up (700)"),
        ({"turns": 9}, "the run's budget of 9 turns is used up (10)"),
        ({"cost_usd": 1}, "the run's budget of $1 is used up ($2.00)"),
        ({"tokens": 700, "turns": 10, "cost_usd": 2}, ""),
    ],
)
def test_a_run_stops_once_its_budget_is_passed(limits: dict[str, Any], reason: str) -> None:
    plan = plan_with(limits)
    actions = decide(plan, after_one_attempt(plan), jobs=1, seconds=0)
    assert actions == ((to_do.Stop(reason),) if reason else (to_do.Start("a", 2),))


@given(
    limit=st.none() | st.integers(1, 50),
    whole=st.none() | st.integers(1, 100),
    spent=st.lists(st.integers(0, 60), max_size=6),
)
def test_attempts_that_keep_their_limits_never_pass_the_budget(
    limit: int | None, whole: int | None, spent: list[int]
) -> None:
    task = Task.model_validate_json(json.dumps({"id": "a", "limits": {"turns": limit}, "budget": {"turns": whole}}))
    now = TaskState()
    for wanted in spent:
        if whole is not None and now.turns >= whole:
            break
        bound = limited(task, now).limits.turns
        taken = wanted if bound is None else min(wanted, bound)
        assert limit is None or taken <= limit
        assert not limit_passed(limited(task, now).limits, usd=0, tokens=0, turns=taken)
        now = TaskState(turns=now.turns + taken)
    assert whole is None or now.turns <= whole
    assert limited(task, TaskState()).limits.turns == min((n for n in (limit, whole) if n is not None), default=None)
