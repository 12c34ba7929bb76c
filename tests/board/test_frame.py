from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.board.frame import MAX_BODY, Frame, decode_body, encode_body
from orchestrator.errors import BoardError

topics = st.text(st.characters(codec="utf-8"), max_size=40)


@given(topic=topics, update=st.binary(max_size=200))
def test_a_frame_comes_back_as_it_was(topic: str, update: bytes) -> None:
    frame = Frame(topic=topic, update=update)
    assert decode_body(encode_body(frame)) == frame


def test_a_frame_over_the_limit_is_refused() -> None:
    with pytest.raises(BoardError, match="does not fit"):
        encode_body(Frame(topic="ctl", update=bytes(MAX_BODY)))


@pytest.mark.parametrize("body", [b"", b"\x00", b"\x00\x05ab", b"\x00\x01\xff"])
def test_a_body_without_a_whole_topic_is_refused(body: bytes) -> None:
    with pytest.raises(BoardError, match="a frame"):
        decode_body(body)
