"""What the board's tests share: a loop with an end, cards, and channels that shuffle time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from orchestrator.board import schema
from orchestrator.board.channel import MemoryChannel, memory_pair
from orchestrator.board.document import Document, Put
from orchestrator.board.ledger import Ledger
from orchestrator.board.log import MemoryLog
from orchestrator.board.seat import Seat
from orchestrator.model.todo import TaskCard, Todo

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine

    from orchestrator.board.hub import Hub
    from orchestrator.model.claims import GrantState

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


class Held:
    """A channel whose messages are received and then kept from the reader until `gate` is set."""

    def __init__(self, inner: MemoryChannel) -> None:
        self._inner = inner
        self.gate = asyncio.Event()
        self.gate.set()

    async def send(self, data: bytes) -> None:
        await self._inner.send(data)

    async def receive(self) -> bytes:
        data = await self._inner.receive()
        await self.gate.wait()
        return data

    def close(self, reason: str = "") -> None:
        self._inner.close(reason)


async def take_seat(hub: Hub, agent: str, *, chance: random.Random) -> tuple[Seat, asyncio.Task[None]]:
    """Connect an agent through a shuffled channel pair; return its seat, and the task that serves it."""
    here, there = memory_pair(room=4)
    seat = Seat(agent, Shuffled(there, chance))
    return seat, asyncio.create_task(hub.attach(Shuffled(here, chance), writes=seat.topic))


async def raw_seat(hub: Hub, agent: str) -> tuple[MemoryChannel, asyncio.Task[None]]:
    """Connect a client that speaks bytes, for what no `Seat` would send; the board has arrived."""
    here, there = memory_pair()
    serving = asyncio.create_task(hub.attach(here, writes=f"ag/{agent}/raw"))
    await there.receive()
    return there, serving


class Asker:
    """An agent without a channel: its document, joined to a ledger."""

    def __init__(self, ledger: Ledger, agent: str, incarnation: str = "1") -> None:
        self.topic = f"ag/{agent}/{incarnation}"
        self.ledger = ledger
        self.document = Document()
        self.nonce = 0
        ledger.join(self.topic)

    def write(self, name: str, key: str, value: str) -> None:
        self.ledger.receive(self.topic, self.document.write(Put(map=name, key=key, value=value)))

    def claim(self, key: str) -> None:
        self.nonce += 1
        self.write(schema.REQUESTS, key, schema.encode(schema.Wish(nonce=f"{self.topic}{self.nonce}")))

    def hand_in(self, key: str, gen: int, commit: str | None = None) -> None:
        self.nonce += 1
        work = schema.Submission(gen=gen, nonce=f"{self.topic}{self.nonce}", commit=commit)
        self.write(schema.SUBMISSIONS, key, schema.encode(work))


def board(log: MemoryLog | None = None) -> Ledger:
    return Ledger(log or MemoryLog(), lambda: 12.5)


def with_task(*todos: str) -> Ledger:
    ledger = board()
    ledger.publish_tasks([card("T", *todos, title="Do it")])
    ledger.open("T")
    return ledger


def standing(ledger: Ledger, key: str) -> tuple[GrantState | None, int, str | None]:
    task, todo = schema.split_key(key)
    view = ledger.snapshot().task(task)
    if todo is None:
        return view.state, view.gen, view.holder
    found = next(t for t in view.todos if t.id == todo)
    return found.state, found.gen, found.holder


def kinds(ledger: Ledger) -> list[str]:
    return [line.kind for line in ledger.snapshot().log]
