"""Which values fit a setting, and how they are read from a text."""

from __future__ import annotations

from contracts.types.errors import InvalidSettingError
from contracts.types.setting import SettingSpec, SettingValue

__all__ = ["checked_value", "fits", "read_value"]

_SWITCH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def fits(spec: SettingSpec, value: object) -> bool:
    """Tell whether the value has the setting's type and lies within its limits."""
    if type(value) is not type(spec.default):  # exactly: for Python True is an int too
        return False
    if isinstance(value, str):
        return not spec.choices or value in spec.choices
    if isinstance(value, bool) or not isinstance(value, int):
        return True
    return (spec.minimum is None or value >= spec.minimum) and (spec.maximum is None or value <= spec.maximum)


def checked_value(spec: SettingSpec, value: SettingValue) -> SettingValue:
    """Return the value as it is.

    Raises:
        InvalidSettingError: it does not fit; the message says what would.
    """
    if not fits(spec, value):
        raise InvalidSettingError(f"{spec.name} cannot be {value!r}; it is {_expected(spec)}")
    return value


def read_value(spec: SettingSpec, text: str) -> SettingValue:
    """Return the value that a text stands for.

    Raises:
        InvalidSettingError: it stands for none that fits.
    """
    if isinstance(spec.default, str):
        return checked_value(spec, text)
    word = text.strip().casefold()
    if isinstance(spec.default, bool):
        return checked_value(spec, _SWITCH.get(word, text))
    try:
        return checked_value(spec, int(word))
    except ValueError:
        return checked_value(spec, text)


def _expected(spec: SettingSpec) -> str:
    if isinstance(spec.default, bool):
        return "on or off"
    if isinstance(spec.default, str):
        return "one of " + ", ".join(spec.choices) if spec.choices else "a text"
    if spec.minimum is not None and spec.maximum is not None:
        return f"a number from {spec.minimum} to {spec.maximum}"
    limits = (("at least", spec.minimum), ("at most", spec.maximum))
    return " ".join(["a number", *(f"{words} {limit}" for words, limit in limits if limit is not None)])
