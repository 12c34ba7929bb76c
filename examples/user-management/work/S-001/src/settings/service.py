"""Settings in a store."""

from __future__ import annotations

from contracts.interfaces.settings import ISettingsService
from contracts.interfaces.store import IStore
from contracts.types.errors import UnknownSettingError
from contracts.types.record import Record
from contracts.types.setting import SettingSpec, SettingValue
from contracts.types.user import UserId
from src.settings.catalogue import SETTINGS
from src.settings.values import checked_value, fits, read_value

__all__ = ["SettingsService"]


class SettingsService(ISettingsService):
    """Keeps only what differs from the defaults, so a new default reaches all who did not choose."""

    def __init__(self, store: IStore, *, specs: tuple[SettingSpec, ...] = SETTINGS) -> None:
        self._chosen = store.table("settings")
        self._specs = {spec.name: spec for spec in specs}

    def describe_settings(self) -> tuple[SettingSpec, ...]:
        """Return every setting there is, in the order to show them."""
        return tuple(self._specs.values())

    def get_setting(self, user_id: UserId, name: str) -> SettingValue:
        """Return what the user chose, or the default."""
        return _value(self._spec(name), self._choices(user_id))

    def all_settings(self, user_id: UserId) -> dict[str, SettingValue]:
        """Return the value of every setting."""
        choices = self._choices(user_id)
        return {name: _value(spec, choices) for name, spec in self._specs.items()}

    def change_setting(self, user_id: UserId, name: str, value: SettingValue) -> None:
        """Choose a value."""
        fitting = checked_value(self._spec(name), value)
        self._chosen[user_id] = {**self._choices(user_id), name: fitting}

    def reset_setting(self, user_id: UserId, name: str) -> SettingValue:
        """Go back to the default and return it."""
        spec = self._spec(name)
        rest = {key: value for key, value in self._choices(user_id).items() if key != name}
        if rest:
            self._chosen[user_id] = rest
        else:
            self.clear_settings(user_id)
        return spec.default

    def parse_value(self, name: str, text: str) -> SettingValue:
        """Return the value that a text such as `on`, `25` or `dark` stands for."""
        return read_value(self._spec(name), text)

    def clear_settings(self, user_id: UserId) -> None:
        """Forget all that the user chose."""
        self._chosen.pop(user_id, None)

    def _choices(self, user_id: UserId) -> Record:
        return self._chosen.get(user_id, {})

    def _spec(self, name: str) -> SettingSpec:
        if name not in self._specs:
            raise UnknownSettingError(f"there is no setting {name!r}; there are {', '.join(self._specs)}")
        return self._specs[name]


def _value(spec: SettingSpec, choices: Record) -> SettingValue:
    """Return the choice, or the default where none was made or an older version allowed what is wrong now."""
    chosen: SettingValue = choices.get(spec.name, spec.default)
    return chosen if fits(spec, chosen) else spec.default
