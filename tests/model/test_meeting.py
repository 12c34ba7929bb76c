"""Which changes may meet, against the plain answer that compares every two paths."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.meeting import may_meet

paths = st.sampled_from(["a", "a/b", "a/b/c", "ab", "b", "b/a", "a-b/c"])


@given(st.dictionaries(st.sampled_from("xyzw"), st.sets(paths, max_size=4), max_size=4))
def test_pairs_are_those_with_a_common_path_or_a_path_below_one(changed: dict[str, set[str]]) -> None:
    def meet(one: str, other: str) -> bool:
        return any(
            p == q or p.startswith(q + "/") or q.startswith(p + "/") for p in changed[one] for q in changed[other]
        )

    assert list(may_meet(changed)) == [pair for pair in combinations(changed, 2) if meet(*pair)]
