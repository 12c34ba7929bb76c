"""The throttle keeps the auth rules and slows guessing down."""

from __future__ import annotations

import asyncio
import unittest

from contracts.behaviors import auth_behaviour
from contracts.types.errors import InvalidCredentialsError, TooManyAttemptsError
from src.auth.passwords import ScryptCost
from src.auth.service import AuthService
from src.auth.throttle import ThrottledAuthService
from src.shared.clock import Clock, ManualClock
from src.shared.store import MemoryStore

EMAIL, PASSWORD = "ada@example.org", "difference engine"


def throttled(clock: Clock, store: MemoryStore) -> ThrottledAuthService:
    inner = AuthService(store, clock=clock, cost=ScryptCost(n=2, r=1, p=1))
    return ThrottledAuthService(inner, store, clock=clock, limit=3)


class ThrottleKeepsTheRules(auth_behaviour.AuthBehaviour):
    """`ThrottledAuthService` against `contracts/behaviors/auth.md`."""

    def make(self) -> ThrottledAuthService:
        return throttled(self.clock, MemoryStore())


class Throttle(unittest.IsolatedAsyncioTestCase):
    """Three failures, then wait."""

    async def asyncSetUp(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore()
        self.auth = throttled(self.clock, self.store)
        await self.auth.register(EMAIL, PASSWORD)

    async def guess(self, times: int) -> None:
        for _ in range(times):
            with self.assertRaises(InvalidCredentialsError):
                await self.auth.login(EMAIL, "a guess")

    async def test_too_many_failures_lock_the_address_for_a_while(self) -> None:
        await self.guess(3)
        with self.assertRaisesRegex(TooManyAttemptsError, "00:15 UTC"):
            await self.auth.login(EMAIL, PASSWORD)
        self.clock.advance(15 * 60)
        await self.auth.login(EMAIL, PASSWORD)

    async def test_another_address_is_not_locked(self) -> None:
        await self.auth.register("eve@example.org", PASSWORD)
        await self.guess(3)
        await self.auth.login("eve@example.org", PASSWORD)

    async def test_a_success_starts_again_from_nothing(self) -> None:
        for _ in range(3):
            await self.guess(2)
            await self.auth.login(EMAIL, PASSWORD)

    async def test_guesses_at_once_are_counted(self) -> None:
        guesses = (self.auth.login(EMAIL, f"guess number {number}") for number in range(10))
        results = await asyncio.gather(*guesses, return_exceptions=True)
        self.assertEqual(3, sum(isinstance(result, InvalidCredentialsError) for result in results))
        self.assertEqual(7, sum(isinstance(result, TooManyAttemptsError) for result in results))

    async def test_old_failures_are_forgotten(self) -> None:
        await self.guess(2)
        self.clock.advance(60 * 60)
        await self.auth.login(EMAIL, PASSWORD)
        self.assertEqual({}, dict(self.store.table("login_attempts")))
