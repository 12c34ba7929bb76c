"""The messages of the y-protocol, by which Yjs clients of any language keep a document in step.

One message is one WebSocket message: a number for its kind and then, after its length, its content. Numbers are
lib0's: seven bits a byte, the lowest first, the eighth set if more follow. What was not written like this is refused
whole, with a reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from orchestrator.errors import BoardError

__all__ = [
    "Kind",
    "Message",
    "PeerState",
    "decode",
    "decode_states",
    "encode",
    "encode_number",
    "encode_states",
    "read_number",
]

_LONGEST_NUMBER = 8  # bytes: JavaScript's whole numbers have 53 bits


class Kind(Enum):
    """What a message is; the value is how it begins."""

    STEP1 = b"\x00\x00"  # the state that the sender has: a question for what it lacks
    STEP2 = b"\x00\x01"  # the answer: one update with all of that
    UPDATE = b"\x00\x02"  # what the sender has changed since
    AWARENESS = b"\x01"  # who is there; kept nowhere
    QUERY_AWARENESS = b"\x03"  # a question for that; it has no content


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `content` is a state, an update, or what `decode_states` reads."""

    kind: Kind
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class PeerState:
    """What one client says about itself, as JSON; `null` if it has gone. A greater clock is newer."""

    client: int
    clock: int
    state: str


def encode(message: Message) -> bytes:
    """Return the bytes of a message."""
    begin: bytes = message.kind.value
    return (
        begin if message.kind is Kind.QUERY_AWARENESS else begin + encode_number(len(message.content)) + message.content
    )


def decode(data: bytes) -> Message:
    """Return the message in exactly these bytes.

    Raises:
        BoardError: they are cut short, too many, or of no kind that is known here.
    """
    if data == Kind.QUERY_AWARENESS.value:
        return Message(Kind.QUERY_AWARENESS)
    width = 2 if data[:1] == b"\x00" else 1
    kind = _KINDS.get(data[:width])
    if kind is None:
        raise BoardError("a message is of no kind that is known here")
    length, start = read_number(data, width)
    if start + length != len(data):
        raise BoardError(f"a message announces {length} bytes and holds {len(data) - start}")
    return Message(kind, data[start:])


def encode_states(states: list[PeerState]) -> bytes:
    """Return the content of a message that tells of these clients."""
    parts = [encode_number(len(states))]
    for peer in states:
        text = peer.state.encode()
        parts += [encode_number(peer.client), encode_number(peer.clock), encode_number(len(text)), text]
    return b"".join(parts)


def decode_states(content: bytes, *, most: int) -> list[PeerState]:
    """Return the clients that a message tells of, at most `most`.

    Raises:
        BoardError: the content is cut short, too long, not UTF-8, or tells of too many.
    """
    count, at = read_number(content, 0)
    if count > most:
        raise BoardError(f"a message tells of {count} clients; at most {most} are taken")
    states = []
    for _ in range(count):
        client, at = read_number(content, at)
        clock, at = read_number(content, at)
        length, at = read_number(content, at)
        text, at = content[at : at + length], at + length
        try:
            states.append(PeerState(client, clock, text.decode()))
        except UnicodeDecodeError as fault:
            raise BoardError("what a client says about itself is not UTF-8") from fault
    if at != len(content):
        raise BoardError("a message about clients is cut short or too long")
    return states


def encode_number(value: int) -> bytes:
    """Return a number in lib0's form."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_number(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at an offset, and the offset behind it.

    Raises:
        BoardError: it is cut short, or larger than JavaScript's whole numbers.
    """
    value = 0
    for n, byte in enumerate(data[at : at + _LONGEST_NUMBER]):
        value |= (byte & 0x7F) << 7 * n
        if byte < 0x80:
            return value, at + n + 1
    raise BoardError("a number in a message is cut short or too large")


_KINDS = {kind.value: kind for kind in Kind if kind is not Kind.QUERY_AWARENESS}
