from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.model import graph
from orchestrator.model.globs import Scope
from orchestrator.model.plan import Plan
from orchestrator.model.plan_problem import Gaps, Where, folded, hint
from orchestrator.model.plan_rules import problems_of, warnings_of
from tests.support.cost import at_most_calls


def task(task_id: str, *writes: str, **rest: Any) -> dict[str, Any]:
    scope = {} if "track" in rest and not writes else {"writes": writes}
    return {"id": task_id, "steps": (), **scope, **rest}


def plan(*tasks: dict[str, Any], **rest: Any) -> Plan:
    return Plan.model_validate({"version": 1, "name": "p", "tasks": tasks or (task("A"),), **rest})


def found(loaded: Plan, gaps: Gaps | None = None) -> list[tuple[Where, str]]:
    return [(problem.where, problem.message) for problem in problems_of(loaded, gaps=gaps or Gaps())]


AUTH = {"auth": {"owns": ("src/auth/**",)}}
CLAUDE = {"claude": {"kind": "command", "preset": "claude"}}
PROMISE = {"interface": "c.i:I", "by": "s.a:A"}


@pytest.mark.parametrize(
    "fine",
    [
        plan(task("A", track="auth"), task("B", "src/b/**"), tracks=AUTH),
        plan(task("A", "src/**"), task("B", "src/b", needs=("A",))),
        plan(task("A", "src/**"), task("B", needs=("A",)), task("C", "src/b", needs=("B",))),  # ordered through B
        plan(task("A", "src/auth/x/*", track="auth"), task("B", "src/auth/y", "!src/auth/x/**", track="auth"), tracks=AUTH),
        plan(task("A", "a/**", "c"), task("B", "b/**", "c"), contracts={"files": {"c": ""}}),  # meet in a contract only
        plan(task("A", "a/**"), task("B", "a/x/**", "b"), shared=("a/x/",)),  # meet in shared paths only
        plan(task("A"), agents={"default": {"kind": "script"}}),
        plan({"id": "A", "writes": (), "agent": "claude"}, agents=CLAUDE),
        plan(task("A", todos=({"id": "t"},), steps=({"claim": "t"}, {"when": {"generation": 3, "do": ({"done": "t"},)}}))),
        plan(contracts={"files": {"a/b": "", "a/c": "", "ab": ""}, "implementations": ({**PROMISE, "task": "A"},)}),
        plan(gates=({"name": "a", "run": "x"}, {"name": "b", "run": "x"})),
        plan(task("A", needs=("B", "B")), task("B")),
    ],
)  # fmt: skip
def test_a_plan_that_fits(fine: Plan) -> None:
    assert found(fine) == []


@pytest.mark.parametrize(
    ("wrong", "where", "fragments"),
    [
        (plan(task("A"), task("A")), ("tasks", 1, "id"), ["'A' is taken"]),
        (plan(task("A-x"), task("a-X")), ("tasks", 1, "id"), ["'a-X' and 'A-x' differ only in letter case"]),
        (plan(task("A"), task("B", needs=("Ab",))), ("tasks", 1, "needs", 0), ["no task has the id 'Ab'", "did you mean 'A'?"]),
        (plan(task("A"), task("B", needs=("zzz",))), ("tasks", 1, "needs", 0), ["known: 'A'"]),
        (plan(task("A", needs=("A",))), ("tasks", 0, "needs", 0), ["'A' needs itself"]),
        (plan(task("A", needs=("B",)), task("B", needs=("A",))), ("tasks", 0, "needs", 0), ["A → B → A"]),
        (plan(task("A", needs=("x", "C")), task("B", needs=("A",)), task("C", needs=("B",)), task("x")),
         ("tasks", 0, "needs", 1), ["A → C → B → A"]),
        (plan(task("A", track="auht"), tracks=AUTH), ("tasks", 0, "track"), ["'auht'", "did you mean 'auth'?"]),
        (plan(task("A", track="auth")), ("tasks", 0, "track"), ["there is no track"]),
        (plan(task("A", agent="claud"), agents=CLAUDE), ("tasks", 0, "agent"), ["'claud'", "did you mean 'claude'?"]),
        (plan(task("A", agent="Default")), ("tasks", 0, "agent"), ["did you mean 'default'?"]),
        (plan({"id": "A", "steps": ()}), ("tasks", 0), ["neither 'track' nor 'writes'", "`writes: []`"]),
        (plan(task("A", "src/auth/x", "src/**", track="auth"), tracks=AUTH), ("tasks", 0, "writes", 1),
         ["'src/**' takes in 'src/", "'auth' does not own"]),
        (plan(tracks={**AUTH, "all": {"owns": ("!x", "src/**")}}), ("tracks", "all", "owns"),
         ["'auth' and 'all' can both own 'src/auth/"]),
        (plan(task("A", "src/**"), task("B", "src/b.py")), ("tasks", 1, "writes"),
         ["'A' and 'B' can both write 'src/b.py'", "add 'A' to the needs of 'B'"]),
        (plan(task("A", track="auth"), task("B", track="auth"), tracks=AUTH), ("tasks", 1, "track"), ["both write 'src/auth/"]),
        (plan(task("A", "c.py", "lib/x"), contracts={"files": {"c.py": ""}}, shared=("lib/**",)), ("tasks", 0, "writes"),
         ["may write nothing", "`writes: []`"]),
        (plan(task("A", "x", "!x")), ("tasks", 0, "writes"), ["may write nothing"]),
        (plan(task("A", todos=({"id": "t"}, {"id": "t"}))), ("tasks", 0, "todos", 1, "id"), ["'t' is taken"]),
        (plan(task("A", steps=({"claim": "t"},))), ("tasks", 0, "steps", 0, "claim"), ["no todo 't'", "there is no todo"]),
        (plan(task("A", todos=({"id": "hash"},), steps=({"when": {"generation": 1, "do": ({"done": "hahs"},)}},))),
         ("tasks", 0, "steps", 0, "when", "do", 0, "done"), ["did you mean 'hash'?"]),
        (plan(task("A", agent="claude", steps=({"run": "x"},)), agents=CLAUDE), ("tasks", 0, "steps"), ["kind 'command'"]),
        (plan({"id": "A", "writes": ()}), ("tasks", 0), ["no 'steps'", "`steps: []`"]),
        (plan(contracts={"implementations": ({**PROMISE, "task": "B"},)}), ("contracts", "implementations", 0, "task"),
         ["no task has the id 'B'"]),
        (plan(contracts={"files": {"a/b": "", "a": ""}}), ("contracts", "files", "a/b"), ["'a' cannot be both a file"]),
        (plan(contracts={"files": {"A": "", "a/b/c": ""}}), ("contracts", "files", "a/b/c"), ["'A' cannot be both"]),
        (plan(contracts={"files": {"a/X": "", "a/x": ""}}), ("contracts", "files", "a/x"), ["differ only in letter case"]),
        (plan(contracts={"files": {"\xe9": "", "e\u0301": ""}}), ("contracts", "files", "e\u0301"), ["or Unicode form"]),
        (plan(gates=({"name": "a", "run": "x"}, {"name": "a", "run": "y"})), ("gates", 1, "name"), ["'a' is taken"]),
        (plan(task("A", attempts=1, steps=({"when": {"generation": 2, "do": ()}},))),
         ("tasks", 0, "steps", 0, "when", "generation"), ["generation 2 never runs", "1 attempt;"]),
    ],
)  # fmt: skip
def test_one_mistake_is_one_problem_at_its_place(wrong: Plan, where: Where, fragments: list[str]) -> None:
    [(place, message)] = found(wrong)
    assert place == where
    assert all(fragment in message for fragment in fragments), message


def test_problems_that_speak_of_two_places_know_the_other() -> None:
    wrong = plan(task("A", "x"), task("A", "x"), task("B", "x"))
    assert [(p.where, p.other) for p in problems_of(wrong)] == [
        (("tasks", 1, "id"), ("tasks", 0, "id")),
        (("tasks", 2, "writes"), ("tasks", 0, "writes")),
    ]


def test_each_tangle_is_one_problem_and_the_rest_is_still_judged() -> None:
    wrong = plan(
        task("A", "x", needs=("B",)), task("B", "x", needs=("A",)),  # an unknown order is no overlap
        task("C", needs=("D",)), task("D", needs=("C",)),
        task("E", "y", needs=("A",)), task("F", "y", needs=("A",)),  # whatever A needs, E and F do not need each other
    )  # fmt: skip
    assert [message.partition(";")[0] for _, message in found(wrong)] == [
        "these tasks wait for each other: A → B → A",
        "these tasks wait for each other: C → D → C",
        "the tasks 'E' and 'F' can both write 'y', and neither needs the other",
    ]


def test_tracks_that_overlap_are_not_reported_again_for_their_tasks() -> None:
    wrong = plan(
        task("A", track="a"), task("B", track="b"), task("C", "src/c"),
        tracks={"a": {"owns": ("src/**",)}, "b": {"owns": ("src/b/**",)}},
    )  # fmt: skip
    assert [where for where, _ in found(wrong)] == [("tracks", "b", "owns"), ("tasks", 2, "writes")]


def test_what_shared_excludes_gives_back_can_be_written_and_can_overlap() -> None:
    shared = ("lib/**", "!lib/own/**")
    assert found(plan(task("A", "lib/own/x"), task("B", "lib/own/y", "lib/z"), shared=shared)) == []
    [(where, message)] = found(plan(task("A", "lib/**"), task("B", "lib/o*/x", "b"), shared=shared))
    assert where == ("tasks", 1, "writes")
    assert "both write 'lib/own/x'" in message
    contract = {"files": {"lib/own/x": ""}}
    assert found(plan(task("A", "lib/**"), task("B", "lib/o*/x", "b"), shared=shared, contracts=contract)) == []


@pytest.mark.parametrize(
    ("gaps", "wrong"),
    [
        (Gaps(tasks=frozenset({"Z"})), plan(task("A", needs=("Z",)))),
        (Gaps(tasks=frozenset({"Z"})), plan(contracts={"implementations": ({**PROMISE, "task": "Z"},)})),
        (Gaps(tasks=frozenset({"Z"})), plan(task("A", "x"), task("B", "x", needs=("Z",)))),  # perhaps Z needs A
        (Gaps(tracks=frozenset({"t"})), plan(task("A", track="t"))),
        (Gaps(agents=frozenset({"c"})), plan(task("A", agent="c", steps=({"run": "x"},)))),
        (Gaps(agents=frozenset({"default"})), plan({"id": "A", "writes": ()})),
        (Gaps(fields=frozenset({("A", "writes")})), plan({"id": "A", "steps": ()})),
        (Gaps(fields=frozenset({("A", "writes")})), plan(task("A", track="auth"), task("B", track="auth"), tracks=AUTH)),
        (Gaps(fields=frozenset({("B", "needs")})), plan(task("A", "x"), task("B", "x"))),
        (Gaps(fields=frozenset({("A", "todos")})), plan(task("A", steps=({"claim": "t"},)))),
        (Gaps(fields=frozenset({("A", "steps")})), plan({"id": "A", "writes": ()})),
        (Gaps(fields=frozenset({("A", "agent")})), plan({"id": "A", "writes": ()})),
        (Gaps(fields=frozenset({("A", "attempts")})), plan(task("A", steps=({"when": {"generation": 9, "do": ()}},)))),
        (Gaps(protected=True), plan(task("A", "x"), task("B", "x"), tracks={**AUTH, "b": AUTH["auth"]})),
    ],
)  # fmt: skip
def test_nothing_is_concluded_from_what_could_not_be_read(gaps: Gaps, wrong: Plan) -> None:
    assert found(wrong) != []
    assert found(wrong, gaps) == []


PATHS = [f"{folder}{name}" for folder in ("", "a/", "b/", "a/b/") for name in "abc"]
GLOBS = ["**", "a/**", "b/**", "*", "a/*", "**/a", "a/b/*", "?/b", "{a,b}/c", *PATHS]
some_globs = st.lists(st.sampled_from([*GLOBS, *(f"!{glob}" for glob in GLOBS)]), max_size=3).map(tuple)


@st.composite
def scoped_plans(draw: st.DrawFn) -> Plan:
    names = [f"T{at}" for at in range(draw(st.integers(1, 5)))]
    tasks = [
        task(
            name, *draw(some_globs), needs=tuple(draw(st.lists(st.sampled_from(names[:at]), max_size=2))) if at else ()
        )
        for at, name in enumerate(names)
    ]
    files = dict.fromkeys(draw(st.lists(st.sampled_from(["a/a", "b/b", "a/b/c"]), unique=True)), "")
    return plan(*draw(st.permutations(tasks)), shared=draw(some_globs), contracts={"files": files})


@given(scoped_plans())
@settings(max_examples=150, deadline=None)
def test_overlaps_are_exactly_what_two_unordered_tasks_can_both_write(loaded: Plan) -> None:
    shared = Scope(loaded.shared)
    reach = graph.Reach({t.id: t.needs for t in loaded.tasks})

    def can_write(owned: tuple[str, ...], path: str) -> bool:
        return Scope(owned).matches(path) and not shared.matches(path) and path not in loaded.contracts.files

    reported = {}
    for problem in problems_of(loaded):
        if "both write" in problem.message:
            assert problem.other is not None
            one, other = (loaded.tasks[int(where[1])] for where in (problem.other, problem.where))
            path = problem.message.split("both write '")[1].split("'")[0]
            assert can_write(loaded.owned(one), path)
            assert can_write(loaded.owned(other), path)
            reported[one.id, other.id] = path
    for one, other in combinations(loaded.tasks, 2):
        ordered = reach.ordered(one.id, other.id)
        meet = any(can_write(loaded.owned(one), path) and can_write(loaded.owned(other), path) for path in PATHS)
        if ordered:
            assert (one.id, other.id) not in reported
        elif meet:
            assert (one.id, other.id) in reported
    for where, message in found(loaded):
        if "may write nothing" in message:
            assert not any(can_write(loaded.tasks[int(where[1])].writes or (), path) for path in PATHS)


def test_warnings_name_spellings_that_some_file_systems_do_not_tell_apart() -> None:
    loaded = plan(
        task("A", "src/App/main.py", "src/App/MAIN.py"),  # within one scope it is the author's business
        task("B", "src/app/**", needs=("A",)),
        task("C", "src/app/x", "docs/\xe9.md", needs=("B",)),
        task("D", "docs/e\u0301.md", "Docs/*", needs=("C",)),
        contracts={"files": {"Src": ""}},
    )
    warnings = [
        (problem.where, problem.other, problem.message.split(" elsewhere")[0]) for problem in warnings_of(loaded)
    ]
    assert warnings == [
        (("tasks", 0, "writes", 0), ("contracts", "files", "Src"), "'src' here and 'Src'"),
        (("tasks", 1, "writes", 0), ("tasks", 0, "writes", 0), "'src/app' here and 'src/App'"),
        (("tasks", 3, "writes", 0), ("tasks", 2, "writes", 1), "'docs/e\u0301.md' here and 'docs/\xe9.md'"),
        (("tasks", 3, "writes", 1), ("tasks", 2, "writes", 1), "'Docs' here and 'docs'"),
    ]
    assert warnings_of(plan(task("A", "a/b"), task("B", "a/c", "a/**/D"))) == ()


@pytest.mark.parametrize(("one", "other"), [("a", "A"), ("\xdf", "SS"), ("\xe9", "E\u0301"), ("\ufb01", "FI")])
def test_folding(one: str, other: str) -> None:
    assert folded(one) == folded(other)


def test_hints_stay_short() -> None:
    assert hint("zzz", [f"A-{n}" for n in range(500)], "task").endswith("and 490 more")


@pytest.mark.parametrize("needs_previous", [True, False])
def test_the_cost_of_judging_five_hundred_tasks_is_bounded(needs_previous: bool) -> None:  # noqa: FBT001 - a table's column
    many = [
        task(f"T{n}", f"src/{n}.py", "src/common.py", needs=(f"T{n - 1}",) if needs_previous and n else ())
        for n in range(500)
    ]
    loaded = plan(*many)
    with at_most_calls(1_000_000):
        problems = problems_of(loaded)
    assert len(problems) == (0 if needs_previous else 101)  # the last one says that there are more
