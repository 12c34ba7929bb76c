"""What the board's tests share: a loop with an end, cards, and channels that shuffle time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from orchestrator.board.channel import MemoryChannel, memory_pair
from orchestrator.board.seat import Seat
from orchestrator.model.todo import TaskCard, Todo

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine

    from orchestrator.board.channel import Channel
    from orchestrator.board.hub import Hub

_T = TypeVar("_T")


def run(story: Coroutine[Any, Any, _T]) -> _T:
    """Run one story in a loop of its own; a story that hangs fails."""

    async def bounded() -> _T:
        async with asyncio.timeout(30):
            return await story

    return asyncio.run(bounded())


def card(task_id: str, *todos: str, **fields: Any) -> TaskCard:
    return TaskCard(id=task_id, todos=tuple(Todo(id=todo) for todo in todos), **fields)


async def until(true: Callable[[], bool]) -> None:
    """Let others go on until something is so."""
    while not true():
        for _ in range(20):
            await asyncio.sleep(0)


class Shuffled:
    """A channel that lets others run, a random number of times, before each message; order is kept."""

    def __init__(self, inner: MemoryChannel, chance: random.Random) -> None:
        self._inner = inner
        self._chance = chance

    async def send(self, data: bytes) -> None:
        await self._pause()
        await self._inner.send(data)

    async def receive(self) -> bytes:
        await self._pause()
        return await self._inner.receive()

    def close(self, reason: str = "") -> None:
        self._inner.close(reason)

    async def _pause(self) -> None:
        for _ in range(self._chance.randrange(6)):
            await asyncio.sleep(0)


async def take_seat(hub: Hub, agent: str, *, chance: random.Random | None = None) -> tuple[Seat, asyncio.Task[None]]:
    """Connect an agent through a channel pair; return its seat, and the task that serves it."""
    here, there = memory_pair(room=4)
    ours: Channel = Shuffled(here, chance) if chance else here
    theirs: Channel = Shuffled(there, chance) if chance else there
    seat = Seat(agent, theirs)
    return seat, asyncio.create_task(hub.attach(ours, writes=seat.topic))


async def raw_seat(hub: Hub, agent: str, incarnation: str = "raw") -> tuple[MemoryChannel, asyncio.Task[None]]:
    """Connect a client that speaks bytes, for what no `Seat` would send; the board has arrived."""
    here, there = memory_pair()
    serving = asyncio.create_task(hub.attach(here, writes=f"ag/{agent}/{incarnation}"))
    await there.receive()
    return there, serving
