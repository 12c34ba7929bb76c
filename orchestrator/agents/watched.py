"""The guard of an agent of which only is known what it tells: a program with a loop of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.model.agent_events import AgentEvent, Called, Returned
from orchestrator.model.guards import Guard, against_ending, watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.agents.transcript import Transcript
    from orchestrator.model.agent_events import Advised

__all__ = ["Watched"]


class Watched:
    """Writes what an agent tells into its transcript, and knows when it must be told something, or be stopped.

    Whether a call had an effect, such an agent does not tell; so a call counts as one with an effect if it succeeded and was not
    made before. One that `can_be_told` something hears of a trouble first, and what it does until then is not held against it;
    any other is stopped when the trouble goes on. `why` is why the agent must be stopped, empty as long as it may go on.
    """

    def __init__(self, transcript: Transcript, *, can_be_told: bool) -> None:
        self._transcript = transcript
        self._can_be_told = can_be_told
        self._guard = Guard()
        self._calls: dict[str, str] = {}
        self._made: set[str] = set()
        self._hints: list[str] = []
        self.why = ""

    @property
    def has_hint(self) -> bool:
        """Tell whether there is something that the agent should be told."""
        return bool(self._hints)

    def tell(self, event: AgentEvent) -> None:
        """Take in what the agent did."""
        if isinstance(event, Called):
            self._calls[event.call] = f"{event.tool} {json.dumps(event.arguments, sort_keys=True, default=str)}"
        elif isinstance(event, Returned):
            event = self._with_effect(event)
        self._transcript.tell(event)
        if self._hints or self.why:
            return
        self._guard, advice = watch(self._guard, event)
        if advice is not None:
            self._heed(advice)

    def take_hint(self) -> str:
        """Return what the agent should be told now, and forget it; empty if there is nothing."""
        hint, self._hints = "\n".join(self._hints), []
        return hint

    def may_end(self, *, changed: bool, open_todos: Sequence[str]) -> Advised | None:
        """Return what is missing from an agent that calls itself done, if anything."""
        self._guard, advice = against_ending(self._guard, changed=changed, open_todos=open_todos)
        return advice

    def _with_effect(self, event: Returned) -> Returned:
        call = self._calls.pop(event.call, None)
        if call is None or event.failed:
            return event
        first = call not in self._made
        self._made.add(call)
        return replace(event, effect=first)

    def _heed(self, advice: Advised) -> None:
        self._transcript.tell(advice)
        if advice.stop:
            self.why = advice.text
            return
        self._guard = replace(self._guard, told=self._guard.told | self._guard.fresh, fresh=frozenset())
        if self._can_be_told:
            self._hints.append(advice.text)
