"""One breaker for each credential that a run's agents use: what one agent learns of a used-up quota, all of them obey.

Who meets it trips the breaker until the provider takes requests again. Until then no attempt of an agent with that credential
begins, and those that work wait. An attempt that would have to wait for long is put off instead, with its work kept; it
is not the work's fault, so no attempt is counted.

A credential that a provider refuses is barred: that is told once, and nobody shows it again in this run.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.agents.ending import Over, unless_stopped
from orchestrator.model.agent_events import Waited
from orchestrator.model.outcome import Outcome, OutcomeStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.agents.troubles import Trouble

__all__ = ["Governor"]

_LEAST = 0.05  # seconds for which a breaker is open


@dataclass(slots=True, kw_only=True)
class Governor:
    """The breakers of one run; `tell` gets a sentence when one opens.

    `patience` is how many seconds an attempt waits for a provider with its time limit running; for more, it is put off. `rest`
    is for how many seconds nobody asks a provider that goes on refusing, and does not say for how long.
    """

    tell: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    patience: float = 120.0
    rest: float = 60.0
    _until: dict[str, float] = field(default_factory=dict)
    _barred: dict[str, str] = field(default_factory=dict)

    def trip(self, credential: str, reason: str, seconds: float) -> None:
        """Let nobody use a credential for so many seconds; a longer time that is known already stays."""
        until = self.clock() + max(seconds, _LEAST)
        before = self._until.get(credential, -math.inf)
        if until <= before:
            return
        self._until[credential] = until
        if before <= self.clock():  # one sentence for all who meet it
            self.tell(f"{credential}: {reason}; its agents wait for {seconds:.0f} s")

    def left(self, credential: str | None) -> float:
        """Return for how many seconds a credential must not be used; 0 if it may be."""
        return max(0.0, self._until.get(credential or "", -math.inf) - self.clock())

    def bar(self, credential: str, reason: str) -> None:
        """Let nobody use a credential any more; the first reason stays."""
        if credential not in self._barred:
            self._barred[credential] = reason
            self.tell(f"{credential}: {reason}; nothing more is tried with it")

    def barred(self, credential: str) -> str:
        """Return why a credential must not be used any more; empty if it may be."""
        return self._barred.get(credential, "")

    async def sit_out(
        self, credential: str, trouble: Trouble, *, left: float, stop: asyncio.Event, tell: Callable[[Waited], None]
    ) -> Outcome | None:
        """Let all with a credential obey what a program was told, and wait; return None if it can go on, else how it ends.

        `left` is for how many seconds it can wait, 0 if it could not go on afterwards. `tell` hears of the wait.
        """
        if trouble.kind == "login":
            self.bar(credential, f"the login is refused ({trouble.text})")
            return Outcome(status=OutcomeStatus.FAILED, reason=self.barred(credential), final=True)
        seconds = self.rest if trouble.seconds is None else trouble.seconds
        self.trip(credential, trouble.text, seconds)
        seconds = self.left(credential)  # others may know of a longer time
        if seconds > min(self.patience, left):
            return Outcome(status=OutcomeStatus.PUT_OFF, reason=f"the provider takes no requests now: {trouble.text}")
        tell(Waited(reason=f"the provider is to blame: {trouble.text}", seconds=round(seconds, 1)))
        try:
            await self.wait(credential, stop)
        except Over as over:
            return over.outcome
        return None

    async def wait(self, credential: str, stop: asyncio.Event) -> None:
        """Wait until a credential may be used.

        Raises:
            Over: that is too long to wait for, or the attempt was stopped.
        """
        while (left := self.left(credential)) > 0:
            if left > self.patience:
                raise Over("the provider takes no requests now", OutcomeStatus.PUT_OFF)
            await unless_stopped(stop, asyncio.sleep(left))

    def resting(self, credentials: Mapping[str, str | None]) -> dict[str, float]:
        """Return which of these agents, by name with their credentials, must not begin now, and for how many seconds."""
        found = {name: self.left(credential) for name, credential in credentials.items()}
        return {name: seconds for name, seconds in found.items() if seconds > 0}
