"""One update of one document as bytes: the unit that goes over a channel and into the log.

A frame on a channel is `length u32 | crc32 u32 | body`, and the body is `topic length u16 | topic | update`;
numbers are big-endian, the length is that of the body, the checksum is over the body. The checksum is needed
because a damaged update is often accepted (measured: 22 % of single bit flips).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from orchestrator.errors import BoardError

__all__ = ["GONE", "MAX_BODY", "Frame", "decode_body", "decode_frame", "encode_body", "encode_frame"]

GONE = b""
"""In place of an update: the document is dropped. No real update is empty."""
MAX_BODY = 64 * 1024 * 1024
"""Bytes that a frame's body may have at most; a length above it is taken for damage."""

_HEAD = struct.Struct(">II")
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


def encode_frame(frame: Frame) -> bytes:
    """Return the bytes that carry the frame over a channel.

    Raises:
        BoardError: it is longer than a frame may be.
    """
    body = encode_body(frame)
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def decode_frame(data: bytes, *, topic: str, limit: int = MAX_BODY) -> Frame:
    """Return the frame in exactly these bytes, for that document; `limit` bounds the body's bytes.

    Raises:
        BoardError: they are cut short, too many, or damaged, or the frame is for another document.
    """
    if len(data) < _HEAD.size:
        raise BoardError("a frame ends within its head")
    length, checksum = _HEAD.unpack_from(data)
    body = data[_HEAD.size :]
    if length > limit:
        raise BoardError(f"a frame announces {length} bytes; at most {limit} are taken")
    if length != len(body):
        raise BoardError(f"a frame announces {length} bytes and holds {len(body)}")
    if zlib.crc32(body) != checksum:
        raise BoardError("a frame's checksum does not fit: it was damaged on its way")
    frame = decode_body(body)
    if frame.topic != topic:
        raise BoardError(f"a frame is for {frame.topic[:100]!r}; here only {topic} is taken")
    return frame
