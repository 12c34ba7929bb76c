"""The JSON file keeps the store's rules, and its records."""

from __future__ import annotations

import stat
import tempfile
import unittest
from pathlib import Path

from contracts.behaviors import store_behaviour
from contracts.types.errors import StoreError
from src.storage.json_file import JsonFileStore


def new_path(test: unittest.TestCase) -> Path:
    folder = tempfile.TemporaryDirectory()
    test.addCleanup(folder.cleanup)
    return Path(folder.name) / "users.json"


class JsonFileStoreKeepsTheRules(store_behaviour.StoreBehaviour):
    """`JsonFileStore` against `contracts/behaviors/store.md`."""

    def make(self) -> JsonFileStore:
        return JsonFileStore(new_path(self))


class JsonFile(unittest.TestCase):
    """What is in the file."""

    def setUp(self) -> None:
        self.path = new_path(self)

    def test_records_outlive_the_store(self) -> None:
        store = JsonFileStore(self.path)
        store.table("users")["ada"] = {"name": "Ada ♥"}
        store.table("sessions")["1"] = {}
        again = JsonFileStore(self.path)
        self.assertEqual({"ada": {"name": "Ada ♥"}}, dict(again.table("users")))
        again.table("users")["eve"] = {}
        self.assertEqual({"1": {}}, dict(JsonFileStore(self.path).table("sessions")))

    def test_reading_creates_no_file(self) -> None:
        self.assertEqual(0, len(JsonFileStore(self.path).table("users")))
        self.assertFalse(self.path.exists())

    def test_only_the_owner_can_read_it(self) -> None:
        JsonFileStore(self.path).table("users")["ada"] = {}
        self.assertEqual(0, stat.S_IMODE(self.path.stat().st_mode) & 0o077)

    def test_a_record_that_json_cannot_say_changes_nothing(self) -> None:
        store = JsonFileStore(self.path)
        store.table("users")["ada"] = {"age": 36}
        with self.assertRaises(TypeError):
            store.table("users")["ada"] = {"age": object()}
        self.assertEqual({"age": 36}, store.table("users")["ada"])
        self.assertEqual({"age": 36}, JsonFileStore(self.path).table("users")["ada"])
        self.assertEqual([self.path.name], [file.name for file in self.path.parent.iterdir()])

    def test_other_files_are_refused_and_left_alone(self) -> None:
        for text in ("", "{", "[]", '{"version": 2, "tables": {}}', '{"version": 1}'):
            self.path.write_text(text, encoding="utf-8")
            with self.subTest(text=text), self.assertRaises(StoreError):
                JsonFileStore(self.path)
            self.assertEqual(text, self.path.read_text(encoding="utf-8"))
