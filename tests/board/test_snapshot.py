from __future__ import annotations

import json
import unicodedata

import pycrdt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.board import schema
from orchestrator.board.document import Append, Document, Put
from orchestrator.board.ledger import Ledger
from orchestrator.board.log import MemoryLog
from orchestrator.board.snapshot import Snapshot, clean, render, take
from orchestrator.errors import BoardError
from orchestrator.model.claims import GrantState
from orchestrator.model.todo import TaskCard, Todo


def says(ledger: Ledger, agent: str, state: schema.AgentState, *said: str) -> None:
    document = Document()
    update = document.write(
        Put(map=schema.AGENT_STATE, key=schema.STATE_KEY, value=schema.encode(state)),
        *(
            Append(array=schema.EVENTS, value=schema.encode(schema.Said(n=n, text=text)), keep=9)
            for n, text in enumerate(said)
        ),
    )
    ledger.join(f"ag/{agent}/1")
    ledger.receive(f"ag/{agent}/1", update)


def asks(ledger: Ledger, agent: str, *keys: str) -> None:
    document = Document()
    ledger.join(f"ag/{agent}/1")
    for key in keys:
        wish = schema.encode(schema.Wish(nonce=f"{agent}{key}"))
        ledger.receive(f"ag/{agent}/1", document.write(Put(map=schema.REQUESTS, key=key, value=wish)))


def busy() -> Ledger:
    ledger = Ledger(MemoryLog(), lambda: 36_000.0)
    todos = (Todo(id="hash", title="Hash passwords"), Todo(id="token", title="Make tokens"))
    ledger.publish_tasks(
        [
            TaskCard(id="A-10", title="Profile page", needs=("A-2",)),
            TaskCard(id="A-2", title="Auth service", track="auth", todos=todos),
            TaskCard(id="A-3", title="Settings"),
        ]
    )
    ledger.open("A-2")
    asks(ledger, "ag1", "A-2", "A-2/hash", "A-2/token")
    work = schema.encode(schema.Submission(gen=1, nonce="9"))
    ledger.receive("ag/ag1/1", Document().write(Put(map=schema.SUBMISSIONS, key="A-2/hash", value=work)))
    state = schema.AgentState(task="A-2", gen=1, phase="working", todo="A-2/token", note="tokens next")
    says(ledger, "ag1", state, "hashing is done", "tokens next")
    ledger.release("A-3", GrantState.CANCELLED, note="not wanted")
    return ledger


def test_the_board_as_text() -> None:
    assert (
        render(busy().snapshot(), width=72, entries=4)
        == """\
Tasks: 3 (1 waiting, 1 held, 1 cancelled)
[ ] A-2   held       gen 1 ag1         Auth service
      [x] hash  Hash passwords
      [ ] token  Make tokens  (ag1)
      > tokens next
[ ] A-3   cancelled                    Settings
      > not wanted
[ ] A-10  waiting                      Profile page

Agents
  ag1  A-2 gen 1  working A-2/token  tokens next

Log
      4 10:00:00 granted    key=A-2/hash gen=1 holder=ag1
      5 10:00:00 granted    key=A-2/token gen=1 holder=ag1
      6 10:00:00 done       key=A-2/hash gen=1 holder=ag1
      7 10:00:00 cancelled  key=A-3 gen=0 note=not wanted
"""
    )


def test_the_board_as_json() -> None:
    data = json.loads(json.dumps(busy().snapshot().as_json()))
    assert data["version"] == 1
    assert [task["id"] for task in data["tasks"]] == ["A-2", "A-3", "A-10"]
    assert data["tasks"][0]["todos"][0] == {
        "id": "hash", "title": "Hash passwords", "state": "done", "gen": 1, "holder": "ag1",
    }  # fmt: skip
    assert data["tasks"][2]["state"] is None
    assert data["agents"][0]["said"] == ["hashing is done", "tokens next"]
    assert data["log"][-1] == {
        "seq": 7, "at": 36000.0, "kind": "cancelled",
        "fields": {"key": "A-3", "gen": 0, "note": "not wanted"},
    }  # fmt: skip


def test_an_empty_board() -> None:
    assert take({}) == Snapshot(tasks=(), agents=(), log=())
    assert render(take({})) == "Tasks: 0\n"
    with pytest.raises(BoardError, match="no task 'T'"):
        take({}).task("T")


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain text, é 漢 😀", "plain text, é 漢 😀"),
        ("two\nlines\tand  more\r\n", "two lines and more"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b31mred \x9d0;t\x9cok", "red ok"),
        ("\x1bPq#0;2;0;0;0\x1b\\sixel", "sixel"),
        ("\x1b(0 \x1bc \x1b[2J\x1b[?25l", ""),
        ("a\u202eb\u2066c\u200fd\u061ce", "abcde"),
        ("zero\u200bwidth\ufeff\u00ad", "zerowidth"),
        ("line\u2028sep\u2029end\x85next", "line sep end next"),
        ("half \ud800 pair \U000e0041tag\ue000", "half pair tag"),
        ("nul\x00bell\x07back\x08del\x7f", "nulbellbackdel"),
        ("x" * 501, "x" * 499 + "…"),
        ("x" * 500, "x" * 500),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
dangerous = st.text(
    st.characters(categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"])
    | st.sampled_from("\x1b\x9b[]()PX^_;0123456789mHJ\\\u202e ab漢é\u0301😀"),
    max_size=60,
)


@given(text=dangerous, width=st.integers(1, 40))
def test_nothing_an_agent_says_can_harm_a_terminal(text: str, width: int) -> None:
    ledger = Ledger(MemoryLog(), lambda: 0.0)
    ledger.publish_tasks([TaskCard(id="T", title=text)])
    ledger.open("T")
    asks(ledger, "a", "T")
    ledger.accept_submission("T", 1, "a", text)
    says(ledger, "b", schema.AgentState(task="T", phase=text, note=text), text)
    ledger.note("remark", text=text, many=[text, {text: text}])
    snapshot = ledger.snapshot()
    narrow = render(snapshot, width=width)
    for form in (render(snapshot), narrow, json.dumps(snapshot.as_json(), ensure_ascii=False)):
        assert not {unicodedata.category(c) for c in form if c != "\n"} & UNSAFE
    assert all(len(line) <= width for line in narrow.split("\n") if line.isascii())
    assert len(narrow.split("\n")) <= 20


@pytest.mark.parametrize(("title", "shown"), [("漢" * 60, 10), ("e" + "\u0301" * 500, 0), ("y" * 60, 21)])
def test_lines_are_cut_by_columns(title: str, shown: int) -> None:
    ledger = Ledger(MemoryLog(), lambda: 0.0)
    ledger.publish_tasks([TaskCard(id="T", title=title)])
    line = render(ledger.snapshot(), width=57, entries=0).splitlines()[1]
    assert len(line) <= 2 * 57 + 1
    if shown:
        assert line.endswith("…")
        assert abs(line.count(title[0]) - shown) <= 1


def test_what_cannot_be_read_costs_only_that_agents_words() -> None:
    ledger = busy()
    for n, value in enumerate(["no json", '{"note":1}', "[" * 9999]):
        junk = Document()
        ledger.join(f"ag/junk{n}/1")
        ledger.receive(f"ag/junk{n}/1", junk.write(Put(map="s", key="s", value=value)))
    foreign: pycrdt.Doc[pycrdt.Map[object]] = pycrdt.Doc()
    odd: pycrdt.Map[object] = pycrdt.Map()
    foreign["s"] = odd
    odd["s"] = pycrdt.Map({"s": "nested"})
    ledger.join("ag/odd/1")
    ledger.receive("ag/odd/1", foreign.get_update())
    agents = {agent.agent: agent.note for agent in ledger.snapshot().agents}
    assert agents.pop("ag1") == "tokens next"
    assert set(agents.values()) == {"(what it wrote cannot be read)"}
    assert len(agents) == 4
    for name in agents:
        ledger.drop(name)
    assert [agent.agent for agent in ledger.snapshot().agents] == ["ag1"]
