"""An edited plan: what is planned again, what stays, and that no lookup fails afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.model import decide as to_do
from orchestrator.model import events as happened
from orchestrator.model.decide import decide, verdict
from orchestrator.model.events import PlanEdited, event_as_json, event_from_json
from orchestrator.model.outcome import OutcomeStatus
from orchestrator.model.plan import Plan
from orchestrator.model.replan import compare
from orchestrator.model.sentences import edit_lines, sentence_for
from orchestrator.model.state import RunState, TaskStatus, fold
from orchestrator.model.together import Group, groups_of, together
from orchestrator.model.unsplit import WHOLE, unsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.model.formats import Mode


@dataclass(frozen=True)
class Text:
    """A plan without a file."""

    plan: Plan
    sources: Mapping[str, bytes] = field(default_factory=dict)
    sha256: str = "0" * 64
    groups: tuple[Group, ...] = ()

    def together(self, *, all_of_it: bool = False) -> Text:
        """Return it as a run works on it that lets several agents write into one file."""
        groups = groups_of(self.plan, all_of_it=all_of_it)
        return replace(self, plan=together(self.plan, groups), groups=groups)


def text(*tasks: dict[str, Any], sources: dict[str, bytes] | None = None, sha256: str = "0" * 64, **more: Any) -> Text:
    plan = Plan.model_validate({"version": 1, "name": "p", "tasks": tasks or (task("A"), task("B")), **more})
    return Text(plan, sources or {}, sha256)


def task(name: str, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": name, "writes": (f"{name}.txt",), "steps": steps or ({"run": "true"},), **more}


def begun(loaded: Text, stories: dict[str, str] | None = None, mode: Mode = "worktree") -> RunState:
    """Return a run of the plan that is taken up again after each task came as far as its story says."""
    ids = tuple(t.id for t in loaded.plan.tasks)
    state = fold(RunState(), happened.RunStarted(
        run="r", plan="p", tasks=ids, plan_sha256=loaded.sha256, mode=mode, base="main", commit="c", jobs=2,
        folder="/", pid=1,
    ))  # fmt: skip
    state = fold(state, happened.ContractsPublished(commit="c", files=1, seconds=0))
    for name, story in (stories or {}).items():
        for event in _STORIES[story]:
            state = fold(state, event if event.task == name else replace(event, task=name))
    return fold(state, happened.Resumed(commit="c", jobs=2, pid=2))


def _ended(generation: int) -> happened.AttemptEnded:
    status = OutcomeStatus.DONE
    return happened.AttemptEnded(
        task="", generation=generation, status=status, reason="", seconds=1, cost_usd=0.25, turns=1
    )


_ONE = (happened.Assigned(task="", generation=1), _ended(1))
_SUBMITTED = (*_ONE, happened.Submitted(task="", generation=1, commit="w", files=1))
_REFUSED = (*_ONE, happened.Refused(task="", generation=1, reason="no", feedback="no"))
_GIVEN_UP = (*_ONE, happened.Refused(task="", generation=1, reason="no", feedback="no", final=True))
_STORIES: dict[str, tuple[Any, ...]] = {
    "waiting": (),
    "refused": _REFUSED,
    "submitted": _SUBMITTED,
    "landed": (*_SUBMITTED, happened.Landed(task="", generation=1, commit="m", tree="t", seconds=1)),
    "failed": (*_GIVEN_UP, happened.TaskEnded(task="", status="failed", reason="no")),
    "blocked": (happened.TaskEnded(task="", status="blocked", reason="a need did not land"),),
    "cancelled": (*_SUBMITTED, happened.TaskEnded(task="", status="cancelled", reason="interrupted")),
}
OLD = text(
    task("A"), task("B", {"patch": "b"}),
    task("C", {"when": {"generation": 1, "do": ({"write": {"path": "C.txt", "from": "c"}},)}}),
    sources={"b": b"1", "c": b"1", "k": b"agreed"}, contracts={"files": {"k.md": {"from": "k"}, "l.md": "too"}},
    limits={"jobs": 2},
)  # fmt: skip


def edited(**changes: Any) -> Text:
    """Return OLD with these keys of the plan, or with other `sources`."""
    sources = {**OLD.sources, **changes.pop("sources", {})}
    tasks = changes.pop("tasks", None)
    plan = OLD.plan.model_dump(mode="python", by_alias=True, exclude_unset=True)
    if tasks is not None:
        plan["tasks"] = tuple(tasks)
    return Text(Plan.model_validate({**plan, **changes}), sources, "1" * 64)


A, B, C = (t.model_dump(mode="python", by_alias=True, exclude_unset=True) for t in OLD.plan.tasks)


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (edited(tasks=[A, B, C, task("D")]), {"added": ("D",)}),
        (edited(tasks=[A, C]), {"dropped": ("B",)}),
        (edited(tasks=[{**A, "prompt": "other"}, B, C]), {"changed": ("A",)}),
        (edited(tasks=[{**A, "needs": ("B",)}, B, C]), {"changed": ("A",)}),
        (edited(sources={"b": b"2"}), {"changed": ("B",)}),
        (edited(sources={"c": b"2"}), {"changed": ("C",)}),
        (edited(sources={"k": b"other"}), {"contracts": ("k.md",)}),
        (edited(contracts={"files": {"k.md": {"from": "k"}, "l.md": "2"}}), {"contracts": ("l.md",)}),
        (edited(contracts={"files": {"k.md": "agreed", "l.md": "too", "m.md": "m"}}), {"contracts": ("m.md",)}),
        (edited(contracts={"files": {"l.md": "too"}}), {"others": ("contracts",)}),
        (edited(gates=({"name": "g", "run": "true"},)), {"others": ("gates",)}),
        (edited(agents={"default": {"kind": "command", "command": "x"}}), {"others": ("agents",)}),
        (edited(limits={"jobs": 5, "wall": "1h"}), {"others": ("limits",), "jobs": 5}),
        (edited(base="main"), {"others": ("base",)}),
        (edited(tasks=[C, A, B]), {"others": ("order of tasks",)}),
        (edited(tasks=[C, task("D"), A]), {"added": ("D",), "dropped": ("B",), "others": ("order of tasks",)}),
    ],
)  # fmt: skip
def test_what_differs(new: Text, expected: dict[str, Any]) -> None:
    replan = compare(OLD, new, begun(OLD))
    nothing: dict[str, Any] = {
        "added": (), "changed": (), "dropped": (), "landed": (), "failed": (), "contracts": (), "others": (), "jobs": None,
    }  # fmt: skip
    assert replan.refused == ()
    assert replan.edit is not None
    assert replan.edit == PlanEdited(
        plan_sha256="1" * 64, folder="plan-111111111111", tasks=tuple(t.id for t in new.plan.tasks), **{**nothing, **expected}
    )  # fmt: skip
    assert event_from_json(event_as_json(replan.edit)) == replan.edit
    told = sentence_for(replan.edit)
    assert all(line in told for line in edit_lines(replan.edit))
    assert len(edit_lines(replan.edit)) == sum(bool(v) for k, v in expected.items() if k != "jobs")


@pytest.mark.parametrize(
    "new",
    [
        edited(),
        edited(contracts={"files": {"k.md": "agreed", "l.md": "too"}}),  # the same text, written elsewhere
        edited(tasks=[{**A, "attempts": 3}, B, C]),  # what is so anyhow
        edited(sources={"nobody names it": b""}),
    ],
)
def test_a_plan_that_means_the_same_is_no_edit(new: Text) -> None:
    state = begun(OLD, {"A": "failed", "B": "landed"})
    assert compare(OLD, new, state).edit is None


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (text(), text(name="other"), "it is called other, and the run is one of p"),
        (text(), text(base="dev"), "it lands on dev, and the run lands on main"),
        (text(base="main"), text(), "it lands on the branch that is checked out, and the run lands on main"),
    ],
)
def test_what_is_another_run(old: Text, new: Text, why: str) -> None:
    assert compare(old, new, begun(old)).refused == (why,)


SHARED = [task("S", {"write": {"path": "s", "from": "s"}}), task("T", needs=("S",))]
SOURCES = {"s": b"1", "f": b"1"}
CRDT: dict[str, Any] = {"crdt": {"files": {"shared": {"from": "f"}}}, "agents": {"other": {"kind": "script"}}}


@pytest.mark.parametrize(
    "new",
    [
        text(*SHARED, sources={**SOURCES, "s": b"2"}, **CRDT),
        text(*SHARED, sources={**SOURCES, "f": b"2"}, **CRDT),
        text(SHARED[0], task("T"), sources=SOURCES, **CRDT),
        text(SHARED[0], task("T", needs=("S",), agent="other"), sources=SOURCES, **CRDT),
    ],
)
def test_what_is_worked_as_one_is_compared_with_all_that_each_part_says(new: Text) -> None:
    old = text(*SHARED, sources=SOURCES, **CRDT).together(all_of_it=True)
    assert compare(old, old, begun(old)).edit is None
    edit = compare(old, new.together(all_of_it=True), begun(old)).edit
    assert edit is not None
    assert edit.changed == (WHOLE,)


HOT = [task("S", track="hot", writes=()), task("T", track="hot", writes=(), needs=("S",)), task("F")]
APART = text(*HOT, tracks={"hot": {"owns": ("s",)}})
AS_ONE = text(*HOT, tracks={"hot": {"owns": ("s",), "mode": "crdt"}}).together()


@pytest.mark.parametrize(
    ("old", "new", "mode", "landed", "why"),
    [
        (text(), text(task("A")), "sequential", WHOLE, "whole has landed as one, and takes in nothing more"),
        (text(), text(task("A")), "crdt", WHOLE, "whole has landed as one, and takes in nothing more"),
        (APART, AS_ONE, "worktree", "S", "S has landed, and would be done again as a part of hot"),
        (AS_ONE, APART, "worktree", "hot", "S has landed as a part of hot, and would be done again"),
    ],
)
def test_what_has_landed_is_not_done_again_in_another_shape(
    old: Text, new: Text, mode: Mode, landed: str, why: str
) -> None:
    if mode == "sequential":
        old, new = replace(old, plan=unsplit(old.plan)), replace(new, plan=unsplit(new.plan))
    if mode == "crdt":
        old, new = old.together(all_of_it=True), new.together(all_of_it=True)
    first = next(iter(compare(old, new, begun(old, {landed: "landed"}, mode)).refused))
    assert first.partition(";")[0] == why
    assert compare(old, new, begun(old, {}, mode)).refused == ()


@pytest.mark.parametrize(
    ("story", "kept", "status", "generation"),
    [
        ("waiting", False, TaskStatus.WAITING, 0),
        ("refused", False, TaskStatus.WAITING, 1),
        ("submitted", False, TaskStatus.WAITING, 1),
        ("landed", True, TaskStatus.LANDED, 1),
        ("failed", False, TaskStatus.WAITING, 1),
        ("blocked", False, TaskStatus.WAITING, 0),
        ("cancelled", False, TaskStatus.WAITING, 1),
    ],
)
def test_what_becomes_of_a_changed_task(story: str, kept: bool, status: TaskStatus, generation: int) -> None:  # noqa: FBT001
    state = begun(OLD, {"A": story})
    edit = compare(OLD, edited(tasks=[{**A, "prompt": "other"}, B, C]), state).edit
    assert edit is not None
    assert (edit.landed if kept else edit.changed) == ("A",)
    after = fold(state, edit).tasks["A"]
    assert (after.status, after.generation, after.cost_usd) == (status, generation, state.tasks["A"].cost_usd)
    assert kept or (after.attempts, after.hopeless, after.submitted, after.reason) == (0, False, None, "")


@pytest.mark.parametrize(
    ("story", "status"),
    [
        ("refused", TaskStatus.WAITING),
        ("submitted", TaskStatus.SUBMITTED),
        ("failed", TaskStatus.FAILED),
        ("blocked", TaskStatus.WAITING),
        ("cancelled", TaskStatus.SUBMITTED),
    ],
)
def test_what_becomes_of_a_task_that_was_not_changed(story: str, status: TaskStatus) -> None:
    state = begun(OLD, {"A": story})
    edit = compare(OLD, edited(gates=({"name": "g", "run": "true"},)), state).edit
    assert edit is not None
    assert fold(state, edit).tasks["A"] == state.tasks["A"]
    assert state.tasks["A"].status is status
    assert edit.failed == (("A",) if story == "failed" else ())


def test_contracts_are_written_again_only_if_their_text_is_new() -> None:
    state = begun(OLD)
    for new, again in ((edited(sources={"k": b"2"}), True), (edited(gates=({"name": "g", "run": "x"},)), False)):
        edit = compare(OLD, new, state).edit
        assert edit is not None
        assert (fold(state, edit).contracts is None) == again


def test_a_dropped_task_that_comes_back_is_known_again() -> None:
    state = begun(OLD, {"A": "landed", "B": "submitted"})
    without = edited(tasks=[C])
    edit = compare(OLD, without, state).edit
    assert edit is not None
    state = fold(state, edit)
    assert (list(state.tasks), set(state.dropped)) == (["C"], {"A", "B"})
    assert (state.plan_folder, state.plan_sha256) == (edit.folder, edit.plan_sha256)
    back = compare(without, OLD, state).edit
    assert back is not None
    assert (back.landed, back.added) == (("A",), ("B",))
    state = fold(state, back)
    assert (state.tasks["A"].status, state.tasks["B"].status) == (TaskStatus.LANDED, TaskStatus.WAITING)
    assert (state.tasks["B"].generation, state.dropped) == (1, {})


@st.composite
def plans(draw: Any) -> Text:
    names = draw(st.lists(st.sampled_from("ABCDEF"), min_size=1, unique=True))
    tasks = [
        task(
            name, draw(st.sampled_from([{"run": "1"}, {"run": "2"}, {"patch": "s"}])),
            needs=tuple(draw(st.lists(st.sampled_from(names[:at]), unique=True))) if at else (),
        )
        for at, name in enumerate(names)
    ]  # fmt: skip
    return text(
        *tasks, sources={"s": draw(st.sampled_from([b"1", b"2"]))}, sha256=draw(st.sampled_from("abc")) * 64,
        contracts={"files": {"k": draw(st.sampled_from(["1", "2"]))}}, limits={"jobs": draw(st.integers(1, 2))},
    )  # fmt: skip


def played_to_the_end(plan: Plan, state: RunState) -> RunState:
    """Let everything succeed, and watch that nothing that has landed is begun again."""
    for _ in range(100):
        for action in decide(plan, state, jobs=2, seconds=0):
            match action:
                case to_do.Finish():
                    return state
                case to_do.Start(name, generation):
                    assert state.tasks[name].status is TaskStatus.WAITING
                    assert generation == state.tasks[name].generation + 1
                    state = fold(state, happened.Assigned(task=name, generation=generation))
                    state = fold(state, happened.Submitted(task=name, generation=generation, commit="w", files=1))
                case to_do.Land(name):
                    generation = state.tasks[name].generation
                    state = fold(state, happened.LandingStarted(task=name, generation=generation))
                    landed = happened.Landed(task=name, generation=generation, commit="m", tree="t", seconds=1)
                    state = fold(state, landed)
                case to_do.End(name, status, reason):
                    state = fold(state, happened.TaskEnded(task=name, status=status, reason=reason))
    raise AssertionError("the run does not end")


@settings(max_examples=100, deadline=None)
@given(data=st.data(), versions=st.lists(plans(), min_size=2, max_size=4))
def test_however_a_plan_is_edited_every_promise_holds(data: st.DataObject, versions: list[Text]) -> None:
    old = versions[0]
    stories = {t.id: data.draw(st.sampled_from(sorted(_STORIES))) for t in old.plan.tasks}
    state = begun(old, stories)
    for new in versions[1:]:
        before, edit = state, compare(old, new, state).edit
        if edit is None:
            continue
        state = fold(state, edit)
        lists = [*edit.added, *edit.changed, *edit.dropped, *edit.landed, *edit.failed]
        assert len(lists) == len(set(lists))
        assert tuple(state.tasks) == tuple(t.id for t in new.plan.tasks)
        assert set(state.all_tasks) == set(before.all_tasks) | set(edit.added)
        assert state.cost_usd == before.cost_usd
        for name, was in before.all_tasks.items():
            now = state.all_tasks[name]
            assert now.generation == was.generation  # and the next one is greater
            if was.status is TaskStatus.LANDED or name not in {*edit.added, *edit.changed}:
                assert now == was
            else:
                assert (now.status, now.attempts, now.submitted) == (TaskStatus.WAITING, 0, None)
        old = new
    end = played_to_the_end(old.plan, state)
    assert all(t.status.final for t in end.tasks.values())
    assert (verdict(end) == "landed") == all(t.status is TaskStatus.LANDED for t in end.tasks.values())
    never = {name for name, t in state.tasks.items() if t.status is TaskStatus.FAILED}
    assert never or verdict(end) == "landed"
