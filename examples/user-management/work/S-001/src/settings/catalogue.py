"""Every setting of this application."""

from __future__ import annotations

from contracts.types.setting import SettingSpec

__all__ = ["SETTINGS"]

SETTINGS = (
    SettingSpec(
        name="theme", default="system", description="How pages look.", choices=("system", "light", "dark")
    ),
    SettingSpec(name="language", default="en", description="Language of pages.", choices=("en", "de", "fr")),
    SettingSpec(name="page_size", default=20, description="Entries on one page.", minimum=5, maximum=100),
    SettingSpec(name="newsletter", default=False, description="News by e-mail."),
)
