"""What the auth service does beyond its contract."""

from __future__ import annotations

import asyncio
import unittest

from contracts.types.errors import EmailTakenError, InvalidEmailError, WeakPasswordError
from src.auth.passwords import DEFAULT_COST, ScryptCost, hash_password, verify_password
from src.auth.rules import checked_email, checked_password
from src.auth.service import AuthService
from src.shared.store import MemoryStore

CHEAP = ScryptCost(n=2, r=1, p=1)


class Passwords(unittest.TestCase):
    """Hashes of passwords."""

    def test_only_the_right_password_fits(self) -> None:
        stored = hash_password("difference engine", CHEAP)
        self.assertTrue(verify_password("difference engine", stored))
        self.assertFalse(verify_password("difference engines", stored))

    def test_each_hash_has_its_own_salt(self) -> None:
        self.assertNotEqual(hash_password("same", CHEAP), hash_password("same", CHEAP))

    def test_the_default_cost_can_be_paid(self) -> None:
        self.assertTrue(
            verify_password("difference engine", hash_password("difference engine", DEFAULT_COST))
        )

    def test_a_hash_remembers_its_cost(self) -> None:
        self.assertTrue(hash_password("same", ScryptCost(n=4, r=2, p=3)).startswith("scrypt$4$2$3$"))


class Rules(unittest.TestCase):
    """Addresses and passwords."""

    def test_addresses(self) -> None:
        self.assertEqual("ada@example.org", checked_email(" Ada@Example.org"))
        for email in (
            "",
            "ada",
            "ada@",
            "@example.org",
            "a b@example.org",
            "ada@example",
            "a@b..c",
            "a" * 255,
        ):
            with self.subTest(email=email), self.assertRaises(InvalidEmailError):
                checked_email(email)

    def test_passwords(self) -> None:
        # "é" as one character and as "e" with an accent are one password.
        self.assertEqual("caf\u00e9 au lait", checked_password("cafe\u0301 au lait", "ada@example.org"))
        for password in ("", "9 letters", "x" * 1025, "Ada@Example.org"):
            with self.subTest(password=password), self.assertRaises(WeakPasswordError):
                checked_password(password, "ada@example.org")


class Secrets(unittest.IsolatedAsyncioTestCase):
    """What the store must not hold, and what must not happen twice."""

    async def test_no_secret_is_stored_or_shown(self) -> None:
        store = MemoryStore()
        auth = AuthService(store, cost=CHEAP)
        await auth.register("ada@example.org", "difference engine")
        session = await auth.login("ada@example.org", "difference engine")
        text = str([dict(store.table(name)) for name in ("users", "emails", "sessions")])
        self.assertNotIn("difference engine", text)
        self.assertNotIn(session.token, text)
        self.assertNotIn(session.token, repr(session))

    async def test_two_registrations_at_once_make_one_user(self) -> None:
        auth = AuthService(MemoryStore(), cost=CHEAP)
        results = await asyncio.gather(
            *(auth.register("ada@example.org", f"difference engine {number}") for number in range(4)),
            return_exceptions=True,
        )
        self.assertEqual(3, sum(isinstance(result, EmailTakenError) for result in results))
