"""What a user tells others."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.types.user import UserId

__all__ = ["Profile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The public side of a user; an empty text means that nothing was said."""

    user_id: UserId
    display_name: str
    bio: str = ""
    website: str = ""
