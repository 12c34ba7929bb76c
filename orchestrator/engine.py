"""The engine port: a store of keyed steps, and the local engine behind it.

`call(queue, key, step)` runs a step at least once and remembers its result under the key; a second call with the key
joins the first. Keys are `run/task/generation/step`, so that a retry is a new key. No engine makes landing happen exactly once;
git does (compare-and-swap, and trailers read from history). What an engine adds is where steps run, and how many at a time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["Engine", "LocalEngine"]


class Engine(Protocol):
    """Where keyed steps run."""

    async def call(self, queue: str, key: str, step: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:  # noqa: ANN401
        """Run a step, or join the one that runs or ran under this key, and return its result."""
        ...


class LocalEngine:
    """Steps as asyncio tasks of this process; a queue in `slots` runs at most that many at once."""

    def __init__(self, slots: Mapping[str, int]) -> None:
        self._slots = {queue: asyncio.Semaphore(count) for queue, count in slots.items()}
        self._steps: dict[str, asyncio.Task[Any]] = {}

    async def call(self, queue: str, key: str, step: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:  # noqa: ANN401
        """Run a step, or join the one that runs or ran under this key, and return its result.

        If the caller is cancelled, the step is too: nobody else would stop it.
        """
        if key not in self._steps:
            self._steps[key] = asyncio.create_task(self._run(queue, step, arguments), name=key)
        return await self._steps[key]

    async def _run(self, queue: str, step: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...]) -> Any:  # noqa: ANN401
        slot = self._slots.get(queue)
        if slot is None:
            return await step(*arguments)
        async with slot:
            return await step(*arguments)
