"""What a user can choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["SettingSpec", "SettingValue"]

SettingValue: TypeAlias = bool | int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingSpec:
    """One setting: its type is the type of its default, and a value outside the limits is refused."""

    name: str
    default: SettingValue
    description: str
    choices: tuple[str, ...] = ()  # of a text; empty means any
    minimum: int | None = None  # of a number
    maximum: int | None = None
