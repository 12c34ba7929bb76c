"""Questions on the board: numbered, answered once, kept over a restart, and bounded."""

from __future__ import annotations

import pytest

from orchestrator.board.ledger import Ledger
from orchestrator.board.log import MemoryLog
from orchestrator.board.news import news_for
from orchestrator.errors import ClaimRefused


def ledger(log: MemoryLog | None = None) -> Ledger:
    return Ledger(log or MemoryLog(), lambda: 0.0)


def test_the_first_answer_counts_and_is_still_there_after_a_restart() -> None:
    log = MemoryLog()
    board = ledger(log)
    asked = board.questions.ask("a.gen-1", "Which?")
    assert (asked.id, asked.to) == ("q1", "person")
    board.questions.answer("q1", "this")
    with pytest.raises(ClaimRefused, match="q1 was answered by person: this"):
        board.questions.answer("q1", "that")
    again = ledger(log)
    assert again.questions.all()["q1"].answer == "this"
    assert again.questions.ask("a.gen-1", "And now?").id == "q2"


def test_an_agent_cannot_flood_the_board_with_questions() -> None:
    board = ledger()
    for number in range(20):
        board.questions.ask("a.gen-1", f"{number}?")
    with pytest.raises(ClaimRefused, match="20 open questions"):
        board.questions.ask("a.gen-1", "one more?")
    board.questions.ask("b.gen-1", "mine?")


def test_old_answers_go_and_open_questions_stay() -> None:
    board = ledger()
    board.questions.ask("patient.gen-1", "still there?")
    for number in range(2, 600):
        board.questions.ask("a.gen-1", "?")
        board.questions.answer(f"q{number}", "!")
    kept = board.questions.all()
    assert ("q1" in kept, "q599" in kept, len(kept)) == (True, True, 501)


def test_nobody_answers_what_was_not_asked() -> None:
    with pytest.raises(ClaimRefused, match="no question 'q9'"):
        ledger().questions.answer("q9", "yes")


def test_news_are_of_what_came_since_and_of_what_concerns_the_task() -> None:
    board = ledger()
    board.questions.ask("a.gen-1", "for a person")
    board.questions.ask("a.gen-1", "for b", "b")
    seen = board.snapshot().log[-1].seq
    board.questions.answer("q2", "yes", "b.gen-1")
    assert news_for(board.snapshot(), "b", 0).splitlines() == [
        "question q2 of a.gen-1 to you: for b",
        "q2 was answered by b.gen-1: yes",
    ]
    assert news_for(board.snapshot(), "b", seen) == "q2 was answered by b.gen-1: yes"
    assert news_for(board.snapshot(), "b", seen + 1) == "Nothing has changed since you looked last."
