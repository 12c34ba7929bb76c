"""What a computation costs, counted in calls: the same on every machine, however busy it is."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["at_most_calls"]


@contextmanager
def at_most_calls(limit: int) -> Iterator[None]:
    """Let the block make at most `limit` calls of functions, written in Python or in C, in this thread.

    Work inside one call of a function written in C is not seen; what never ends there meets the suite's time limit.

    Raises:
        AssertionError: at the call that is one too many, so that a computation that explodes ends there.
    """
    made = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal made
        if event in {"call", "c_call"}:
            made += 1
            if made > limit:
                sys.setprofile(None)
                message = f"more than {limit} calls"
                raise AssertionError(message)

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)
