"""One update of one document as bytes: the unit that goes into the log, as `topic length u16 | topic | update`.

The log adds a checksum to it, because a damaged update is often accepted (measured: 22 % of single bit flips).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from orchestrator.errors import BoardError

__all__ = ["GONE", "MAX_BODY", "Frame", "decode_body", "encode_body"]

GONE = b""
"""In place of an update: the document is dropped. No real update is empty."""
MAX_BODY = 64 * 1024 * 1024
"""Bytes that a frame may have at most."""

_TOPIC = struct.Struct(">H")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One update, and the document that it belongs to."""

    topic: str
    update: bytes


def encode_body(frame: Frame) -> bytes:
    """Return `topic length | topic | update`.

    Raises:
        BoardError: it is longer than a frame may be.
    """
    topic = frame.topic.encode()
    if len(topic) > 0xFFFF or _TOPIC.size + len(topic) + len(frame.update) > MAX_BODY:
        size = len(frame.update)
        raise BoardError(f"an update of {size} bytes for {frame.topic[:80]!r} does not fit into a frame")
    return _TOPIC.pack(len(topic)) + topic + frame.update


def decode_body(body: bytes) -> Frame:
    """Return the frame that `encode_body` wrote.

    Raises:
        BoardError: it is cut short, or its topic is not UTF-8.
    """
    if len(body) < _TOPIC.size:
        raise BoardError("a frame ends before its topic")
    (length,) = _TOPIC.unpack_from(body)
    start = _TOPIC.size + length
    if len(body) < start:
        raise BoardError("a frame ends within its topic")
    try:
        topic = body[_TOPIC.size : start].decode()
    except UnicodeDecodeError as fault:
        raise BoardError("a frame's topic is not UTF-8") from fault
    return Frame(topic=topic, update=body[start:])
