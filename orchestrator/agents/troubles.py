"""What a program says when its provider, and not its work, is to blame, and when that is over. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import parsedate_to_datetime
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from orchestrator.model.plan import Strict

__all__ = ["Trouble", "TroubleRules", "seconds_until"]

LONGEST = 8 * 86400.0  # seconds; no quota known is of more than a week, and a program could say anything
_READ = 8000  # characters, the last of what was said
_SHOWN = 300
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = (
    r"(\d+(?:\.\d+)?)\s*(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)(?![a-z])"
)
_DURATION = re.compile(rf"(?:{_PART}[\s,]*(?:and\s+)?)+")
_CLOCK = re.compile(
    r"(\d{1,2})(?::(\d\d))?(?::\d\d)?\s*(am|pm)?\s*(?:\(?([a-z]+(?:/[a-z_+\-0-9]+)*)\)?)?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What is wrong with a provider, in whose words, and in how many seconds it is over, if that was said."""

    kind: Literal["quota", "overload", "login"]
    text: str
    seconds: float | None


class TroubleRules(Strict):
    """Regular expressions for what a program says; a group `reset` is when the provider takes requests again."""

    login: tuple[str, ...] = Field(default=(), description="the login is refused or missing: nobody tries again")
    quota: tuple[str, ...] = Field(default=(), description="the credential's quota is used up, or its rate too high")
    overload: tuple[str, ...] = Field(default=(), description="the provider has too much to do")

    @field_validator("login", "quota", "overload")
    @classmethod
    def _expressions(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                groups = re.compile(pattern, re.IGNORECASE).groupindex
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
            if strange := set(groups) - {"reset"}:
                raise ValueError(f"{pattern!r} names a group {strange.pop()!r}; the only one that is read is 'reset'")
        return patterns

    def find(self, said: str, reset: str, now: float) -> Trouble | None:
        """Return the trouble that a program tells of in what it `said`; `reset` is when it is over, if that was told apart.

        `now` is in seconds since the epoch.
        """
        said = said[-_READ:]
        kinds: tuple[Literal["login", "quota", "overload"], ...] = ("login", "quota", "overload")
        for kind in kinds:
            for pattern in getattr(self, kind):
                if found := re.search(pattern, said, re.IGNORECASE):
                    text = " ".join(said[found.start() :].split())[:_SHOWN]
                    told = found.groupdict().get("reset") or (reset if kind != "login" else "")
                    return Trouble(kind=kind, text=text, seconds=seconds_until(told, now) if told else None)
        return None


def seconds_until(text: str, now: float) -> float | None:
    """Return how many seconds after `now` (since the epoch) a provider says that it takes requests again; None if unreadable.

    It may be said as a moment (seconds or milliseconds since the epoch, ISO 8601, as in HTTP), as a time of day, `3pm
    (Europe/Berlin)`, or as a while: `20`, `1.5s`, `2 days 5 hours`. A time of day without a zone is that of this machine.
    """
    text = text.strip().rstrip(".")
    seconds: float | None
    if re.fullmatch(r"\d+(\.\d+)?", text):
        number = float(text)
        seconds = number / 1000 - now if number >= 1e11 else number - now if number >= 1e8 else number
    elif _DURATION.fullmatch(lowered := text.lower()):
        seconds = sum(float(amount) * _UNITS[_short(unit)] for amount, unit in re.findall(_PART, lowered))
    else:
        moment = _moment(text) or _time_of_day(text, now)
        seconds = None if moment is None else moment.timestamp() - now
    return None if seconds is None else min(max(seconds, 0.0), LONGEST)


def _short(unit: str) -> str:
    return "ms" if unit.startswith(("ms", "milli")) else unit[0]


def _moment(text: str) -> datetime | None:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(text)
        except ValueError:
            continue
        return moment if moment.tzinfo else moment.astimezone()
    return None


def _time_of_day(text: str, now: float) -> datetime | None:
    """Return the next moment at which it is this time of day."""
    found = _CLOCK.fullmatch(text)
    if found is None or not (found[2] or found[3]):
        return None
    hour, minute = int(found[1]), int(found[2] or 0)
    if found[3]:
        hour = hour % 12 + (12 if found[3].lower() == "pm" else 0)
    if hour > 23 or minute > 59:
        return None
    here = datetime.fromtimestamp(now, _zone(found[4]) or datetime.fromtimestamp(now, UTC).astimezone().tzinfo)
    then = here.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return then if then > here else then + timedelta(days=1)


def _zone(name: str | None) -> tzinfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ValueError, OSError, KeyError):
        return None
