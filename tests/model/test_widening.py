"""When a task may write more than its plan says."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.globs import Scope, overlap
from orchestrator.model.plan import Plan
from orchestrator.model.widening import against_widening, widened

PLAN = Plan.model_validate_json(
    json.dumps(
        {
            "version": 1,
            "name": "p",
            "contracts": {"files": {"contracts/a.py": "x"}},
            "shared": ["shared/**"],
            "tasks": [
                {"id": "a", "writes": ["a/**", "!a/secret"], "steps": [{"report": "x"}]},
                {"id": "b", "writes": ["b/**"], "steps": [{"report": "x"}]},
            ],
        }
    )
)
OWN = Scope(("a/**", "!a/secret"))


def against(*wanted: str, granted: tuple[str, ...] = (), others: dict[str, Scope] | None = None) -> str:
    return against_widening(PLAN, OWN, granted, wanted, others or {})


@pytest.mark.parametrize("wanted", ["new", "b/f", "docs/**", "a/more"])
def test_what_nobody_at_work_writes_is_granted(wanted: str) -> None:
    assert against(wanted) == ""


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ("b/f", "b/f is in the scope of b, which is at work"),
        ("**", "is a contract"),
        ("contracts/a.py", "contracts/a.py is a contract"),
        ("shared/x/**", "is shared, which no task may write"),
        ("a/secret", "the plan takes a/secret out of this task's scope"),
        ("!b/f", "it excludes"),
        ("/etc/passwd", "is no glob"),
        ("../x", "is no glob"),
    ],
)
def test_what_may_not_be_written_is_refused_with_a_path(wanted: str, why: str) -> None:
    assert why in against(wanted, others={"b": Scope(("b/**",))})


def test_no_task_asks_for_everything_bit_by_bit() -> None:
    assert "ask for 1 to 20 globs" in against()
    assert "ask for 1 to 20 globs" in against(*(f"f{n}" for n in range(21)))
    assert "80 in all" in against("one-more", granted=tuple(f"f{n}" for n in range(80)))


SOME = st.lists(st.sampled_from(["x/*", "x/a", "y/**", "y/b/c", "z", "*/q"]), min_size=1, max_size=3, unique=True)


@given(SOME, SOME)
def test_what_was_granted_meets_nobody(wanted: list[str], theirs: list[str]) -> None:
    other = Scope(theirs)
    if against(*wanted, others={"b": other}) == "":
        assert overlap(Scope(wanted), other) is None
        assert all(widened(OWN, wanted).matches(path) for path in wanted if "*" not in path)
