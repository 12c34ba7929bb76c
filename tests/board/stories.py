"""What the board's tests share: a loop with an end, cards, and channels that shuffle time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from orchestrator.board import schema
from orchestrator.board.channel import ChannelClosed, Closing, MemoryChannel, memory_pair
from orchestrator.board.document import Document, Put
from orchestrator.board.ledger import Ledger
from orchestrator.board.log import MemoryLog
from orchestrator.board.seat import Seat
from orchestrator.board.wire import Kind, Message, decode, encode
from orchestrator.model.todo import TaskCard, Todo

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine

    from orchestrator.board.channel import Channel
    from orchestrator.board.hub import Hub
    from orchestrator.board.link import Dial
    from orchestrator.model.claims import GrantState

_T = TypeVar("_T")


def run(story: Coroutine[Any, Any, _T], *, seconds: float = 30) -> _T:
    """Run one story in a loop of its own; a story that hangs fails."""

    async def bounded() -> _T:
        async with asyncio.timeout(seconds):
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

    def close(self, reason: str = "", *, code: Closing = Closing.NORMAL) -> None:
        self._inner.close(reason, code=code)

    async def _pause(self) -> None:
        for _ in range(self._chance.randrange(6)):
            await asyncio.sleep(0)


class Held:
    """A channel whose messages are received and then kept from the reader until `gate` is set."""

    def __init__(self, inner: MemoryChannel, gate: asyncio.Event) -> None:
        self._inner = inner
        self.gate = gate

    async def send(self, data: bytes) -> None:
        await self._inner.send(data)

    async def receive(self) -> bytes:
        data = await self._inner.receive()
        await self.gate.wait()
        return data

    def close(self, reason: str = "", *, code: Closing = Closing.NORMAL) -> None:
        self._inner.close(reason, code=code)


async def take_seat(hub: Hub, agent: str, *, chance: random.Random) -> Seat:
    """Connect an agent through shuffled channel pairs; `leave` it at the end."""
    return Seat(agent, dialing(hub, lambda end: Shuffled(end, chance)))


def dialing(hub: Hub, through: Callable[[MemoryChannel], Channel], *, room: int = 4) -> Dial:
    """Connect to a hub in memory, both ends through something."""
    serving: set[asyncio.Task[None]] = set()

    async def dial(topic: str) -> Channel:
        here, there = memory_pair(room=room)
        task = asyncio.create_task(hub.serve(through(here), topic, writes=topic != schema.CTL))
        serving.add(task)
        task.add_done_callback(serving.discard)
        return through(there)

    return dial


async def leave(*seats: Seat) -> None:
    for seat in seats:
        seat.close()
        await seat.left()


class Raw:
    """A client that speaks messages, for what no `Seat` would send."""

    def __init__(self, hub: Hub, topic: str, *, writes: bool = True, room: int = 64) -> None:
        self.end, self.channel = memory_pair(room=room)
        self.document = Document()
        self.serving = asyncio.create_task(hub.serve(self.end, topic, writes=writes))

    async def send(self, kind: Kind, content: bytes = b"") -> None:
        await self.channel.send(encode(Message(kind, content)))

    async def write(self, update: bytes) -> None:
        """Send an update as the answer to the hub's question, so that it is taken."""
        await self.send(Kind.STEP2, update)

    async def hear(self, wanted: Kind | None = None) -> Message:
        """Return the next message, of one kind if it is said; the document takes in what comes."""
        while True:
            message = decode(await self.channel.receive())
            if message.kind in (Kind.STEP2, Kind.UPDATE):
                self.document.apply(message.content)
            if wanted in (None, message.kind):
                return message

    async def closing(self) -> ChannelClosed:
        """Return with what the hub ended the connection."""
        while True:
            try:
                await self.hear()
            except ChannelClosed as closed:
                return closed


async def raw_reader(hub: Hub, topic: str = schema.CTL, *, room: int = 64) -> Raw:
    """Follow a document; it has arrived."""
    raw = Raw(hub, topic, writes=False, room=room)
    await raw.send(Kind.STEP1, raw.document.state())
    await raw.hear(Kind.STEP2)
    return raw


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
