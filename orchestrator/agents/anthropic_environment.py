"""What a model of Anthropic's works with while it is talked to, whatever its work is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.agents.toolbox import Result

__all__ = ["Deed", "Environment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """Something that the model's words did by themselves, told as if it had been a call of a tool."""

    tool: str
    result: Result
    arguments: Mapping[str, Any] = field(default_factory=dict)


class Environment(Protocol):
    """The words that a model is given, its tools, and what its own words do.

    The hooks of the stream are called in its order: `hear` for each piece of text, and then either `take_back` or
    `finish_answer`.
    """

    ending: str = ""
    """The tool by which the model says that it is done, if there is one; an answer in which nothing is done says so, too."""

    @property
    def system(self) -> str:
        """The system text; the same for all attempts, so that a provider can cache it."""
        ...

    @property
    def briefing(self) -> str:
        """What the model is told first."""
        ...

    def definitions(self) -> list[dict[str, Any]]:
        """Return name, description and JSON schema of each tool, in a fixed order: providers cache what begins alike."""
        ...

    async def call(self, name: str, given: dict[str, Any]) -> Result:
        """Carry out a call of a tool. Whatever is wrong with it is in the result.

        Raises:
            Over: the attempt cannot go on.
        """
        ...

    async def changed(self) -> bool:
        """Tell whether anything was changed, or nothing need be."""
        ...

    def open_todos(self) -> Sequence[str]:
        """Return the ids of the TODOs that must be done and are not."""
        ...

    def hear(self, words: str) -> None:
        """Take the next words of an answer as they come."""
        ...

    def take_back(self) -> None:
        """Undo what the words since the last whole answer did: no more will come of this one, and it may be asked for again."""
        ...

    def finish_answer(self) -> Sequence[Deed]:
        """Return what the words of the answer did, now that it is whole; the model is told of each."""
        ...
