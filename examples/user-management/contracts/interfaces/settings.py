"""What users have chosen."""

from __future__ import annotations

from abc import ABC, abstractmethod

from contracts.types.setting import SettingSpec, SettingValue
from contracts.types.user import UserId

__all__ = ["ISettingsService"]


class ISettingsService(ABC):
    """Settings with a default and a type; nothing has to be created for a user first."""

    @abstractmethod
    def describe_settings(self) -> tuple[SettingSpec, ...]:
        """Return every setting there is, in the order to show them."""

    @abstractmethod
    def get_setting(self, user_id: UserId, name: str) -> SettingValue:
        """Return what the user chose, or the default.

        Raises:
            UnknownSettingError: there is no such setting.
        """

    @abstractmethod
    def all_settings(self, user_id: UserId) -> dict[str, SettingValue]:
        """Return the value of every setting."""

    @abstractmethod
    def change_setting(self, user_id: UserId, name: str, value: SettingValue) -> None:
        """Choose a value.

        Raises:
            UnknownSettingError: there is no such setting.
            InvalidSettingError: the value has another type or lies outside the limits.
        """

    @abstractmethod
    def reset_setting(self, user_id: UserId, name: str) -> SettingValue:
        """Go back to the default and return it.

        Raises:
            UnknownSettingError: there is no such setting.
        """

    @abstractmethod
    def parse_value(self, name: str, text: str) -> SettingValue:
        """Return the value that a text such as `on`, `25` or `dark` stands for.

        Raises:
            UnknownSettingError: there is no such setting.
            InvalidSettingError: the text stands for no value that fits.
        """

    @abstractmethod
    def clear_settings(self, user_id: UserId) -> None:
        """Forget all that the user chose."""
