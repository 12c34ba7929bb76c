from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.board import schema
from orchestrator.errors import BoardError
from orchestrator.model.claims import Grant, GrantState
from orchestrator.model.plan import Plan
from orchestrator.model.todo import TaskCard, Todo

words = st.text(max_size=30)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,12}", fullmatch=True)
grants = st.builds(
    Grant,
    gen=st.integers(0, 2**60),
    holder=st.none() | names,
    nonce=st.none() | words,
    state=st.sampled_from(GrantState),
    commit=st.none() | words,
    note=words,
)
cards = st.builds(
    TaskCard,
    id=names,
    title=words,
    track=st.none() | names,
    needs=st.lists(names, max_size=3).map(tuple),
    todos=st.lists(st.builds(Todo, id=names, title=words), max_size=3).map(tuple),
)


@given(grant=grants)
def test_a_grant_comes_back_as_it_was(grant: Grant) -> None:
    assert schema.decode_grant(schema.encode(grant)) == grant


@given(card=cards)
def test_a_card_comes_back_as_it_was(card: TaskCard) -> None:
    assert schema.decode_card(card.id, schema.encode_card(card)) == card


@given(kind=names, at=st.floats(0, 1e12), fields=st.dictionaries(names.map("f".__add__), words | st.integers()))
def test_a_log_entry_comes_back_as_it_was(kind: str, at: float, fields: dict[str, object]) -> None:
    entry = schema.LogEntry(seq=7, at=at, kind=kind, fields=fields)
    assert schema.decode_entry(schema.encode_entry(entry)) == entry


def test_answers_come_back_as_they_were() -> None:
    answers = {
        "req": {"T": schema.Answer(nonce="1", gen=3)},
        "submit": {"T/x": schema.Answer(nonce="2", refused="no")},
    }
    assert schema.decode_answers(schema.encode_answers(answers)) == answers


def test_a_state_and_what_was_said_come_back() -> None:
    state = schema.AgentState(task="T", gen=2, phase="working", todo="T/x", note="an é")
    assert schema.decode_state(schema.encode(state)) == state
    said = schema.Said(n=3, text=schema.cut_words("x" * 5000))
    assert schema.decode_said(schema.encode(said)) == said
    assert len(said.text) == 2000


def test_half_a_surrogate_pair_can_be_said_and_read() -> None:
    assert schema.decode_said(schema.encode(schema.Said(n=1, text="file \udcff.py"))).text == "file ?.py"


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"gen":"1"}', '{"gen":1,"state":"asleep"}', '{"gen":NaN}'])
def test_what_is_no_grant_is_an_error_that_says_so(text: str) -> None:
    with pytest.raises(BoardError, match="a grant on the board cannot be read"):
        schema.decode_grant(text) if text != "{}" else schema.decode_grant('{"gen":null}')


def test_topics_and_keys() -> None:
    assert schema.parse_agent_topic(schema.agent_topic("ag7", "0f3a")) == ("ag7", "0f3a")
    assert schema.split_key("A-001") == ("A-001", None)
    assert schema.split_key(schema.todo_key("A-001", "hash")) == ("A-001", "hash")
    assert schema.is_key("A-001/hash")
    assert not any(schema.is_key(key) for key in ("", "/", "a/", "/b", "a/b/c", "a b", "a\n", "x" * 101))


@pytest.mark.parametrize(
    "topic", ["", "ctl", "ag", "ag/a", "ag//1", "ag/a/", "ag/a/1/2", "file/a/1", "ag/a b/1", "ag/../1"]
)
def test_what_is_no_agents_topic(topic: str) -> None:
    with pytest.raises(BoardError, match="not the topic"):
        schema.parse_agent_topic(topic)


@pytest.mark.parametrize("agent", ["", "a/b", "a b", ".hidden", "é", "x" * 101, "a\n"])
def test_what_cannot_name_an_agent(agent: str) -> None:
    with pytest.raises(BoardError, match="cannot name an agent"):
        schema.agent_topic(agent, "1")


def test_the_card_of_a_planned_task() -> None:
    plan = Plan.model_validate_json("""{
        "version": 1, "name": "p", "tracks": {"auth": {"owns": ["src/**"]}},
        "tasks": [{"id": "B"}, {"id": "A", "title": "Auth", "track": "auth", "needs": ["B"], "prompt": "…",
                   "todos": [{"id": "hash", "title": "Hash it"}]}]}""")
    assert TaskCard.of(plan.task("A")) == TaskCard(
        id="A", title="Auth", track="auth", needs=("B",), todos=(Todo(id="hash", title="Hash it"),)
    )
