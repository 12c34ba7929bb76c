"""One breaker for each credential that a run's agents use: what one agent learns of a used-up quota, all of them obey.

Who meets it trips the breaker until the provider takes requests again. Until then no attempt of an agent with that credential
begins, and those that work wait. An attempt that would have to wait for long is put off instead, with its work kept; it
is not the work's fault, so no attempt is counted.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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

    async def wait(self, credential: str) -> None:
        """Wait until a credential may be used, as far as is known now."""
        await asyncio.sleep(self.left(credential))

    def resting(self, credentials: Mapping[str, str | None]) -> dict[str, float]:
        """Return which of these agents, by name with their credentials, must not begin now, and for how many seconds."""
        found = {name: self.left(credential) for name, credential in credentials.items()}
        return {name: seconds for name, seconds in found.items() if seconds > 0}
