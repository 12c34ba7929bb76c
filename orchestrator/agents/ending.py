"""How an attempt of our own agent loop is brought to its end from within, and how it ends at once when it is stopped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from orchestrator.model.outcome import Outcome, OutcomeStatus

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["Over", "unless_stopped"]

T = TypeVar("T")


class Over(Exception):
    """The attempt is over, and `outcome` says how."""

    def __init__(self, reason: str, status: OutcomeStatus = OutcomeStatus.FAILED, *, final: bool = False) -> None:
        super().__init__(reason)
        self.outcome = Outcome(status=status, reason=reason, final=final)


async def unless_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns; once the attempt is to stop, cancel it instead.

    Raises:
        Over: the attempt was stopped.
    """
    doing, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({doing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise Over("stopped before it was finished", OutcomeStatus.STOPPED)
    finally:
        stopped.cancel()
        doing.cancel()
        await asyncio.gather(doing, stopped, return_exceptions=True)
