"""All parts together, in one process."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

from contracts.types.errors import InvalidCredentialsError, TooManyAttemptsError
from src.app import build_api
from src.auth.passwords import ScryptCost
from src.shared.store import MemoryStore
from src.storage.json_file import JsonFileStore

CHEAP = ScryptCost(n=2, r=1, p=1)


class Wiring(unittest.IsolatedAsyncioTestCase):
    """What no part can show alone."""

    async def test_guessing_is_slowed_down(self) -> None:
        api = build_api(MemoryStore(), cost=CHEAP)
        for _ in range(5):
            with self.assertRaises(InvalidCredentialsError):
                await api.sign_in("ada@example.org", "a guess")
        with self.assertRaises(TooManyAttemptsError):
            await api.sign_in("ada@example.org", "a guess")

    async def test_an_account_outlives_the_process(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "users.json"
            first = build_api(JsonFileStore(path), cost=CHEAP)
            created = await first.sign_up("ada@example.org", "difference engine", display_name="Ada")
            session = await first.sign_in("ada@example.org", "difference engine")
            self.assertEqual(created, await build_api(JsonFileStore(path)).account(session.token))
