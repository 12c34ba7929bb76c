"""What the ledger remembers, in which order, and what it does with agents that are gone or make no sense."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.board import schema
from orchestrator.board.document import Document, Put, Remove
from orchestrator.board.ledger import Ledger
from orchestrator.board.log import MemoryLog, replay
from orchestrator.errors import BoardError, ClaimRefused
from orchestrator.model.claims import GrantState
from tests.board.stories import Asker, board, card, kinds, standing, with_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.board.frame import Frame


def test_generations_go_on_after_a_restart() -> None:
    log = MemoryLog()
    ledger = board(log)
    ledger.publish_tasks([card("T", "x"), card("U")])
    ledger.open("T")
    asker = Asker(ledger, "a")
    asker.claim("T")
    ledger.open("T")
    asker.claim("T")
    before = ledger.snapshot()
    again = board(log)
    assert again.snapshot() == before
    with pytest.raises(ClaimRefused):
        again.accept_submission("T", 1, "a", "stale")
    again.open("T")
    Asker(again, "b").claim("T")
    assert standing(again, "T") == (GrantState.HELD, 3, "b")
    assert [line.seq for line in again.snapshot().log] == list(range(1, 8))


def test_a_generation_known_from_elsewhere_is_passed_over() -> None:
    ledger = with_task()
    ledger.open("T", at_least=4)
    Asker(ledger, "a").claim("T")
    assert standing(ledger, "T") == (GrantState.HELD, 5, "a")


def test_an_old_request_is_not_granted_after_a_restart() -> None:
    log = MemoryLog()
    ledger = board(log)
    ledger.publish_tasks([card("T")])
    ledger.open("T")
    holder, other = Asker(ledger, "a"), Asker(ledger, "b")
    holder.claim("T")
    other.claim("T")  # refused
    ledger.open("T")
    again = board(log)
    again.join(other.topic)
    again.receive(other.topic, other.document.since(None))  # the whole document anew, its old request in it
    assert standing(again, "T") == (GrantState.OPEN, 1, None)


def test_everything_is_in_the_log_before_it_is_published() -> None:
    log = MemoryLog()
    published: list[bytes] = []

    def publish(topic: str, update: bytes) -> None:
        assert update in [frame.update for frame in log.replay()]
        if topic == schema.CTL:
            published.append(update)

    ledger = Ledger(log, lambda: 0.0, publish=publish)
    ledger.publish_tasks([card("T", "x")])
    ledger.open("T")
    asker = Asker(ledger, "a")
    for key in ("T", "T/x"):
        asker.claim(key)
    asker.hand_in("T/x", 1)
    asker.hand_in("T", 1, "c1")
    ledger.release("T", GrantState.DONE, gen=1)
    ledger.note("remark", words="that was it")
    assert [frame.update for frame in log.replay() if frame.topic == schema.CTL] == published
    follower = Document()
    follower.apply(*published)
    rebuilt = replay(log.replay())[schema.CTL]
    for name in (schema.TASKS, schema.GRANTS, schema.ANSWERS):
        assert follower.items(name) == rebuilt.items(name)
    assert follower.entries(schema.LOG) == rebuilt.entries(schema.LOG)


def test_a_dropped_agent_leaves_a_summary_and_never_comes_back() -> None:
    log = MemoryLog()
    ledger = board(log)
    ledger.publish_tasks([card("T")])
    ledger.open("T")
    asker = Asker(ledger, "a")
    asker.claim("T")
    asker.write(schema.AGENT_STATE, schema.STATE_KEY, schema.encode(schema.AgentState(task="T", note="half way")))
    ledger.drop("a", reason="its process ended")
    ledger.drop("a")
    line = ledger.snapshot().log[-1]
    assert line.kind == "dropped"
    assert line.fields["why"] == "its process ended"
    assert line.fields["said"] == "half way"
    assert line.fields["holds"] == ["T"]
    assert ledger.snapshot().agents == ()
    assert set(replay(log.replay())) == {schema.CTL}
    assert standing(ledger, "T") == (GrantState.HELD, 1, "a")
    for board_now in (ledger, board(log)):
        with pytest.raises(BoardError, match="was dropped"):
            board_now.join(asker.topic)


def test_a_new_life_of_an_agent_takes_the_place_of_the_old() -> None:
    ledger = with_task()
    Asker(ledger, "a", "1").claim("T")
    later = Asker(ledger, "a", "2")
    assert [(agent.agent, agent.incarnation) for agent in ledger.snapshot().agents] == [("a", "2")]
    later.claim("T")
    assert standing(ledger, "T") == (GrantState.HELD, 1, "a")


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        (schema.REQUESTS, "T", "no json"),
        (schema.REQUESTS, "T", "{}"),
        (schema.REQUESTS, "T", '{"nonce":1}'),
        (schema.REQUESTS, "T", '{"nonce":""}'),
        (schema.REQUESTS, "T", '{"nonce":"' + "x" * 101 + '"}'),
        (schema.REQUESTS, "T", "[" * 100_000),
        (schema.REQUESTS, "x" * 300, '{"nonce":"1"}'),
        (schema.REQUESTS, "T/x/y", '{"nonce":"1"}'),
        (schema.SUBMISSIONS, "T", '{"nonce":"1","gen":"1","commit":"c"}'),
        (schema.SUBMISSIONS, "T", '{"nonce":"1","gen":1.5,"commit":"c"}'),
        (schema.SUBMISSIONS, "T", '{"nonce":"1","gen":true,"commit":"c"}'),
    ],
)
def test_what_cannot_be_read_is_an_error_and_decides_nothing(name: str, key: str, value: str) -> None:
    ledger = with_task()
    asker = Asker(ledger, "a")
    with pytest.raises(BoardError):
        asker.write(name, key, value)
    assert standing(ledger, "T") == (GrantState.OPEN, 0, None)
    ledger.snapshot()


def test_an_update_that_cannot_be_applied_costs_the_document() -> None:
    ledger = with_task()
    asker = Asker(ledger, "a")
    with pytest.raises(BoardError, match="could not apply"):
        ledger.receive(asker.topic, b"garbage")
    assert ledger.snapshot().agents == ()
    assert kinds(ledger)[-1] == "dropped"


def test_unknown_keys_of_a_value_are_ignored() -> None:
    ledger = with_task()
    Asker(ledger, "a").write(schema.REQUESTS, "T", '{"nonce":"1","from the future":true}')
    assert standing(ledger, "T") == (GrantState.HELD, 1, "a")


def test_requests_at_once_are_bounded_and_answers_leave_when_read() -> None:
    ledger = board()
    ledger.publish_tasks([card(f"T{n}") for n in range(schema.ASKED_AT_ONCE + 1)])
    asker = Asker(ledger, "a")
    for n in range(schema.ASKED_AT_ONCE):
        asker.claim(f"T{n}")
    with pytest.raises(BoardError, match="requests at once"):
        asker.claim(f"T{schema.ASKED_AT_ONCE}")
    other = Asker(ledger, "b")
    for n in range(schema.ASKED_AT_ONCE * 2):
        key = f"T{n % 3}"
        other.claim(key)
        ledger.receive(other.topic, other.document.write(Remove(map=schema.REQUESTS, key=key)))


def test_answers_that_were_read_are_forgotten_by_a_restart() -> None:
    log = MemoryLog()
    ledger = board(log)
    keys = [f"T{n}" for n in range(schema.ASKED_AT_ONCE)]
    ledger.publish_tasks([card(key) for key in [*keys, "last"]])
    asker = Asker(ledger, "a")
    for key in keys:
        asker.claim(key)
    for key in keys:
        ledger.receive(asker.topic, asker.document.write(Remove(map=schema.REQUESTS, key=key)))
    asker.ledger = board(log)
    asker.ledger.join(asker.topic)
    asker.claim("last")


def test_notes_are_json_and_keep_out_of_the_entrys_own_fields() -> None:
    ledger = board()
    ledger.note("remark", text="fine \ud800", count=2, empty="")
    with pytest.raises(BoardError, match="own seq"):
        ledger.note("remark", seq=1)
    with pytest.raises(BoardError, match="not JSON"):
        ledger.note("remark", thing=object())
    with pytest.raises(BoardError, match="not JSON"):
        ledger.note("remark", number=float("nan"))
    deep: list[object] = []
    for _ in range(500):
        deep = [deep]
    with pytest.raises(BoardError, match="not JSON"):
        ledger.note("remark", deep=deep)
    (line,) = ledger.snapshot().log
    assert (line.seq, line.at, line.kind) == (1, 12.5, "remark")
    assert line.fields == {"text": "fine ?", "count": 2, "empty": ""}


def test_the_log_is_trimmed_and_its_sequence_goes_on() -> None:
    log = MemoryLog()
    ledger = board(log)
    for n in range(2 * schema.LOG_KEPT + 5):
        ledger.note("count", n=n)
    seqs = [line.seq for line in ledger.snapshot().log]
    assert seqs == list(range(schema.LOG_KEPT + 1, 2 * schema.LOG_KEPT + 6))
    again = board(log)
    again.note("after")
    assert again.snapshot().log[-1].seq == 2 * schema.LOG_KEPT + 6


def test_a_hundred_thousand_reports_of_progress_leave_a_small_board() -> None:
    """One value under one key: overwritten values of a writer melt into one mark (measured: 148 bytes)."""
    ledger = board(_Forgetful())
    asker = Asker(ledger, "a")
    for n in range(100_000):
        state = f'{{"task":"T","gen":1,"phase":"working","note":"{n} of 100000 done"}}'
        update = asker.document.write(Put(map=schema.AGENT_STATE, key=schema.STATE_KEY, value=state))
        ledger.receive(asker.topic, update)
    assert len(ledger._books.documents[asker.topic].since(None)) < 300
    assert len(ledger._books.ctl.since(None)) < 300
    assert ledger.snapshot().agents[0].note == "99999 of 100000 done"


class _Forgetful(MemoryLog):
    """A log that keeps nothing, since only the board's size matters."""

    def append(self, frames: Sequence[Frame]) -> None:
        pass
