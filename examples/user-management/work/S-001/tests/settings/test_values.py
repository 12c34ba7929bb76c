"""Values, texts and what an older version left behind."""

from __future__ import annotations

import unittest

from contracts.types.errors import InvalidSettingError
from contracts.types.setting import SettingSpec
from contracts.types.user import UserId
from src.settings.catalogue import SETTINGS
from src.settings.service import SettingsService
from src.settings.values import checked_value, fits, read_value
from src.shared.store import MemoryStore

ADA = UserId("ada")


class Values(unittest.TestCase):
    """`src.settings.values` on single settings."""

    def test_every_default_fits_its_own_setting(self) -> None:
        for spec in SETTINGS:
            with self.subTest(name=spec.name):
                self.assertTrue(fits(spec, spec.default))
                self.assertEqual(spec.default, read_value(spec, str(spec.default)))

    def test_switches_are_read_from_words(self) -> None:
        spec = SettingSpec(name="loud", default=False, description="")
        for text, value in (("on", True), ("YES", True), (" true ", True), ("off", False), ("No", False)):
            with self.subTest(text=text):
                self.assertIs(value, read_value(spec, text))

    def test_the_message_says_what_fits(self) -> None:
        cases = (
            (SettingSpec(name="a", default=1, description="", minimum=1, maximum=9), "from 1 to 9"),
            (SettingSpec(name="a", default=1, description="", minimum=1), "at least 1"),
            (SettingSpec(name="a", default=True, description=""), "on or off"),
            (SettingSpec(name="a", default="x", description="", choices=("x", "y")), "x, y"),
        )
        for spec, words in cases:
            with self.subTest(words=words), self.assertRaisesRegex(InvalidSettingError, words):
                read_value(spec, "nonsense")
        with self.assertRaisesRegex(InvalidSettingError, "a text"):
            checked_value(SettingSpec(name="a", default="x", description=""), 1)


class OldChoices(unittest.TestCase):
    """The service on records that an older version wrote."""

    def test_a_choice_that_no_longer_fits_is_the_default(self) -> None:
        store = MemoryStore()
        store.table("settings")[ADA] = {"theme": "sepia", "page_size": 50, "gone": 1}
        settings = SettingsService(store)
        self.assertEqual("system", settings.get_setting(ADA, "theme"))
        self.assertEqual(50, settings.get_setting(ADA, "page_size"))
        self.assertNotIn("gone", settings.all_settings(ADA))

    def test_nothing_is_stored_for_defaults(self) -> None:
        store = MemoryStore()
        settings = SettingsService(store)
        settings.change_setting(ADA, "theme", "dark")
        settings.reset_setting(ADA, "theme")
        self.assertEqual(0, len(store.table("settings")))
