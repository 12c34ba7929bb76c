"""What users tell others about themselves."""

from __future__ import annotations

from abc import ABC, abstractmethod

from contracts.types.profile import Profile
from contracts.types.user import UserId

__all__ = ["IProfileService"]


class IProfileService(ABC):
    """One profile for each user."""

    @abstractmethod
    async def create_profile(self, user_id: UserId, display_name: str) -> Profile:
        """Give the user a first profile.

        Raises:
            InvalidProfileError: the name breaks a rule.
            ProfileExistsError: the user has a profile already.
        """

    @abstractmethod
    async def get_profile(self, user_id: UserId) -> Profile:
        """Return the profile.

        Raises:
            UserNotFoundError: the user has none.
        """

    @abstractmethod
    async def update_profile(
        self,
        user_id: UserId,
        *,
        display_name: str | None = None,
        bio: str | None = None,
        website: str | None = None,
    ) -> Profile:
        """Change the given fields, all or none; `None` leaves a field as it is.

        Raises:
            UserNotFoundError: the user has no profile.
            InvalidProfileError: a field breaks a rule.
        """

    @abstractmethod
    async def remove_profile(self, user_id: UserId) -> None:
        """Forget the profile, if there is one."""

    @abstractmethod
    def find_profiles(self, text: str, *, limit: int = 20) -> list[Profile]:
        """Return up to `limit` profiles whose name holds the text in any case, sorted by name."""
