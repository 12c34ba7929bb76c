"""Accounts: the three services as one thing."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.interfaces.auth import IAuthService
from contracts.interfaces.profile import IProfileService
from contracts.interfaces.settings import ISettingsService
from contracts.types.errors import UserManagementError
from contracts.types.profile import Profile
from contracts.types.session import Session
from contracts.types.setting import SettingSpec, SettingValue
from contracts.types.user import User, UserId

__all__ = ["Account", "AccountApi"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """All that is known of one user."""

    user: User
    profile: Profile
    settings: dict[str, SettingValue]


class AccountApi:
    """Does what the holder of a session may do.

    A method that takes a token raises `SessionExpiredError` if the session is over, and otherwise what the
    service behind it raises; all of them are `UserManagementError`.
    """

    def __init__(self, *, auth: IAuthService, profiles: IProfileService, settings: ISettingsService) -> None:
        self._auth = auth
        self._profiles = profiles
        self._settings = settings

    async def sign_up(self, email: str, password: str, *, display_name: str) -> Account:
        """Register a user with a profile: both, or neither."""
        user = await self._auth.register(email, password)
        try:
            await self._profiles.create_profile(user_id=user.user_id, display_name=display_name)
        except UserManagementError:
            await self._auth.remove_user(user_id=user.user_id)
            raise
        return await self._account(user)

    async def sign_in(self, email: str, password: str) -> Session:
        """Start a session."""
        return await self._auth.login(email, password)

    async def sign_out(self, token: str) -> None:
        """End a session."""
        await self._auth.logout(token)

    async def account(self, token: str) -> Account:
        """Return the holder's account."""
        return await self._account(await self._auth.authenticate(token))

    async def change_password(self, token: str, *, current: str, new: str) -> None:
        """Replace the password; this session ends, too."""
        await self._auth.change_password(await self._holder(token), current=current, new=new)

    async def edit_profile(
        self,
        token: str,
        *,
        display_name: str | None = None,
        bio: str | None = None,
        website: str | None = None,
    ) -> Profile:
        """Change the given fields; `None` leaves a field as it is."""
        return await self._profiles.update_profile(
            user_id=await self._holder(token), display_name=display_name, bio=bio, website=website
        )

    async def find_people(self, token: str, text: str) -> list[Profile]:
        """Return the profiles whose name holds the text."""
        await self._holder(token)
        return self._profiles.find_profiles(text)

    def describe_settings(self) -> tuple[SettingSpec, ...]:
        """Return every setting there is."""
        return self._settings.describe_settings()

    async def change_setting(self, token: str, name: str, text: str) -> SettingValue:
        """Choose the value that the text stands for, and return it."""
        user_id = await self._holder(token)
        value = self._settings.parse_value(name, text)
        self._settings.change_setting(user_id, name, value)
        return value

    async def reset_setting(self, token: str, name: str) -> SettingValue:
        """Go back to the default and return it."""
        return self._settings.reset_setting(await self._holder(token), name)

    async def delete_account(self, token: str) -> None:
        """Forget the user, the profile, the settings and all sessions."""
        user_id = await self._holder(token)
        self._settings.clear_settings(user_id)
        await self._profiles.remove_profile(user_id)
        await self._auth.remove_user(user_id)  # last: until here the session allows another try

    async def _holder(self, token: str) -> UserId:
        return (await self._auth.authenticate(token)).user_id

    async def _account(self, user: User) -> Account:
        return Account(
            user=user,
            profile=await self._profiles.get_profile(user_id=user.user_id),
            settings=self._settings.all_settings(user_id=user.user_id),
        )
