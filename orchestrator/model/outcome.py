"""How an agent's attempt ended, as a value: a failing agent is a result, not an exception."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.model.shares import Share

__all__ = ["Outcome", "OutcomeStatus"]


class OutcomeStatus(StrEnum):
    """The ways an attempt can end."""

    DONE = "done"  # the agent says it has finished
    FAILED = "failed"  # the agent gave up, or its program failed
    TIMED_OUT = "timed-out"  # it used up its wall time
    STALLED = "stalled"  # it was silent for too long
    STOPPED = "stopped"  # we stopped it: the run ends, or somebody cancelled
    PUT_OFF = "put-off"  # its provider takes no requests for a long while


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt ended, what it cost, and the agent's own last words (untrusted text).

    `final` says that another attempt would end the same way: the agent's program does not exist. `shares` are what several
    authors wrote, where there were several, each to be a commit of its own. `remarks` are what a person should be told of it
    beside that, a sentence each.
    """

    status: OutcomeStatus
    reason: str = ""
    summary: str = ""
    seconds: float = 0.0
    cost_usd: float = 0.0
    tokens: int = 0
    turns: int = 0
    final: bool = False
    shares: tuple[Share, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def done(self) -> bool:
        """Tell whether there is work to look at."""
        return self.status is OutcomeStatus.DONE
