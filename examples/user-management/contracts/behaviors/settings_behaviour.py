"""The rules of `settings.md` as tests; test modules derive a class from `SettingsBehaviour`.

Import this module, not the class, or the base class itself is collected as a test.
"""

from __future__ import annotations

import unittest
from abc import ABC, abstractmethod

from contracts.interfaces.settings import ISettingsService
from contracts.types.errors import InvalidSettingError, UnknownSettingError
from contracts.types.setting import SettingSpec
from contracts.types.user import UserId

__all__ = ["CATALOGUE", "SettingsBehaviour"]

ADA, EVE = UserId("ada"), UserId("eve")

CATALOGUE = (
    SettingSpec(name="colour", default="red", description="A text.", choices=("red", "blue")),
    SettingSpec(name="size", default=10, description="A number.", minimum=1, maximum=20),
    SettingSpec(name="loud", default=False, description="A switch."),
)
"""The settings that the tests ask for."""


class SettingsBehaviour(unittest.TestCase, ABC):
    """What every `ISettingsService` does."""

    @abstractmethod
    def make(self) -> ISettingsService:
        """Return a service for the settings in `CATALOGUE`, with nothing chosen yet."""

    def setUp(self) -> None:
        self.settings = self.make()

    def test_defaults_at_first(self) -> None:
        self.assertEqual({"colour": "red", "size": 10, "loud": False}, self.settings.all_settings(ADA))
        self.assertEqual(CATALOGUE, self.settings.describe_settings())

    def test_change_and_reset(self) -> None:
        self.settings.change_setting(ADA, "size", 20)
        self.assertEqual(20, self.settings.get_setting(ADA, "size"))
        self.assertEqual(10, self.settings.reset_setting(ADA, "size"))
        self.assertEqual(10, self.settings.get_setting(ADA, "size"))

    def test_types_are_kept_apart(self) -> None:
        for name, value in (("size", True), ("size", "7"), ("loud", 1), ("colour", False)):
            with self.subTest(name=name, value=value), self.assertRaises(InvalidSettingError):
                self.settings.change_setting(ADA, name, value)

    def test_refused_value_changes_nothing(self) -> None:
        self.settings.change_setting(ADA, "colour", "blue")
        for name, value in (("size", 0), ("size", 21), ("colour", "green")):
            with self.subTest(name=name, value=value), self.assertRaises(InvalidSettingError):
                self.settings.change_setting(ADA, name, value)
        self.assertEqual({"colour": "blue", "size": 10, "loud": False}, self.settings.all_settings(ADA))

    def test_users_are_kept_apart(self) -> None:
        self.settings.change_setting(ADA, "loud", True)
        self.assertIs(False, self.settings.get_setting(EVE, "loud"))
        self.settings.clear_settings(EVE)
        self.assertIs(True, self.settings.get_setting(ADA, "loud"))
        self.settings.clear_settings(ADA)
        self.assertIs(False, self.settings.get_setting(ADA, "loud"))

    def test_unknown_names_are_errors(self) -> None:
        with self.assertRaises(UnknownSettingError):
            self.settings.get_setting(ADA, "taste")
        with self.assertRaises(UnknownSettingError):
            self.settings.change_setting(ADA, "taste", "sweet")
        with self.assertRaises(UnknownSettingError):
            self.settings.reset_setting(ADA, "taste")
        with self.assertRaises(UnknownSettingError):
            self.settings.parse_value("taste", "sweet")

    def test_texts_are_read_back(self) -> None:
        for name, value in (("colour", "blue"), ("size", 7), ("loud", True), ("loud", False)):
            with self.subTest(name=name, value=value):
                parsed = self.settings.parse_value(name, str(value))
                self.assertEqual((type(value), value), (type(parsed), parsed))
        for name, text in (("size", "seven"), ("size", "99"), ("loud", "perhaps"), ("colour", "green")):
            with self.subTest(name=name, text=text), self.assertRaises(InvalidSettingError):
                self.settings.parse_value(name, text)
