"""The rules of `profile.md` as tests; test modules derive a class from `ProfileBehaviour`.

Import this module, not the class, or the base class itself is collected as a test.
"""

from __future__ import annotations

import unittest
from abc import ABC, abstractmethod

from contracts.interfaces.profile import IProfileService
from contracts.types.errors import InvalidProfileError, ProfileExistsError, UserNotFoundError
from contracts.types.profile import Profile
from contracts.types.user import UserId

__all__ = ["ProfileBehaviour"]

ADA = UserId("ada")


class ProfileBehaviour(unittest.IsolatedAsyncioTestCase, ABC):
    """What every `IProfileService` does."""

    @abstractmethod
    def make(self) -> IProfileService:
        """Return a service without profiles."""

    def setUp(self) -> None:
        self.profiles = self.make()

    async def test_created_profile_is_found(self) -> None:
        created = await self.profiles.create_profile(ADA, " Ada Lovelace ")
        self.assertEqual(Profile(user_id=ADA, display_name="Ada Lovelace"), created)
        self.assertEqual(created, await self.profiles.get_profile(ADA))

    async def test_unknown_user_is_an_error(self) -> None:
        with self.assertRaises(UserNotFoundError):
            await self.profiles.get_profile(ADA)
        with self.assertRaises(UserNotFoundError):
            await self.profiles.update_profile(ADA, bio="Hello")
        await self.profiles.remove_profile(ADA)

    async def test_second_profile_is_refused(self) -> None:
        first = await self.profiles.create_profile(ADA, "Ada")
        with self.assertRaises(ProfileExistsError):
            await self.profiles.create_profile(ADA, "Ada again")
        self.assertEqual(first, await self.profiles.get_profile(ADA))

    async def test_bad_names_are_refused(self) -> None:
        for name in ("", "  ", "a" * 51, "two\nlines"):
            with self.subTest(name=name), self.assertRaises(InvalidProfileError):
                await self.profiles.create_profile(ADA, name)
        await self.profiles.create_profile(ADA, "a" * 50)

    async def test_update_changes_given_fields(self) -> None:
        await self.profiles.create_profile(ADA, "Ada")
        await self.profiles.update_profile(ADA, bio="Numbers", website="https://example.org/ada")
        changed = await self.profiles.update_profile(ADA, display_name="Countess", bio="")
        expected = Profile(user_id=ADA, display_name="Countess", website="https://example.org/ada")
        self.assertEqual(expected, changed)
        self.assertEqual(expected, await self.profiles.get_profile(ADA))

    async def test_refused_update_changes_nothing(self) -> None:
        before = await self.profiles.create_profile(ADA, "Ada")
        with self.assertRaises(InvalidProfileError):
            await self.profiles.update_profile(ADA, display_name="Countess", bio="x" * 281)
        self.assertEqual(before, await self.profiles.get_profile(ADA))

    async def test_website_is_a_web_address(self) -> None:
        await self.profiles.create_profile(ADA, "Ada")
        for address in ("javascript:alert(1)", "example.org", "https://", "http://[bad", "https://a b.org"):
            with self.subTest(address=address), self.assertRaises(InvalidProfileError):
                await self.profiles.update_profile(ADA, website=address)

    async def test_removed_profile_is_gone(self) -> None:
        await self.profiles.create_profile(ADA, "Ada")
        await self.profiles.remove_profile(ADA)
        with self.assertRaises(UserNotFoundError):
            await self.profiles.get_profile(ADA)

    async def test_search_is_sorted_and_limited(self) -> None:
        for key, name in (("1", "Grace Hopper"), ("2", "ada Byron"), ("3", "Ada Lovelace"), ("4", "Alan")):
            await self.profiles.create_profile(UserId(key), name)
        names = [found.display_name for found in self.profiles.find_profiles("ADA")]
        self.assertEqual(["ada Byron", "Ada Lovelace"], names)
        self.assertEqual(3, len(self.profiles.find_profiles("", limit=3)))
        self.assertEqual([], self.profiles.find_profiles("nobody"))
