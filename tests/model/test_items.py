"""What runs leave, by name; and which refs may go so that every content stays with one that stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model import events as happened
from orchestrator.model.items import (
    Generation,
    Item,
    Kind,
    Story,
    generation_of_folder,
    generation_of_ref,
    held_by_one,
    kind_of,
    redundant,
    stories,
    unfinished,
    why_kept,
    why_not_landed,
)
from orchestrator.model.outcome import OutcomeStatus
from orchestrator.model.state import RunState, TaskState, TaskStatus

if TYPE_CHECKING:
    from random import Random

CONTENTS = st.dictionaries(st.sampled_from("abcdefgh"), st.frozensets(st.integers(0, 9).map(str)), min_size=1)


@given(CONTENTS, st.randoms(use_true_random=False), st.frozensets(st.sampled_from("abcdefgh")))
def test_every_content_stays_with_a_ref_that_stays(
    contents: dict[str, frozenset[str]], random: Random, fixed: frozenset[str]
) -> None:
    order = [ref for ref in contents if ref not in fixed]
    random.shuffle(order)
    gone = redundant(order, contents)
    stay = [ref for ref in contents if ref not in gone]
    everything = frozenset().union(*contents.values())
    assert frozenset().union(*(contents[ref] for ref in stay)) == everything
    assert redundant([ref for ref in stay if ref in order], {ref: contents[ref] for ref in stay}) == []
    only = held_by_one(stay, contents)
    assert all(only[ref] > 0 for ref in stay if ref in order)


def test_two_refs_do_not_vouch_for_each_other() -> None:
    assert redundant(["a", "b"], {"a": {"x"}, "b": {"x"}}) == ["a"]
    assert redundant(["a", "b"], {"a": {"x"}, "b": {"x"}, "stays": {"x", "y"}}) == ["a", "b"]
    assert redundant(["a"], {"a": set()}) == ["a"]


@pytest.mark.parametrize(
    ("ref", "found"),
    [
        ("refs/heads/orch/r/A.1/gen-2", (Generation("r", "A.1", 2), "")),
        ("refs/orch/2026-01-01-x-7f3a/A/gen-10/snapshot", (Generation("2026-01-01-x-7f3a", "A", 10), "snapshot")),
        ("refs/orch/r/A/gen-1/agent-commits", (Generation("r", "A", 1), "agent-commits")),
        ("refs/orch/r/candidate", None),
        ("refs/orch/r/A/gen-1", None),
        ("refs/heads/orch/r/A/gen-1/snapshot", None),
        ("refs/heads/orch/r/A/gen-0", None),
        ("refs/heads/orch/mine", None),
        ("refs/heads/orch/r/A/gen-1x", None),
        ("refs/tags/orch/r/A/gen-1", None),
    ],
)
def test_only_names_that_runs_make_are_theirs(ref: str, found: tuple[Generation, str] | None) -> None:
    assert generation_of_ref(ref) == found


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("A.gen-1", (Generation("r", "A", 1), "folder")),
        ("A.gen-1.gen-2", (Generation("r", "A.gen-1", 2), "folder")),
        (".A.gen-3.trash", (Generation("r", "A", 3), "trash")),
        ("gate", None),
        (".A.gen-3", None),
        ("A.gen-x", None),
    ],
)
def test_only_worktrees_of_attempts_are_items(name: str, found: tuple[Generation, str] | None) -> None:
    assert generation_of_folder("r", name) == found


def refused(number: int = 1, *, stopped: bool = False) -> happened.Refused:
    return happened.Refused(task="A", generation=number, reason="no \x1b[31mgood\n", feedback="", stopped=stopped)


def started(number: int = 1) -> happened.AttemptStarted:
    return happened.AttemptStarted(
        task="A", generation=number, commit="c", branch="b", worktree=f"/w/A.gen-{number}", agent="a", model="m",
        session="s", transcript="t",
    )  # fmt: skip


def ended(status: OutcomeStatus, number: int = 1) -> happened.AttemptEnded:
    return happened.AttemptEnded(
        task="A", generation=number, status=status, reason="", seconds=0, cost_usd=0, turns=0
    )  # fmt: skip


SUBMITTED = happened.Submitted(task="A", generation=1, commit="c", files=1)
LANDED = happened.Landed(task="A", generation=1, commit="c", tree="t", seconds=0)
CANCELLED = happened.TaskEnded(task="A", status="cancelled", reason="interrupted")


@pytest.mark.parametrize(
    ("events", "kind", "why"),
    [
        ([started(), ended(OutcomeStatus.DONE), refused()], Kind.REFUSED, "no good"),
        ([started(), ended(OutcomeStatus.FAILED), refused()], Kind.FAILED, "no good"),
        ([started(), ended(OutcomeStatus.STALLED), refused()], Kind.FAILED, "no good"),
        ([started(), refused(stopped=True)], Kind.STOPPED, "no good"),
        ([started(), ended(OutcomeStatus.DONE), SUBMITTED], Kind.SUBMITTED, "it waits to land"),
        ([started(), ended(OutcomeStatus.DONE), SUBMITTED, CANCELLED], Kind.SUBMITTED, "interrupted"),
        ([started(), ended(OutcomeStatus.DONE), SUBMITTED, refused()], Kind.REFUSED, "no good"),
        ([started(), ended(OutcomeStatus.DONE), SUBMITTED, LANDED], Kind.LANDED, "it has landed"),
        ([started()], Kind.ATTEMPT, "its attempt has not ended"),
    ],
)
def test_a_journal_tells_what_became_of_a_generation(events: list[happened.Event], kind: Kind, why: str) -> None:
    story = stories("r", events)[Generation("r", "A", 1)]
    assert (kind_of(story), why_not_landed(story), story.start) == (kind, why, "c")


def test_what_was_said_of_a_worktree_is_why_it_was_kept() -> None:
    noticed = happened.Noticed(text="The folder /w/A.gen-1 is kept: it is \x1b[1mfull.")
    told = stories("r", [started(1), started(10), noticed])
    assert why_kept(told[Generation("r", "A", 1)]) == "it is full."
    assert why_kept(told[Generation("r", "A", 10)]) == "its attempt has not ended"
    assert why_kept(Story(worktree="/w", remark="so /w stays")) == "so /w stays"
    assert why_kept(None) == why_not_landed(None) == "the run's journal does not tell"


def test_only_runs_that_could_land_more_are_unfinished() -> None:
    run = happened.RunStarted(
        run="r",
        plan="p",
        tasks=("A",),
        plan_sha256="",
        mode="worktree",
        base="main",
        commit="c",
        jobs=1,
        folder="",
        pid=1,
    )
    over = happened.RunEnded(status="failed", commit="c", seconds=0)

    def state(*statuses: TaskStatus, end: happened.RunEnded | None = over) -> RunState:
        tasks = {str(number): TaskState(status=status) for number, status in enumerate(statuses)}
        return RunState(started=run, tasks=tasks, ended=end)

    assert unfinished(RunState()) == ""
    assert unfinished(state(TaskStatus.LANDED, end=None)) == "it has not ended"
    assert unfinished(state(TaskStatus.LANDED, TaskStatus.FAILED, TaskStatus.BLOCKED)) == ""
    assert unfinished(state(TaskStatus.LANDED, TaskStatus.CANCELLED)) == "1 was cancelled and can still land"


def test_the_command_of_an_item_can_be_typed() -> None:
    item = Item(
        generation=Generation("r", "A", 1), name="A/gen-1/snapshot~2", kind=Kind.SNAPSHOT, why="", when=0, ref="x"
    )
    assert item.command == "orch recover r --item A/gen-1/snapshot~2 --branch recovered/r/A-gen-1-snapshot-2"
    aside = Item(generation=None, name="set-aside/x", kind=Kind.ASIDE, why="", when=0, folder="/f")
    assert aside.command == "orch recover --item set-aside/x --to recovered/set-aside-x"
