from __future__ import annotations

import pytest

from orchestrator.model.payoff import payoff_of

FREE = dict.fromkeys("abcdefgh", ())
CHAIN = {"a": (), "b": ("a",), "c": ("b",)}


@pytest.mark.parametrize(
    ("needs", "jobs", "length"),
    [
        (FREE, 8, 1), (FREE, 4, 2), (FREE, 3, 3), (FREE, 1, 8), (CHAIN, 8, 3),
        ({**CHAIN, "x": (), "y": ()}, 2, 3),
        ({"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c", "c")}, 4, 3),
    ],
)  # fmt: skip
def test_it_counts_the_tasks_in_a_row(needs: dict[str, tuple[str, ...]], jobs: int, length: int) -> None:
    assert payoff_of(needs, jobs, []).length == length


def test_parallel_work_pays_from_where_both_ways_take_as_long() -> None:
    payoff = payoff_of(FREE, 4, [1.0, 5.0, 3.0])
    task = payoff.break_even
    assert (payoff.landing, task) == (3.0, 3.5)
    assert task is not None
    assert 8 * task + 3.0 == payoff.length * task + 8 * 3.0


def test_what_cannot_be_known_is_not_said() -> None:
    assert payoff_of(FREE, 4, []).break_even is None
    assert "will be told once" in payoff_of(FREE, 4, []).lines()[1]
    assert payoff_of(CHAIN, 4, [1.0]).break_even is None
    assert "Nothing of it can run side by side" in payoff_of(CHAIN, 4, [1.0]).lines()[0]
    assert payoff_of({"a": ()}, 4, []).lines() == []
