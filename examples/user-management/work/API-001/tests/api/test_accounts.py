"""Accounts on the three real services."""

from __future__ import annotations

import unittest

from contracts.types.errors import (
    EmailTakenError,
    InvalidProfileError,
    InvalidSettingError,
    SessionExpiredError,
)
from src.api.accounts import AccountApi
from src.auth.passwords import ScryptCost
from src.auth.service import AuthService
from src.profile.service import ProfileService
from src.settings.service import SettingsService
from src.shared.store import MemoryStore

EMAIL, PASSWORD = "ada@example.org", "difference engine"


class Accounts(unittest.IsolatedAsyncioTestCase):
    """One user, from the first day to the last."""

    async def asyncSetUp(self) -> None:
        self.store = MemoryStore()
        self.api = AccountApi(
            auth=AuthService(self.store, cost=ScryptCost(n=2, r=1, p=1)),
            profiles=ProfileService(self.store),
            settings=SettingsService(self.store),
        )
        self.created = await self.api.sign_up(EMAIL, PASSWORD, display_name="Ada")
        self.token = (await self.api.sign_in(EMAIL, PASSWORD)).token

    async def test_a_new_account_has_a_profile_and_defaults(self) -> None:
        self.assertEqual(self.created, await self.api.account(self.token))
        self.assertEqual("Ada", self.created.profile.display_name)
        defaults = {spec.name: spec.default for spec in self.api.describe_settings()}
        self.assertEqual(defaults, self.created.settings)

    async def test_a_refused_profile_leaves_no_user(self) -> None:
        with self.assertRaises(InvalidProfileError):
            await self.api.sign_up("eve@example.org", PASSWORD, display_name="")
        await self.api.sign_up("eve@example.org", PASSWORD, display_name="Eve")

    async def test_a_taken_address_leaves_the_owner_alone(self) -> None:
        with self.assertRaises(EmailTakenError):
            await self.api.sign_up(EMAIL, PASSWORD, display_name="Eve")
        self.assertEqual(self.created, await self.api.account(self.token))

    async def test_profile_and_settings_change(self) -> None:
        profile = await self.api.edit_profile(self.token, bio="Numbers")
        self.assertEqual(25, await self.api.change_setting(self.token, "page_size", "25"))
        account = await self.api.account(self.token)
        self.assertEqual(("Ada", "Numbers"), (profile.display_name, profile.bio))
        self.assertEqual(profile, account.profile)
        self.assertEqual(25, account.settings["page_size"])
        self.assertEqual(20, await self.api.reset_setting(self.token, "page_size"))
        with self.assertRaises(InvalidSettingError):
            await self.api.change_setting(self.token, "page_size", "many")

    async def test_people_are_found_by_name(self) -> None:
        await self.api.sign_up("eve@example.org", PASSWORD, display_name="Eve")
        self.assertEqual(
            ["Eve"], [profile.display_name for profile in await self.api.find_people(self.token, "ev")]
        )

    async def test_a_new_password_ends_the_session(self) -> None:
        await self.api.change_password(self.token, current=PASSWORD, new="analytical engine")
        with self.assertRaises(SessionExpiredError):
            await self.api.account(self.token)
        await self.api.sign_in(EMAIL, "analytical engine")

    async def test_after_signing_out_nothing_is_allowed(self) -> None:
        await self.api.sign_out(self.token)
        for call in (
            self.api.account(self.token),
            self.api.edit_profile(self.token, bio="x"),
            self.api.find_people(self.token, ""),
            self.api.change_setting(self.token, "theme", "dark"),
            self.api.reset_setting(self.token, "theme"),
            self.api.change_password(self.token, current=PASSWORD, new="analytical engine"),
            self.api.delete_account(self.token),
        ):
            with self.assertRaises(SessionExpiredError):
                await call

    async def test_a_deleted_account_leaves_nothing(self) -> None:
        await self.api.change_setting(self.token, "theme", "dark")
        await self.api.delete_account(self.token)
        for name in ("users", "emails", "sessions", "profiles", "settings"):
            with self.subTest(table=name):
                self.assertEqual({}, dict(self.store.table(name)))
