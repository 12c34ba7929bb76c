"""Profiles in a store."""

from __future__ import annotations

from contracts.interfaces.profile import IProfileService
from contracts.interfaces.store import IStore
from contracts.types.errors import ProfileExistsError, UserNotFoundError
from contracts.types.profile import Profile
from contracts.types.record import Record
from contracts.types.user import UserId
from src.profile.rules import checked

__all__ = ["ProfileService"]


class ProfileService(IProfileService):
    """Keeps one record for each profile, checked before it is stored."""

    def __init__(self, store: IStore) -> None:
        self._profiles = store.table("profiles")

    async def create_profile(self, user_id: UserId, display_name: str) -> Profile:
        """Give the user a first profile."""
        profile = checked(Profile(user_id=user_id, display_name=display_name))
        if user_id in self._profiles:
            raise ProfileExistsError("there is a profile already")
        return self._keep(profile)

    async def get_profile(self, uid: UserId) -> Profile:
        """Return the profile."""
        record = self._profiles.get(uid)
        if record is None:
            raise UserNotFoundError(uid)
        return _profile(uid, record)

    async def update_profile(
        self,
        user_id: UserId,
        *,
        display_name: str | None = None,
        bio: str | None = None,
        website: str | None = None,
    ) -> Profile:
        """Change the given fields, all or none; `None` leaves a field as it is."""
        old = await self.get_profile(user_id)
        new = Profile(
            user_id=user_id,
            display_name=old.display_name if display_name is None else display_name,
            bio=old.bio if bio is None else bio,
            website=old.website if website is None else website,
        )
        return self._keep(checked(new))

    async def remove_profile(self, user_id: UserId) -> None:
        """Forget the profile, if there is one."""
        self._profiles.pop(user_id, None)

    def find_profiles(self, text: str, *, limit: int = 20) -> list[Profile]:
        """Return up to `limit` profiles whose name holds the text in any case, sorted by name."""
        wanted = text.strip().casefold()
        everybody = (_profile(UserId(key), record) for key, record in self._profiles.items())
        found = [profile for profile in everybody if wanted in profile.display_name.casefold()]
        return sorted(found, key=lambda profile: profile.display_name.casefold())[:limit]

    def _keep(self, profile: Profile) -> Profile:
        self._profiles[profile.user_id] = {
            "display_name": profile.display_name,
            "bio": profile.bio,
            "website": profile.website,
        }
        return profile


def _profile(user_id: UserId, record: Record) -> Profile:
    return Profile(
        user_id=user_id, display_name=record["display_name"], bio=record["bio"], website=record["website"]
    )
