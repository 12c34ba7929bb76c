"""Whose each line is, by replaying a history, against texts whose lines all tell who wrote them."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import SequenceMatcher

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.replay import (
    NOBODY,
    Changed,
    Cut,
    Gone,
    Made,
    Move,
    Owner,
    Owners,
    Source,
    Step,
    Taken,
    heirs,
    names_before,
    replay,
)

_EDITS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(0, 3)), max_size=3)


@dataclass
class Told:
    """A history that is written as texts; each line is (number, its owner), so that it is known without any replay."""

    steps: list[Step] = field(default_factory=list)
    cuts: dict[tuple[str, str], list[Cut]] = field(default_factory=dict)
    texts: list[list[tuple[int, str | None]]] = field(default_factory=list)

    def edit(self, parents: list[int], edits: list[tuple[int, int, int]], *, owns: bool) -> None:
        """Add a commit that edits the text of its first parent; what it has in common with others is theirs."""
        number, name = len(self.texts), f"c{len(self.texts)}"
        text = list(self.texts[parents[0]]) if parents else []
        for i, (at, removed, added) in enumerate(
            edits
        ):  # no two lines read alike, so that there is one difference only
            text[at : at + removed] = [(100 * number + 10 * i + n, name if owns else None) for n in range(added)]
        sources = []
        for parent in parents:
            blobs = (f"b{parent}", f"b{number}")
            matcher = SequenceMatcher(None, [n for n, _ in self.texts[parent]], [n for n, _ in text], autojunk=False)
            codes = matcher.get_opcodes()
            self.cuts[blobs] = [Cut(i, j - i, m - k) for code, i, j, k, m in codes if code != "equal"]
            sources.append(Source(f"c{parent}", "f", blobs))
        self.texts.append(text)
        step = Step(commit=name, parents=[f"c{p}" for p in parents], owns=owns, moves={"f": Made(sources)})
        self.steps.append(step)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), _EDITS), min_size=1, max_size=8))
def test_each_line_is_the_one_who_wrote_it(commits: list[tuple[bool, bool, list[tuple[int, int, int]]]]) -> None:
    told = Told()
    for owns, merges, edits in commits:
        parents = list(range(len(told.texts) - 1, -1, -1))[: 2 if merges else 1]
        told.edit(parents, edits, owns=owns)
    found = replay(told.steps, told.steps[-1].commit, told.cuts).get("f", NOBODY)
    text = told.texts[-1]
    said = [None if isinstance(owner, Changed) else owner for owner in found.span(0, len(text))]
    assert said == [owner for _, owner in text]


@pytest.mark.parametrize(
    ("replaced", "added", "was"),
    [
        (["a", None, "b"], 3, ["a", None, "b"]),
        (["a", "a"], 3, ["a", "a", "a"]),
        (["a", "b"], 1, [None]),
        ([None, "a"], 1, [None]),
        ([Changed("h", "a"), "a"], 1, ["a"]),
        ([], 2, [None, None]),
        (["a"], 0, []),
    ],
)  # fmt: skip
def test_new_lines_stand_for_those_in_their_place_or_for_all_of_one_owner(
    replaced: list[Owner], added: int, was: list[str | None]
) -> None:
    assert heirs(replaced, added) == was


def step(commit: str, *parents: str, owns: bool = False, **moves: Move) -> Step:
    return Step(commit=commit, parents=parents, owns=owns, moves=moves)


def made(parent: str, path: str, old: str, new: str) -> Made:
    return Made([Source(parent, path, (old, new))])


def test_a_line_changed_by_hand_keeps_whose_it_was_until_a_task_writes_it_anew() -> None:
    history = [
        step("task", owns=True, f=Made()),
        step("hand", "task", f=made("task", "f", "1", "2")),
        step("again", "hand", f=made("hand", "f", "2", "3")),
        step("late", "again", owns=True, f=made("again", "f", "3", "4")),
    ]
    cuts = {("1", "2"): [Cut(1, 1, 1)], ("2", "3"): [Cut(1, 1, 2)], ("3", "4"): [Cut(2, 1, 1)]}
    lines = [replay(history[:count], history[count - 1].commit, cuts)["f"].span(0, 4) for count in (2, 3, 4)]
    assert lines == [
        ["task", Changed("hand", "task"), "task", "task"],
        ["task", Changed("again", "task"), Changed("again", "task"), "task"],
        ["task", Changed("again", "task"), "late", "task"],
    ]


def test_a_file_that_goes_or_moves_takes_its_owners_along() -> None:
    history = [
        step("one", owns=True, a=Made(), b=Made()),
        step("two", "one", a=Gone(), c=Taken("one", "a")),
        step("three", "two", owns=True, a=Made(), b=Gone()),
    ]
    found = replay(history, "three", {})
    assert {path: list(owners.ranges(2)) for path, owners in found.items()} == {
        "a": [(1, 2, "three")],
        "c": [(1, 2, "one")],
    }
    assert names_before(history, ["a", "c"]) == {"a": {"a"}, "c": {"c", "a"}}
    assert list(Owners(["x", "x", None]).ranges(4)) == [(1, 2, "x"), (3, 4, None)]
    assert list(NOBODY.ranges(0)) == []


def test_names_are_followed_through_a_swap_and_no_further_than_where_a_file_began() -> None:
    history = [
        step("zero", owns=True, x=Made(), a=Made(), b=Made()),
        step("one", "zero", x=Gone(), y=Taken("zero", "x")),
        step("two", "one", x=Made(), a=Taken("one", "b"), b=Taken("one", "a")),
        step("three", "two", x=Gone(), z=made("two", "x", "1", "2")),
    ]
    assert names_before(history, "abyz") == {"a": {"a", "b"}, "b": {"a", "b"}, "y": {"y", "x"}, "z": {"z", "x"}}
