from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.board.frame import MAX_BODY, Frame, decode_body, decode_frame, encode_frame
from orchestrator.errors import BoardError

topics = st.text(st.characters(codec="utf-8"), max_size=40)


@given(topic=topics, update=st.binary(max_size=200))
def test_a_frame_comes_back_as_it_was(topic: str, update: bytes) -> None:
    frame = Frame(topic=topic, update=update)
    assert decode_frame(encode_frame(frame), topic=topic) == frame


@given(update=st.binary(max_size=60), data=st.data())
def test_damage_is_seen(update: bytes, data: st.DataObject) -> None:
    whole = encode_frame(Frame(topic="ctl", update=update))
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    damaged = bytearray(whole)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BoardError):
        decode_frame(bytes(damaged), topic="ctl")


def test_a_cut_or_longer_frame_is_refused() -> None:
    whole = encode_frame(Frame(topic="ctl", update=b"update"))
    for end in range(len(whole)):
        with pytest.raises(BoardError):
            decode_frame(whole[:end], topic="ctl")
    with pytest.raises(BoardError, match="announces 11 bytes and holds 12"):
        decode_frame(whole + b"x", topic="ctl")


def test_a_frame_for_another_document_is_refused() -> None:
    with pytest.raises(BoardError, match="only ag/a/1 is taken"):
        decode_frame(encode_frame(Frame(topic="ctl", update=b"u")), topic="ag/a/1")


def test_a_frame_over_the_limit_is_refused_unread() -> None:
    whole = encode_frame(Frame(topic="ctl", update=b"x" * 100))
    with pytest.raises(BoardError, match="at most 50"):
        decode_frame(whole, topic="ctl", limit=50)
    with pytest.raises(BoardError, match="does not fit"):
        encode_frame(Frame(topic="ctl", update=bytes(MAX_BODY)))


@pytest.mark.parametrize("body", [b"", b"\x00", b"\x00\x05ab", b"\x00\x01\xff"])
def test_a_body_without_a_whole_topic_is_refused(body: bytes) -> None:
    with pytest.raises(BoardError, match="a frame"):
        decode_body(body)
