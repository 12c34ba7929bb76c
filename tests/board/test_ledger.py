"""What the orchestrator says to the board, and what the board remembers; no connections here."""

from __future__ import annotations

import pytest

from orchestrator.board import schema
from orchestrator.board.document import Document, Put, Remove
from orchestrator.board.ledger import Ledger
from orchestrator.board.log import MemoryLog, replay
from orchestrator.errors import BoardError, ClaimRefused
from orchestrator.model.claims import GrantState
from tests.board.stories import card


class Asker:
    """An agent without a channel: its document, joined to a ledger."""

    def __init__(self, ledger: Ledger, agent: str, incarnation: str = "1") -> None:
        self.topic = f"ag/{agent}/{incarnation}"
        self.ledger = ledger
        self.document = Document()
        self.nonce = 0
        ledger.join(self.topic)

    def write(self, name: str, key: str, value: str) -> None:
        self.ledger.receive(self.topic, self.document.write(Put(map=name, key=key, value=value)))

    def claim(self, key: str) -> None:
        self.nonce += 1
        self.write(schema.REQUESTS, key, schema.encode(schema.Wish(nonce=f"{self.topic}{self.nonce}")))

    def hand_in(self, key: str, gen: int, commit: str | None = None) -> None:
        self.nonce += 1
        work = schema.Submission(gen=gen, nonce=f"{self.topic}{self.nonce}", commit=commit)
        self.write(schema.SUBMISSIONS, key, schema.encode(work))


def board(log: MemoryLog | None = None) -> Ledger:
    return Ledger(log or MemoryLog(), lambda: 12.5)


def with_task(*todos: str) -> Ledger:
    ledger = board()
    ledger.publish_tasks([card("T", *todos, title="Do it")])
    ledger.open("T")
    return ledger


def standing(ledger: Ledger, key: str) -> tuple[GrantState | None, int, str | None]:
    task, todo = schema.split_key(key)
    view = ledger.snapshot().task(task)
    if todo is None:
        return view.state, view.gen, view.holder
    found = next(t for t in view.todos if t.id == todo)
    return found.state, found.gen, found.holder


def kinds(ledger: Ledger) -> list[str]:
    return [line.kind for line in ledger.snapshot().log]


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
    ledger.open("T", note="the gate failed")
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


def test_opening_what_is_open_changes_nothing() -> None:
    ledger = with_task()
    before = ledger.snapshot()
    ledger.open("T")
    ledger.release("T", GrantState.OPEN)
    assert ledger.snapshot() == before


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
    again.receive(other.topic, other.document.since(None))  # the whole document arrives anew, its old request in it
    assert standing(again, "T") == (GrantState.OPEN, 1, None)


def test_everything_is_in_the_log_before_it_is_published() -> None:
    log = MemoryLog()
    published: list[bytes] = []

    def publish(update: bytes) -> None:
        assert update in [frame.update for frame in log.replay()]
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
