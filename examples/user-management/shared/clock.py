"""The time, as something that is handed in and never looked up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

__all__ = ["Clock", "ManualClock", "utc_now"]

Clock: TypeAlias = Callable[[], datetime]
"""Returns the present instant, aware and in UTC."""


def utc_now() -> datetime:
    """Return what time it really is."""
    return datetime.now(UTC)


class ManualClock:
    """A clock that stands still until it is told otherwise, for tests."""

    def __init__(self, start: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self._now = start

    def __call__(self) -> datetime:
        """Return the instant it was set to."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
