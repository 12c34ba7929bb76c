"""When work side by side pays: what a plan's shape allows, and what landing many times costs. Pure."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from orchestrator.model.graph import topological_order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Payoff", "payoff_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Payoff:
    """What going parallel can bring: `tasks` one after another take as long as `length` of them on `jobs` agents.

    It is counted in tasks, all taken to be equally long, since nobody knows before how long each is. `landing` is the seconds
    that landing one task took here in earlier runs, merging and gates included; None if none has landed yet.
    """

    tasks: int
    jobs: int
    length: int
    landing: float | None

    @property
    def most(self) -> float:
        """How many times as fast the agents' part can be at best."""
        return self.tasks / self.length

    @property
    def break_even(self) -> float | None:
        """The seconds that a task must take for parallel work to be faster; None if that is not known, or never is.

        One agent lands once, `tasks` agents land `tasks` times, and in the worst case one after another:
        `tasks * t + landing = length * t + tasks * landing`.
        """
        if self.landing is None or self.length == self.tasks:
            return None
        return (self.tasks - 1) * self.landing / (self.tasks - self.length)

    def lines(self) -> list[str]:
        """Return what a person is told."""
        if self.tasks == 1:
            return []
        if self.length == self.tasks:
            return ["Nothing of it can run side by side: one agent does the same (orch run --mode sequential)."]
        shape = (
            f"Side by side on {self.jobs} agents it takes as long as {self.length} of its {self.tasks} tasks in a row:"
            f" at most {self.most:.1f} times as fast as one agent, if all take as long."
        )
        if self.landing is None:
            return [shape, "From what length of a task on that pays will be told once a run has landed something here."]
        return [
            shape,
            f"It pays if a task takes longer than about {self.break_even:.1f} s: landing one took {self.landing:.1f} s here.",
        ]


def payoff_of(needs: Mapping[str, Sequence[str]], jobs: int, landings: Sequence[float]) -> Payoff:
    """Return what going parallel can bring to tasks with these needs; `landings` are seconds of earlier ones, any number."""
    return Payoff(
        tasks=len(needs),
        jobs=min(jobs, len(needs)),
        length=_length(needs, jobs),
        landing=median(landings) if landings else None,
    )


def _length(needs: Mapping[str, Sequence[str]], jobs: int) -> int:
    """Return how many equally long tasks in a row `jobs` agents take, each beginning the first task that may begin."""
    order = {name: place for place, name in enumerate(topological_order(needs))}
    waiting = {name: len(set(before)) for name, before in needs.items()}
    after: dict[str, list[str]] = {name: [] for name in needs}
    for name, before in needs.items():
        for need in set(before):
            after[need].append(name)
    ready = [(place, name) for name, place in order.items() if not waiting[name]]
    heapq.heapify(ready)
    steps = 0
    while ready:
        steps += 1
        done = [heapq.heappop(ready)[1] for _ in range(min(jobs, len(ready)))]
        for name in (later for one in done for later in after[one]):
            waiting[name] -= 1
            if not waiting[name]:
                heapq.heappush(ready, (order[name], name))
    return steps
