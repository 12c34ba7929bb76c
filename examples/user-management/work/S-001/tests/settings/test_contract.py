"""The settings service keeps the settings rules."""

from __future__ import annotations

from contracts.behaviors import settings_behaviour
from src.settings.service import SettingsService
from src.shared.store import MemoryStore


class SettingsServiceKeepsTheRules(settings_behaviour.SettingsBehaviour):
    """`SettingsService` against `contracts/behaviors/settings.md`."""

    def make(self) -> SettingsService:
        return SettingsService(MemoryStore(), specs=settings_behaviour.CATALOGUE)
