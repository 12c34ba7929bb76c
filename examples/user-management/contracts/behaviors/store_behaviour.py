"""The rules of `store.md` as tests; test modules derive a class from `StoreBehaviour`.

Import this module, not the class, or the base class itself is collected as a test.
"""

from __future__ import annotations

import unittest
from abc import ABC, abstractmethod

from contracts.interfaces.store import IStore

__all__ = ["StoreBehaviour"]


class StoreBehaviour(unittest.TestCase, ABC):
    """What every `IStore` does."""

    @abstractmethod
    def make(self) -> IStore:
        """Return an empty store."""

    def setUp(self) -> None:
        self.store = self.make()

    def test_a_name_is_one_table(self) -> None:
        self.store.table("users")["ada"] = {"age": 36}
        self.assertEqual({"age": 36}, self.store.table("users")["ada"])
        self.assertEqual(["ada"], list(self.store.table("users")))
        del self.store.table("users")["ada"]
        self.assertEqual(0, len(self.store.table("users")))

    def test_tables_are_kept_apart(self) -> None:
        self.store.table("users")["ada"] = {}
        self.assertNotIn("ada", self.store.table("sessions"))

    def test_records_are_copies(self) -> None:
        table = self.store.table("users")
        record = {"names": ["Ada"]}
        table["ada"] = record
        record["names"].append("changed after it was stored")
        table["ada"]["names"].append("changed after it was read")
        self.assertEqual({"names": ["Ada"]}, table["ada"])

    def test_missing_key_is_an_error(self) -> None:
        with self.assertRaises(KeyError):
            _ = self.store.table("users")["nobody"]
        with self.assertRaises(KeyError):
            del self.store.table("users")["nobody"]
        self.assertIsNone(self.store.table("users").get("nobody"))
