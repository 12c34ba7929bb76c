"""One update of one document as bytes: the unit that goes into the log, as `topic length u16 | topic | update`.

A shared file has many writers, so its topic is followed by who made the update and when, each after a zero byte.

The log adds a checksum to it, because a damaged update is often accepted (measured: 22 % of single bit flips).
"""

from __future__ import annotations

import struct
from contextlib import suppress
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
    """One update, and the document that it belongs to; of a shared file also who made it, and when in seconds."""

    topic: str
    update: bytes
    by: str = ""
    at: float = 0.0


def encode_body(frame: Frame) -> bytes:
    """Return `topic length | topic | update`.

    Raises:
        BoardError: it is longer than a frame may be.
    """
    told = frame.by or "\0" in frame.topic
    topic = (f"{frame.topic}\0{frame.by}\0{frame.at:.3f}" if told else frame.topic).encode()
    if len(topic) > 0xFFFF or _TOPIC.size + len(topic) + len(frame.update) > MAX_BODY:
        size = len(frame.update)
        raise BoardError(f"an update of {size} bytes for {frame.topic[:80]!r} does not fit into a frame")
    return _TOPIC.pack(len(topic)) + topic + frame.update


def decode_body(body: bytes) -> Frame:
    """Return the frame that `encode_body` wrote.

    Raises:
        BoardError: it is cut short, its topic is not UTF-8, or what follows that cannot be read.
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
    match topic.rsplit("\0", 2):
        case [name]:
            return Frame(topic=name, update=body[start:])
        case [name, by, at]:
            with suppress(ValueError):
                return Frame(topic=name, update=body[start:], by=by, at=float(at))
    raise BoardError("a frame does not tell who made its update, and when")
