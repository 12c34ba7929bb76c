"""Events of agents as lines of a transcript, and those as sentences."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model import agent_events as happened
from orchestrator.model.agent_events import as_line, sentence_of

CASES: list[tuple[happened.AgentEvent, str]] = [
    (happened.Turned(number=3), "turn 3"),
    (happened.Said(text="I look.\nThen I write."), "says: I look. Then I write."),
    (happened.Called(call="c", tool="read", arguments={"path": "a"}), 'calls read {"path": "a"}'),
    (happened.Returned(call="c", text="1\tx"), "returns: 1 x"),
    (happened.Returned(call="c", text="no", failed=True), "fails: no"),
    (happened.Used(model="m", input_tokens=10, cached_tokens=8, output_tokens=2, usd=0.5),
     "used m: 10 tokens in (8 cached), 2 out, $0.5000"),
    (happened.Used(model="m", input_tokens=10, cached_tokens=8, output_tokens=2, usd=None),
     "used m: 10 tokens in (8 cached), 2 out, unpriced"),
    (happened.Waited(reason="busy", seconds=2.0), "waits 2.0 s: busy"),
    (happened.Advised(text="do it"), "is told: do it"),
    (happened.Advised(text="too often", stop=True), "is stopped: too often"),
]  # fmt: skip


@pytest.mark.parametrize(("event", "sentence"), CASES)
def test_every_event_is_a_sentence(event: happened.AgentEvent, sentence: str) -> None:
    kind, values = as_line(event)
    assert sentence_of(json.loads(json.dumps({"event": kind, **values}))) == sentence


def test_what_is_for_programs_only_is_no_sentence() -> None:
    assert sentence_of({"event": "raw", "message": {}}) == sentence_of({"event": "output", "text": " \n"}) == ""


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(), x, max_size=3),
    max_leaves=5,
)
KINDS = st.sampled_from(
    [as_line(event)[0] for event, _ in CASES] + ["briefing", "output", "answer", "outcome", "truncated"]
)


@given(
    KINDS,
    st.dictionaries(st.sampled_from(["text", "tool", "arguments", "usd", "failed", "status", "reason"]), ANYTHING),
)
def test_whatever_stands_in_a_transcript_can_be_shown(kind: str, line: dict[str, Any]) -> None:
    assert sentence_of({"event": kind, **line}).isprintable()
