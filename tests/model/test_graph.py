from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.model import graph

NAMES = [f"n{i}" for i in range(12)]


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, list[str]]:
    """A graph in which each name needs only earlier ones of a hidden order, written down in another order."""
    hidden = draw(st.permutations(NAMES[: draw(st.integers(0, 12))]))
    needs = {
        name: draw(st.lists(st.sampled_from(hidden[:at]), max_size=4)) if at else [] for at, name in enumerate(hidden)
    }
    return {name: needs[name] for name in draw(st.permutations(hidden))}


any_graph = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=4))


def naive_ancestors(needs: dict[str, list[str]], name: str) -> set[str]:
    found: set[str] = set()
    todo = [name]
    while todo:
        for need in needs[todo.pop()]:
            if need in needs and need not in found:
                found.add(need)
                todo.append(need)
    return found


@pytest.mark.parametrize(
    ("needs", "order"),
    [
        ({}, ""),
        ({"b": [], "a": []}, "b a"),  # nobody needs anything: the author's order
        ({"a": [], "b": ["a"], "c": ["b"]}, "a b c"),  # an order that fits stays
        ({"c": ["b"], "b": ["a"], "a": []}, "a b c"),
        ({"d": ["a"], "b": [], "a": []}, "b a d"),  # what is ready goes in the author's order
        ({"x": ["a"], "b": [], "a": [], "c": []}, "b a x c"),  # and as early as the author wrote it
        ({"a": ["elsewhere", "elsewhere"], "b": ["a", "a"]}, "a b"),  # unknown and repeated needs
    ],
)
def test_the_order_is_stable(needs: dict[str, list[str]], order: str) -> None:
    assert graph.topological_order(needs) == tuple(order.split())


@pytest.mark.parametrize(
    ("needs", "cycle"),
    [
        ({"a": [], "b": ["a"]}, None),
        ({"a": ["a"]}, "a a"),
        ({"a": ["b"], "b": ["a"]}, "a b a"),
        ({"x": ["a"], "a": ["b"], "b": ["c", "y"], "c": ["a"], "y": []}, "a b c a"),
        ({"a": ["b", "c"], "b": ["c"], "c": ["a"]}, "a c a"),  # the shortest
    ],
)
def test_a_cycle_is_shown_as_a_path(needs: dict[str, list[str]], cycle: str | None) -> None:
    assert graph.find_cycle(needs) == (tuple(cycle.split()) if cycle else None)


def test_each_tangle_is_found_once() -> None:
    needs = {"a": ["b"], "z": ["z"], "b": ["a", "c"], "c": ["d"], "d": ["c"], "free": ["a"]}
    assert graph.tangles(needs) == (("a", "b"), ("z",), ("c", "d"))


@pytest.mark.parametrize("function", [graph.topological_order, graph.waves])
def test_a_cycle_has_no_order(function: object) -> None:
    assert callable(function)
    with pytest.raises(ValueError, match="a → b → a"):
        function({"a": ["b"], "b": ["a"], "c": []})


@given(acyclic())
@settings(max_examples=150, deadline=None)
def test_order_waves_and_reach_agree_with_the_plain_definition(needs: dict[str, list[str]]) -> None:
    order = graph.topological_order(needs)
    place = {name: at for at, name in enumerate(order)}
    assert sorted(order) == sorted(needs)
    assert all(place[need] < place[name] for name, of in needs.items() for need in of)
    assert graph.topological_order({name: needs[name] for name in order}) == order

    above = {name: naive_ancestors(needs, name) for name in needs}

    wave_of = {name: number for number, group in enumerate(graph.waves(needs)) for name in group}
    assert sorted(wave_of) == sorted(needs)
    for name, of in needs.items():
        assert wave_of[name] == max((wave_of[need] + 1 for need in of), default=0)

    reach = graph.Reach(needs)
    for one in needs:
        for other in needs:
            assert reach.ordered(one, other) == (one in above[other] or other in above[one])
    assert reach.names(reach.bits(needs)) == frozenset(needs)


@given(any_graph)
@settings(max_examples=200, deadline=None)
def test_a_cycle_is_found_exactly_if_some_name_needs_itself(needs: dict[str, list[str]]) -> None:
    cyclic = {name for name in needs if name in naive_ancestors(needs, name)}
    assert {name for group in graph.tangles(needs) for name in group} == cyclic
    for group in graph.tangles(needs):
        assert all(other in naive_ancestors(needs, one) for one in group for other in group)
    cycle = graph.find_cycle(needs)
    assert (cycle is None) == (not cyclic)
    if cycle:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        assert all(after in needs[before] for before, after in pairwise(cycle))


def test_a_long_chain_needs_no_recursion() -> None:
    needs = {str(i): [str(i + 1)] for i in range(5000)} | {"5000": []}
    assert graph.topological_order(needs)[0] == "5000"
    assert graph.find_cycle(needs) is None
    assert graph.find_cycle(needs | {"5000": ["0"]}) is not None
    assert graph.Reach(needs).ordered("0", "5000")
