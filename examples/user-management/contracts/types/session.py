"""What a user gets for the right password."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from contracts.types.user import UserId

__all__ = ["Session"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The right to act as one user until `expires_at`."""

    token: str = field(repr=False)  # a secret: it must not turn up in a log
    user_id: UserId
    expires_at: datetime  # aware, UTC; at this instant the session is over
