"""What a test does that needs a program which is not here: it is skipped, or, if nothing may be left out, it fails."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

__all__ = ["not_here"]

_ALL = os.environ.get("ORCH_TEST_ALL", "") not in ("", "0")  # read now: tests are sealed from such variables


def not_here(reason: str) -> NoReturn:
    """Skip the test that asks, and say why; with `ORCH_TEST_ALL=1` it fails."""
    if _ALL:
        pytest.fail(f"{reason} (ORCH_TEST_ALL is set, so nothing may be skipped for that)", pytrace=False)
    pytest.skip(reason)
