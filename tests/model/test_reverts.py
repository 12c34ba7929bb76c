"""No silent revert: every line that others have landed is still there, unless the task itself removed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.reverts import Side, reverted

if TYPE_CHECKING:
    from orchestrator.model.finding import Violation

Files = dict[str, str]
"""Path → text; a text stands for its own blob."""


def sides(before: Files, after: Files) -> dict[str, Side]:
    return {
        path: Side(_mode(before, path), before.get(path, ""), _mode(after, path), after.get(path, ""))
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    }


def _mode(files: Files, path: str) -> str:
    return "000000" if path not in files else "100755" if files[path].startswith("#!") else "100644"


def judge(start: Files, work: Files, tip: Files, merged: Files) -> tuple[Violation, ...]:
    return reverted(sides(start, work), sides(tip, merged), str.encode)


START = {"p": "one\ntwo\n", "q": "x\n"}


@pytest.mark.parametrize(
    ("work", "tip", "merged"),
    [
        ({"p": "one\n2\n", "q": "x\n"}, START, {"p": "one\n2\n", "q": "x\n"}),  # nobody else was there
        ({"p": "one\n2\n", "q": "x\n"}, {"p": "zero\none\ntwo\n", "q": "x\n"}, {"p": "zero\none\n2\n", "q": "x\n"}),
        ({"q": "x\n"}, {"p": "one\ntwo\n", "q": "y\n"}, {"q": "y\n"}),  # the task deleted p
        # The task renamed p while others added to it: what they added is in the new place.
        ({"r": "one\ntwo\n", "q": "x\n"}, {"p": "one\ntwo\n3\n", "q": "x\n"}, {"r": "one\ntwo\n3\n", "q": "x\n"}),
        # Others renamed p while the task changed it.
        ({"p": "one\n2\n", "q": "x\n"}, {"r": "one\ntwo\n", "q": "x\n"}, {"r": "one\n2\n", "q": "x\n"}),
        ({"p": "two\none\n", "q": "x\n"}, {"p": "one\ntwo\n", "q": "y\n"}, {"p": "two\none\n", "q": "y\n"}),  # swapped
    ],
)
def test_what_the_task_did_may_land(work: Files, tip: Files, merged: Files) -> None:
    assert judge(START, work, tip, merged) == ()


@pytest.mark.parametrize(
    ("work", "tip", "merged", "path", "said"),
    [
        ({"p": "one\n2\n", "q": "x\n"}, {"p": "one\ntwo\n3\n", "q": "x\n"}, {"p": "one\n2\n", "q": "x\n"}, "p", "'3'"),
        ({"p": "one\n2\n", "q": "x\n"}, {**START, "r": "r\n"}, {"p": "one\n2\n", "q": "x\n"}, "r", "delete it"),
        (START, {"p": "one\ntwo\n", "q": "z\n"}, START, "q", "'z'"),
        (
            {"p": "one\n", "q": "x\n"},
            {**START, "s": "#!a\n"},
            {"p": "one\n", "q": "x\n", "s": "a\n"},
            "s",
            "mode 100644",
        ),
    ],
)
def test_what_others_landed_stays(work: Files, tip: Files, merged: Files, path: str, said: str) -> None:
    found = judge(START, work, tip, merged)
    assert {(v.kind, v.path) for v in found} == {("silent-revert", path)}
    assert said in found[0].message


texts = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "}\n"]), max_size=6).map("".join)
trees = st.dictionaries(st.sampled_from("pqr"), texts, max_size=3)


@given(start=trees, work=trees)
def test_work_that_lands_where_it_started_undoes_nothing(start: Files, work: Files) -> None:
    assert judge(start, work, start, work) == ()


@given(start=trees, work=trees, line=st.sampled_from(["mine\n", "b\n"]))
def test_a_line_landed_in_a_file_of_its_own_may_never_go(start: Files, work: Files, line: str) -> None:
    tip, merged = {**start, "new": line}, {**work, "new": line}
    assert judge(start, work, tip, merged) == ()
    assert any(v.path == "new" for v in judge(start, work, tip, work))
