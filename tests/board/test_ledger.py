"""What the orchestrator says to the board; no connections here."""

from __future__ import annotations

import pytest

from orchestrator.board.log import MemoryLog
from orchestrator.errors import BoardError, ClaimRefused
from orchestrator.model.claims import GrantState
from tests.board.stories import Asker, board, card, kinds, standing, with_task


def test_nothing_can_be_claimed_before_it_is_opened() -> None:
    ledger = board()
    ledger.publish_tasks([card("T", "todo")])
    asker = Asker(ledger, "a")
    for key in ("T", "T/todo", "T/other", "U"):
        asker.claim(key)
    assert kinds(ledger) == ["published", *["refused"] * 4]
    assert standing(ledger, "T") == (None, 0, None)
    ledger.open("T")
    asker.claim("T")
    assert standing(ledger, "T") == (GrantState.HELD, 1, "a")


def test_a_thousand_tasks_are_one_transaction() -> None:
    log = MemoryLog()
    ledger = board(log)
    ledger.publish_tasks([card(f"T{n}", "a", "b") for n in range(1000)])
    assert len(list(log.replay())) == 1
    assert len(ledger.snapshot().tasks) == 1000


def test_cards_are_written_when_they_change() -> None:
    log = MemoryLog()
    ledger = board(log)
    ledger.publish_tasks([card("T"), card("U")])
    ledger.publish_tasks([card("T"), card("U")])
    assert len(list(log.replay())) == 1
    ledger.publish_tasks([card("T", title="New words"), card("U")])
    assert ledger.snapshot().task("T").title == "New words"


@pytest.mark.parametrize("bad", [card("a/b"), card(""), card("T", "x y"), card("T", "a/b"), card("\x1b[31m")])
def test_an_id_that_could_not_be_claimed_is_not_published(bad: object) -> None:
    ledger = board()
    with pytest.raises(BoardError, match="cannot be the id"):
        ledger.publish_tasks([card("fine"), bad])  # type: ignore[list-item]
    assert ledger.snapshot().tasks == ()


def test_taking_a_task_back_makes_its_holder_stale() -> None:
    ledger = with_task()
    first, second = Asker(ledger, "a"), Asker(ledger, "b")
    first.claim("T")
    ledger.open("T", note="it stalled")
    assert standing(ledger, "T") == (GrantState.OPEN, 1, None)
    second.claim("T")
    assert standing(ledger, "T") == (GrantState.HELD, 2, "b")
    with pytest.raises(ClaimRefused, match="generation 1 of a does not count; b holds it since generation 2"):
        ledger.accept_submission("T", 1, "a", "stale")
    first.hand_in("T", 1, "stale")
    first.hand_in("T", 2, "stale")
    assert standing(ledger, "T") == (GrantState.HELD, 2, "b")
    ledger.accept_submission("T", 2, "b", "fresh")
    assert ledger.snapshot().task("T").commit == "fresh"


def test_work_is_taken_once_and_the_same_may_be_said_again() -> None:
    ledger = with_task()
    Asker(ledger, "a").claim("T")
    ledger.accept_submission("T", 1, "a", "c1")
    before = kinds(ledger)
    ledger.accept_submission("T", 1, "a", "c1")
    assert kinds(ledger) == before
    with pytest.raises(ClaimRefused, match="it is submitted"):
        ledger.accept_submission("T", 1, "a", "c2")
    with pytest.raises(BoardError, match="no such task"):
        ledger.accept_submission("U", 1, "a", "c1")


def test_landing_is_fenced_by_the_generation() -> None:
    ledger = with_task()
    Asker(ledger, "a").claim("T")
    ledger.accept_submission("T", 1, "a", "c1")
    ledger.fence("T", 1)
    ledger.open("T", note="the gate failed")
    with pytest.raises(ClaimRefused, match="generation 1 does not count any more"):
        ledger.fence("T", 1)
    with pytest.raises(ClaimRefused, match="generation 1 does not count any more"):
        ledger.release("T", GrantState.DONE, gen=1, commit="landed")
    Asker(ledger, "b").claim("T")
    ledger.accept_submission("T", 2, "b", "c2")
    with pytest.raises(ClaimRefused):
        ledger.release("T", GrantState.DONE, gen=1, commit="landed")
    ledger.release("T", GrantState.DONE, gen=2, commit="landed")
    ledger.release("T", GrantState.DONE, gen=2, commit="landed")
    task = ledger.snapshot().task("T")
    assert (task.state, task.commit, task.holder) == (GrantState.DONE, "landed", "b")
    assert kinds(ledger).count("done") == 1


def test_done_is_final_for_a_task() -> None:
    ledger = with_task()
    ledger.release("T", GrantState.DONE)
    for again in (GrantState.OPEN, GrantState.FAILED):
        with pytest.raises(BoardError, match="final"):
            ledger.release("T", again)
    with pytest.raises(BoardError, match="final"):
        ledger.open("T")


@pytest.mark.parametrize("state", [GrantState.HELD, GrantState.SUBMITTED])
def test_live_states_are_not_given_by_a_release(state: GrantState) -> None:
    with pytest.raises(BoardError, match="cannot be released"):
        with_task().release("T", state)


def test_failed_work_can_be_tried_again() -> None:
    ledger = with_task()
    Asker(ledger, "a").claim("T")
    ledger.release("T", GrantState.FAILED, note="tests fail")
    assert ledger.snapshot().task("T").words == "tests fail"
    ledger.open("T")
    Asker(ledger, "b").claim("T")
    assert standing(ledger, "T") == (GrantState.HELD, 2, "b")


def test_todos_follow_their_task() -> None:
    ledger = with_task("x", "y", "z")
    asker = Asker(ledger, "a")
    for key in ("T", "T/x", "T/y"):
        asker.claim(key)
    asker.hand_in("T/x", 1)
    assert standing(ledger, "T/x") == (GrantState.DONE, 1, "a")
    ledger.release("T", GrantState.FAILED)
    states = [todo.state for todo in ledger.snapshot().task("T").todos]
    assert states == [GrantState.DONE, GrantState.CANCELLED, GrantState.CANCELLED]
    ledger.open("T")
    assert {todo.state for todo in ledger.snapshot().task("T").todos} == {GrantState.OPEN}
    asker.hand_in("T/y", 1)
    assert standing(ledger, "T/y")[0] is GrantState.OPEN
    asker.claim("T/x")
    assert standing(ledger, "T/x") == (GrantState.HELD, 2, "a")


def test_a_todo_is_ticked_off_without_a_commit_and_a_task_is_handed_in_with_one() -> None:
    ledger = with_task("x")
    asker = Asker(ledger, "a")
    asker.claim("T")
    asker.claim("T/x")
    asker.hand_in("T", 1)
    asker.hand_in("T/x", 1, "c1")
    assert kinds(ledger)[-2:] == ["refused", "refused"]
    with pytest.raises(ClaimRefused, match="without a commit"):
        ledger.accept_submission("T/x", 1, "a", "c1")
    asker.hand_in("T/x", 1)
    asker.hand_in("T/x", 1)
    assert kinds(ledger)[-1] == "done"
    assert standing(ledger, "T/x") == (GrantState.DONE, 1, "a")


def test_opening_what_is_open_changes_nothing() -> None:
    ledger = with_task()
    before = ledger.snapshot()
    ledger.open("T")
    ledger.release("T", GrantState.OPEN)
    assert ledger.snapshot() == before
