"""Who a user is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NewType

__all__ = ["User", "UserId"]

UserId = NewType("UserId", str)
"""Names one user for ever; it never changes and is never given again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A registered user; the password is nowhere in it."""

    user_id: UserId
    email: str  # in normal form: stripped and case-folded
    created_at: datetime  # aware, UTC
