"""The program as its users start it: one process for each command, one file for all of them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Program(unittest.TestCase):
    """Ada signs up, settles in and leaves."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.store = Path(folder.name) / "users.json"

    def run_program(self, *words: str, lines: str = "", code: int = 0) -> str:
        """Run one command, check how it ends, and return what it says (to stderr if it is refused)."""
        done = subprocess.run(
            [sys.executable, "-B", "-m", "src.app", "--store", str(self.store), *words],
            cwd=ROOT,
            input=lines,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        return (done.stderr if code else done.stdout).strip()

    def test_a_life_of_an_account(self) -> None:
        self.run_program("register", "ada@example.org", "--name", "Ada", lines="difference engine\n")
        token = self.run_program("login", "ada@example.org", lines="difference engine\n")
        self.assertNotIn("difference engine", self.store.read_text(encoding="utf-8"))
        self.run_program("profile", "edit", "--token", token, "--bio", "Numbers")
        shown = self.run_program("profile", "show", "--token", token)
        self.assertEqual("Name:    Ada\nBio:     Numbers", shown)
        self.assertEqual(
            "theme is dark.", self.run_program("settings", "set", "theme", "dark", "--token", token)
        )
        self.assertEqual("Deleted.", self.run_program("delete", "--token", token))
        refused = self.run_program("whoami", "--token", token, code=1)
        self.assertEqual("error: the session is over; log in again", refused)

    def test_a_file_that_is_no_store_is_left_alone(self) -> None:
        self.store.write_text("not a store", encoding="utf-8")
        self.assertTrue(self.run_program("whoami", code=1).startswith("error: cannot read"))
        self.assertEqual("not a store", self.store.read_text(encoding="utf-8"))
