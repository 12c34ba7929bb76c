"""Who is looking at a document just now: told to everybody who looks on, and kept nowhere.

Stock clients repeat what they hear of others. So a client is spoken for only by the connection that spoke for it first,
and one that has gone comes back only with something newer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.board.wire import PeerState, decode_states, encode_states
from orchestrator.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Presence"]

_LONGEST_STATE = 4096  # bytes
_CLIENTS_OF_ONE = 16
_CLIENTS = 1000
_GONE = "null"


class Presence:
    """What clients of one document say about themselves, bounded in size and number."""

    def __init__(self) -> None:
        self._states: dict[int, PeerState] = {}
        self._speakers: dict[int, object] = {}

    def hear(self, speaker: object, content: bytes) -> set[int]:
        """Take in what a connection says, and return which clients' states are new.

        Raises:
            BoardError: it cannot be read, or is too much; nothing of it was taken.
        """
        new = {}
        for peer in decode_states(content, most=_CLIENTS):
            known = self._states.get(peer.client)
            if known is not None and (peer.clock <= known.clock or self._speaker(peer.client) not in (None, speaker)):
                continue
            if len(peer.state.encode()) > _LONGEST_STATE:
                raise BoardError(f"a client says more than {_LONGEST_STATE} bytes about itself")
            new[peer.client] = peer
        mine = {client for client, other in self._speakers.items() if other is speaker}
        if len(mine | new.keys()) > _CLIENTS_OF_ONE:
            raise BoardError(f"a connection speaks for more than {_CLIENTS_OF_ONE} clients")
        self._make_room(len(new.keys() - self._states.keys()))
        for client, peer in new.items():
            self._states[client] = peer
            if peer.state == _GONE:
                self._speakers.pop(client, None)
            else:
                self._speakers[client] = speaker
        return set(new)

    def leave(self, speaker: object) -> set[int]:
        """Take out the clients that an ended connection spoke for, and return which."""
        left = {client for client, other in self._speakers.items() if other is speaker}
        for client in left:
            del self._speakers[client]
            self._states[client] = PeerState(client, self._states[client].clock, _GONE)
        return left

    def present(self) -> set[int]:
        """Return the clients that are there."""
        return set(self._speakers)

    def told(self, clients: Iterable[int]) -> bytes:
        """Return the content of a message about these clients."""
        return encode_states([self._states[client] for client in sorted(clients) if client in self._states])

    def _speaker(self, client: int) -> object | None:
        return self._speakers.get(client)

    def _make_room(self, wanted: int) -> None:
        """Forget those who went first, of whom a clock is kept.

        Raises:
            BoardError: too many are there.
        """
        if len(self._speakers) + wanted > _CLIENTS:
            raise BoardError(f"more than {_CLIENTS} clients look at one document")
        gone = [client for client in self._states if client not in self._speakers]
        for client in gone[: max(0, len(self._states) + wanted - _CLIENTS)]:
            del self._states[client]
