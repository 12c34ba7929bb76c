"""One breaker for each credential: what one agent learns, all obey."""

from __future__ import annotations

from typing import cast

from orchestrator.agents.governor import Governor
from orchestrator.model.decide import Start, decide
from orchestrator.model.events import RunStarted
from orchestrator.model.plan import Plan
from orchestrator.model.state import RunState, fold


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_breaker_is_open_for_all_with_the_credential_until_its_time_and_is_told_once() -> None:
    clock, told = Clock(), list[str]()
    governor = Governor(tell=told.append, clock=clock)
    agents = {"one": "anthropic", "two": "anthropic", "other": "codex", "script": None}
    assert governor.resting(agents) == {}
    governor.trip("anthropic", "429, too many requests", 60)
    governor.trip("anthropic", "429, too many requests", 30)  # a shorter time changes nothing
    assert governor.resting(agents) == {"one": 60.0, "two": 60.0}
    clock.now += 50
    governor.trip("anthropic", "429, too many requests", 20)  # it goes on
    assert governor.resting(agents) == {"one": 20.0, "two": 20.0}
    clock.now += 20
    assert governor.resting(agents) == {}
    assert told == ["anthropic: 429, too many requests; its agents wait for 60 s"]


def test_what_rests_does_not_begin_and_the_others_do() -> None:
    plan = Plan.model_validate_json(
        '{"version": 1, "name": "p", "agents": {"m": {"kind": "anthropic"}}, "tasks": ['
        '{"id": "a", "writes": ["a"], "agent": "m", "prompt": "x"}, {"id": "b", "writes": ["b"], "steps": [{"report": "x"}]}]}'
    )
    started = RunStarted(
        run="r",
        plan="p",
        tasks=("a", "b"),
        plan_sha256="",
        mode="worktree",
        base="main",
        commit="c",
        jobs=2,
        folder="",
        pid=1,
    )
    state = fold(RunState(), started)
    assert decide(plan, state, jobs=2, seconds=0.0, resting={"m"}) == (Start("b", 1),)
    assert [cast("Start", action).task for action in decide(plan, state, jobs=2, seconds=0.0)] == ["a", "b"]
