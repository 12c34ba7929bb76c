"""Who may connect to a board over the network, and to what.

One secret makes all tokens: the owner's is the secret itself, an agent's is its name with a keyed hash. So nothing has to
be stored or handed out in advance, and an agent's token says nothing about others.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from orchestrator.board import schema
from orchestrator.board.files import PERSON, agent_author, is_file_topic
from orchestrator.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Keys", "Rights", "origin_allowed"]

_SHORTEST = 16


@dataclass(frozen=True, slots=True)
class Rights:
    """What one token allows: to look at everything, or to be one agent, who sees the hub's document, its own, and files.

    The owner, besides, may speak to the run, and write files as the agents do.
    """

    agent: str | None = None
    is_owner: bool = False

    def may_read(self, topic: str) -> bool:
        """Tell whether a document may be looked at."""
        return self.agent is None or topic == schema.CTL or self.may_write(topic)

    def may_write(self, topic: str) -> bool:
        """Tell whether a document may be written."""
        if is_file_topic(topic):
            return self.agent is not None or self.is_owner
        return self.agent is not None and topic.startswith(f"ag/{self.agent}/")

    @property
    def author(self) -> str:
        """How this token's holder is called as a writer of shared files."""
        return PERSON if self.agent is None else agent_author(self.agent)


class Keys:
    """The tokens of one board."""

    def __init__(self, secret: str) -> None:
        """Take the owner's token.

        Raises:
            BoardError: it is too short to keep anybody out, or holds what cannot stand in a URL.
        """
        if len(secret) < _SHORTEST or not all(c.isascii() and (c.isalnum() or c in "-_~") for c in secret):
            raise BoardError(
                f"a token needs at least {_SHORTEST} letters, digits, '-', '_' or '~'",
                hint="Make one with: python3 -c 'import secrets; print(secrets.token_urlsafe())'",
            )
        self.owner = secret

    @classmethod
    def new(cls) -> Keys:
        """Return keys that nobody knows yet."""
        return cls(secrets.token_urlsafe(32))

    def agent(self, name: str) -> str:
        """Return the token with which an agent takes part, in any of its lives.

        Raises:
            BoardError: it cannot name an agent.
        """
        if not schema.is_name(name):
            raise BoardError(f"{name[:100]!r} cannot name an agent; write letters, digits, '.', '_', '-'")
        return f"{name}.{self._seal(f'agent {name}')}"

    def reader(self) -> str:
        """Return the token with which everything can be looked at."""
        return f".{self._seal('reader')}"

    def rights(self, token: str) -> Rights | None:
        """Return what a token allows; None if it is none of ours. It takes as long for any of the same length."""
        name, _, seal = token.rpartition(".")
        sealed = self._seal(f"agent {name}" if name else "reader")
        is_owner = hmac.compare_digest(token.encode(), self.owner.encode())
        is_sealed = hmac.compare_digest(seal.encode(), sealed.encode())
        if is_owner:
            return Rights(is_owner=True)
        return Rights(name or None) if is_sealed and token.count(".") > 0 else None

    def _seal(self, text: str) -> str:
        return hmac.new(self.owner.encode(), text.encode(), hashlib.sha256).hexdigest()


def origin_allowed(origin: str | None, host: str | None, allowed: Collection[str]) -> bool:
    """Tell whether a page of that origin may connect: none is no browser, else the same host or one that is listed."""
    if origin is None or origin in allowed:
        return True
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and host is not None and parts.netloc.lower() == host.lower()
