"""The rules of `auth.md` as tests; test modules derive a class from `AuthBehaviour`.

Import this module, not the class, or the base class itself is collected as a test.
"""

from __future__ import annotations

import unittest
from abc import ABC, abstractmethod

from contracts.interfaces.auth import IAuthService
from contracts.types.errors import (
    EmailTakenError,
    InvalidCredentialsError,
    InvalidEmailError,
    SessionExpiredError,
    UserNotFoundError,
    WeakPasswordError,
)
from contracts.types.user import UserId
from src.shared.clock import ManualClock

__all__ = ["AuthBehaviour"]

EMAIL = "ada@example.org"
PASSWORD = "difference engine"


class AuthBehaviour(unittest.IsolatedAsyncioTestCase, ABC):
    """What every `IAuthService` does."""

    @abstractmethod
    def make(self) -> IAuthService:
        """Return a service without users that reads the time from `self.clock`."""

    def setUp(self) -> None:
        self.clock = ManualClock()
        self.auth = self.make()

    async def test_register_then_login(self) -> None:
        user = await self.auth.register(EMAIL, PASSWORD)
        session = await self.auth.login(EMAIL, PASSWORD)
        self.assertEqual(user.user_id, session.user_id)
        self.assertEqual(user, await self.auth.authenticate(session.token))
        self.assertEqual(user, self.auth.find_user(user.user_id))
        self.assertEqual(self.clock(), user.created_at)

    async def test_unknown_user_is_an_error(self) -> None:
        nobody = UserId("nobody")
        with self.assertRaises(UserNotFoundError):
            self.auth.find_user(nobody)
        with self.assertRaises(UserNotFoundError):
            await self.auth.remove_user(nobody)
        with self.assertRaises(UserNotFoundError):
            await self.auth.change_password(nobody, current=PASSWORD, new=PASSWORD)

    async def test_one_address_is_one_user(self) -> None:
        user = await self.auth.register(" Ada@Example.ORG ", PASSWORD)
        self.assertEqual(EMAIL, user.email)
        with self.assertRaises(EmailTakenError):
            await self.auth.register(EMAIL, PASSWORD)
        session = await self.auth.login("ADA@example.org", PASSWORD)
        self.assertEqual(user.user_id, session.user_id)

    async def test_refusals_look_alike(self) -> None:
        await self.auth.register(EMAIL, PASSWORD)
        with self.assertRaises(InvalidCredentialsError) as wrong_password:
            await self.auth.login(EMAIL, "analytical engine")
        with self.assertRaises(InvalidCredentialsError) as unknown_address:
            await self.auth.login("eve@example.org", PASSWORD)
        self.assertEqual(str(wrong_password.exception), str(unknown_address.exception))

    async def test_refused_registration_leaves_nothing(self) -> None:
        with self.assertRaises(WeakPasswordError):
            await self.auth.register(EMAIL, "short")
        with self.assertRaises(InvalidEmailError):
            await self.auth.register("ada at example.org", PASSWORD)
        await self.auth.register(EMAIL, PASSWORD)

    async def test_session_ends_on_time(self) -> None:
        await self.auth.register(EMAIL, PASSWORD)
        session = await self.auth.login(EMAIL, PASSWORD)
        self.clock.advance((session.expires_at - self.clock()).total_seconds() - 1)
        await self.auth.authenticate(session.token)
        self.clock.advance(1)
        with self.assertRaises(SessionExpiredError):
            await self.auth.authenticate(session.token)

    async def test_logout_ends_one_session(self) -> None:
        await self.auth.register(EMAIL, PASSWORD)
        first = await self.auth.login(EMAIL, PASSWORD)
        second = await self.auth.login(EMAIL, PASSWORD)
        await self.auth.logout(first.token)
        await self.auth.logout(first.token)
        with self.assertRaises(SessionExpiredError):
            await self.auth.authenticate(first.token)
        await self.auth.authenticate(second.token)

    async def test_new_password_ends_all_sessions(self) -> None:
        user = await self.auth.register(EMAIL, PASSWORD)
        session = await self.auth.login(EMAIL, PASSWORD)
        with self.assertRaises(InvalidCredentialsError):
            await self.auth.change_password(user.user_id, current="not the one", new="analytical engine")
        with self.assertRaises(WeakPasswordError):
            await self.auth.change_password(user.user_id, current=PASSWORD, new="short")
        await self.auth.authenticate(session.token)
        await self.auth.change_password(user.user_id, current=PASSWORD, new="analytical engine")
        with self.assertRaises(SessionExpiredError):
            await self.auth.authenticate(session.token)
        with self.assertRaises(InvalidCredentialsError):
            await self.auth.login(EMAIL, PASSWORD)
        await self.auth.login(EMAIL, "analytical engine")

    async def test_removed_user_is_gone(self) -> None:
        user = await self.auth.register(EMAIL, PASSWORD)
        session = await self.auth.login(EMAIL, PASSWORD)
        await self.auth.remove_user(user.user_id)
        with self.assertRaises(SessionExpiredError):
            await self.auth.authenticate(session.token)
        again = await self.auth.register(EMAIL, PASSWORD)
        self.assertNotEqual(user.user_id, again.user_id)
