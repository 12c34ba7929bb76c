"""Every command, on real services in memory."""

from __future__ import annotations

import asyncio
import unittest
from pathlib import Path

from contracts.types.errors import SessionExpiredError
from src.api.accounts import AccountApi
from src.auth.passwords import ScryptCost
from src.auth.service import AuthService
from src.cli.commands import run_command
from src.cli.parser import build_parser
from src.profile.service import ProfileService
from src.settings.service import SettingsService
from src.shared.clock import ManualClock
from src.shared.store import MemoryStore


class Commands(unittest.TestCase):
    """Ada at her terminal."""

    def setUp(self) -> None:
        store = MemoryStore()
        self.api = AccountApi(
            auth=AuthService(store, clock=ManualClock(), cost=ScryptCost(n=2, r=1, p=1)),
            profiles=ProfileService(store),
            settings=SettingsService(store),
        )
        self.enter("register", "Ada@example.org", "--name", "Ada", secrets=["difference engine"])
        (self.token,) = self.enter("login", "ada@example.org", secrets=["difference engine"])

    def enter(self, *words: str, secrets: list[str] | None = None) -> list[str]:
        """Run one command and return the lines that it prints."""
        answers, lines = iter(secrets or []), list[str]()
        arguments = build_parser().parse_args(words)
        asyncio.run(run_command(self.api, arguments, ask=lambda _: next(answers), say=lines.append))
        return lines

    def as_ada(self, *words: str, secrets: list[str] | None = None) -> list[str]:
        return self.enter(*words, "--token", self.token, secrets=secrets)

    def test_whoami_and_logout(self) -> None:
        self.assertEqual(["ada@example.org, since 2030-01-01"], self.as_ada("whoami"))
        self.assertEqual(["Logged out."], self.as_ada("logout"))
        with self.assertRaises(SessionExpiredError):
            self.as_ada("whoami")

    def test_profile(self) -> None:
        self.assertEqual(["Name:    Ada"], self.as_ada("profile", "show"))
        edited = self.as_ada("profile", "edit", "--name", "Countess", "--website", "https://example.org")
        self.assertEqual(["Name:    Countess", "Website: https://example.org"], edited)
        self.assertEqual(["Name:    Countess"], self.as_ada("profile", "edit", "--website", ""))
        self.assertEqual(["Countess"], self.as_ada("profile", "find", "count"))

    def test_settings(self) -> None:
        self.assertEqual(["newsletter is on."], self.as_ada("settings", "set", "newsletter", "yes"))
        self.assertEqual(["theme is dark."], self.as_ada("settings", "set", "theme", "dark"))
        self.assertEqual(["theme is system again."], self.as_ada("settings", "reset", "theme"))
        expected = [
            "theme       system    How pages look.",
            "language    en        Language of pages.",
            "page_size   20        Entries on one page.",
            "newsletter  on        News by e-mail.",
        ]
        self.assertEqual(expected, self.as_ada("settings", "list"))

    def test_password(self) -> None:
        said = self.as_ada("password", secrets=["difference engine", "analytical engine"])
        self.assertEqual(["Changed. Log in again."], said)
        self.enter("login", "ada@example.org", secrets=["analytical engine"])

    def test_delete(self) -> None:
        self.assertEqual(["Deleted."], self.as_ada("delete"))
        with self.assertRaises(SessionExpiredError):
            self.as_ada("whoami")


class Arguments(unittest.TestCase):
    """What the parser fills in."""

    def test_the_store_can_be_named(self) -> None:
        self.assertEqual(Path("x.json"), build_parser().parse_args(["--store", "x.json", "whoami"]).store)
