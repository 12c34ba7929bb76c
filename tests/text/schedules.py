"""Random schedules: agents that write into one file through the hub's rooms, some killed and some cut off, and what must be so
in the end."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.board.channel import Channel, memory_pair
from orchestrator.board.files import RUN, agent_author, file_topic
from orchestrator.board.hub import Hub
from orchestrator.board.link import Backoff
from orchestrator.board.log import MemoryLog
from orchestrator.board.wire import read_number
from orchestrator.errors import BoardError
from orchestrator.text.authorship import Authorship
from orchestrator.text.seat import FileSeat
from orchestrator.text.slots import Slot, close_all
from tests.board.stories import Shuffled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from collections.abc import Set as AbstractSet

    from orchestrator.board.document import Replica
    from orchestrator.board.link import Dial

PATH = "src/fenêtre.tsx"
TOPIC = file_topic(PATH)
LETTERS = ["a", "b", " ", "\n", "é", "漢", "😀", "👩‍👩‍👧", "𝄞", "ß"]


def quick() -> Backoff:
    return Backoff(first=0.0005, most=0.002)


def dial_in_memory(hub: Hub, chance: random.Random) -> Callable[[str], Dial]:
    """Connect to a hub of this process, each end through a channel that lets others run for a random while."""
    serving: set[asyncio.Task[None]] = set()

    def dial_as(author: str) -> Dial:
        async def dial(topic: str) -> Channel:
            here, there = memory_pair(room=4)
            task = asyncio.create_task(hub.serve(Shuffled(here, chance), topic, writes=True, by=author))
            serving.add(task)
            task.add_done_callback(serving.discard)
            return Shuffled(there, chance)

        return dial

    return dial_as


@asynccontextmanager
async def a_hub() -> AsyncIterator[Hub]:
    hub = Hub(MemoryLog(), lambda: 12.5)
    hub.files.open(PATH)
    try:
        yield hub
    finally:
        await hub.close()


@dataclass
class Written:
    """What one slot was given: words, and slots inside of it; a boundary stands before it, by somebody else."""

    slot: Slot | None
    author: str
    parts: list[str | Written] = field(default_factory=list)
    boundary: str = ""

    def whole(self, lost: AbstractSet[str] = frozenset()) -> str:
        """Return what must stand in the slot, without words that did not arrive."""
        return "".join(
            part.all(lost) if isinstance(part, Written) else "" if part in lost else part for part in self.parts
        )

    def all(self, lost: AbstractSet[str] = frozenset()) -> str:
        """Return the same with the boundary."""
        return ("" if self.boundary in lost else self.boundary) + self.whole(lost)


@dataclass
class Agent:
    author: str
    seat: FileSeat
    opened: list[Written] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    killed: bool = False


class Schedule:
    """One random history of one file."""

    def __init__(self, seed: int, hub: Hub, dial_as: Callable[[str], Dial], *, agents: int | None = None) -> None:
        self.chance = random.Random(seed)
        self.hub = hub
        self.dial_as = dial_as
        self.count = agents or self.chance.randint(2, 6)
        self.ascii = self.chance.random() < 0.2
        self.pause = self.chance.choice([0, 0.004, 0.012])  # the hub collects for some 6 ms: see little, some, or most
        self.closes_early = self.chance.random() < 0.5
        self.scaffold = "".join(
            f"<{n}{'' if self.ascii else chr(0x4E00 + n)}>\n" for n in range(self.chance.randint(1, 4))
        )
        self.written: list[Written] = []
        self.reserved: list[tuple[str, Written]] = []
        self.words = 0
        self.seats: list[FileSeat] = []
        self.authorship = Authorship()
        hub.files.follow(PATH, self.authorship.take)

    async def play(self, *, kill: bool, cut: bool) -> None:
        try:
            await self._play(kill=kill, cut=cut)
        finally:
            for seat in self.seats:
                await seat.close()

    def _seat(self, author: str) -> FileSeat:
        seat = FileSeat(TOPIC, author, self.dial_as(author), backoff=quick())
        self.seats.append(seat)
        return seat

    async def _play(self, *, kill: bool, cut: bool) -> None:
        run = self._seat(RUN)
        await run.synced()
        slot, _ = run.slots.open(0)
        slot.append(self.scaffold)
        slot.close()
        agents = []
        for n in range(self.count):
            author = agent_author(f"a{n}")
            agents.append(Agent(author, self._seat(author)))
        for agent in agents:
            await until_true(lambda a=agent: str(a.seat.text).startswith("<"))  # type: ignore[misc]
        killed = agents[0] if kill else None
        await asyncio.gather(
            *(self._write(a, agents, is_killed=a is killed, is_cut=cut and a is agents[-1]) for a in agents)
        )
        alive = [a for a in agents if not a.killed]
        await self._finish(run, alive, killed)

    async def _write(self, agent: Agent, others: list[Agent], *, is_killed: bool, is_cut: bool) -> None:
        steps = self.chance.randint(8, 30)
        cut_at = self.chance.randrange(steps)
        for step in range(steps):
            if is_cut and step == cut_at:
                drop_connection(agent.seat)
            if is_killed and step == cut_at:
                agent.killed = True
                drop_connection(agent.seat)
                await agent.seat.close()
                return
            self._step(agent, others)
            for _ in range(self.chance.randrange(8)):
                await asyncio.sleep(0)
            await asyncio.sleep(self.pause * self.chance.random())

    def _step(self, agent: Agent, others: list[Agent]) -> None:
        mine = [w for w in agent.opened if w.slot is not None]
        self._adopt(agent)
        if not mine or self.chance.random() < 0.1:
            self._open(agent, others)
            return
        written = self.chance.choice(mine)
        assert written.slot is not None
        roll = self.chance.random()
        if roll < 0.06:
            boundary = self._word(agent)
            inner = Written(None, agent.author, boundary=boundary)
            inner.slot = agent.seat.slots.adopt(written.slot.append_with_slot(boundary))
            written.parts.append(inner)
            agent.opened.append(inner)
        elif roll < 0.1 and self.closes_early and not any(isinstance(part, Written) for part in written.parts):
            written.slot.close()
            written.slot = None
        else:
            word = self._word(agent)
            written.slot.append(word)
            written.parts.append(word)

    def _open(self, agent: Agent, others: list[Agent]) -> None:
        position = self._position(agent)
        if position is None:
            return
        if self.chance.random() < 0.2:
            other = self.chance.choice(others)
            boundary = self._word(agent)
            slot_id = agent.seat.slots.open_after(position, boundary, owner=other.author)
            written = Written(None, other.author, boundary=boundary)
            self.reserved.append((slot_id, written))
        else:
            slot, _ = agent.seat.slots.open(position)
            written = Written(slot, agent.author)
            agent.opened.append(written)
        self.written.append(written)

    def _adopt(self, agent: Agent) -> None:
        slots = agent.seat.text.layout().slots
        for slot_id, written in list(self.reserved):
            if written.author == agent.author and slot_id in slots:
                written.slot = agent.seat.slots.adopt(slot_id)
                agent.opened.append(written)
                self.reserved.remove((slot_id, written))

    def _position(self, agent: Agent) -> int | None:
        """Choose where others want to be, too: around the lines of the scaffold, or inside what somebody else writes."""
        layout = agent.seat.text.layout()
        line = self.chance.choice(self.scaffold.splitlines(keepends=True))
        at = layout.text.index(line)
        if self.closes_early or self.chance.random() < 0.6:
            return self.chance.choice([0, at, at + len(line), len(layout.text)])
        others = [layout.content(slot) for slot, owner in layout.slots.items() if owner != agent.author]
        return self.chance.randint(*self.chance.choice(others)) if others else None

    def _word(self, agent: Agent) -> str:
        self.words += 1
        letters = "ab \n" if self.ascii else LETTERS
        agent.said.append(f"[{self.words}{''.join(self.chance.choices(letters, k=self.chance.randint(0, 5)))}]")
        return agent.said[-1]

    async def _finish(self, run: FileSeat, alive: list[Agent], killed: Agent | None) -> None:
        seats = [run, *(agent.seat for agent in alive)]
        for slot_id, written in self.reserved:  # nobody came for these
            assert not written.parts, slot_id
        await self._settled(seats)
        text = str(run.text)
        self._check(text, killed)
        for agent in alive:
            for written in agent.opened:
                if written.slot is not None:
                    assert written.slot.content() == written.whole()
                    written.slot.close()
        for author in {killed.author} if killed else ():
            close_all(run.text, author)
        for _, written in self.reserved:
            close_all(run.text, written.author)
        await self._settled(seats)
        assert str(run.text) == text
        assert not run.text.layout().slots
        assert self.authorship.text() == text

    async def _settled(self, seats: list[FileSeat]) -> None:
        """Wait until all replicas and the hub are equal, which must come about by itself."""

        def equal() -> bool:
            replicas = [self.hub._books.documents[TOPIC], *(seat.text for seat in seats)]
            segments = seats[0].text.segments()
            return len({clocks(r) for r in replicas}) == 1 and all(s.text.segments() == segments for s in seats)

        await until_true(equal)

    def _check(self, text: str, killed: Agent | None) -> None:
        """Check that all words that were said stand where they must, and that nothing else does."""
        arrived = [word for word in killed.said if word in text] if killed else []
        lost = frozenset(killed.said[len(arrived) :]) if killed else frozenset()
        assert killed is None or arrived == killed.said[: len(arrived)]
        rest = text
        authors = [r.author for r in self.authorship.ranges() for _ in range(r.start, r.end)]
        for written in self.written:
            whole = written.all(lost)
            assert whole in rest, f"{written.author}: {whole!r} is not in one piece in {text!r}"
            end = text.index(whole) + len(whole)
            assert set(authors[end - len(written.whole(lost)) : end]) <= {written.author}
            rest = rest.replace(whole, "", 1)
        assert rest == self.scaffold, f"{rest!r} is left of {text!r}"


def clocks(replica: Replica) -> frozenset[tuple[int, int]]:
    """Return how far a replica is with each client; a state has them in any order."""
    state = replica.state()
    count, at = read_number(state, 0)
    found = set()
    for _ in range(count):
        client, at = read_number(state, at)
        clock, at = read_number(state, at)
        found.add((client, clock))
    return frozenset(found)


def drop_connection(seat: FileSeat) -> None:
    """Break a seat's connection as a broken link does."""
    channel: Any = seat._link._channel
    if channel is not None:
        socket = getattr(channel, "_socket", None)
        if socket is None:
            channel.close("cut")
        else:
            socket.transport.abort()


async def until_true(true: Callable[[], bool]) -> None:
    while not true():
        for _ in range(20):
            await asyncio.sleep(0)
        await asyncio.sleep(0.0002)


async def play(seed: int) -> None:
    chance = random.Random(seed)
    async with a_hub() as hub:
        try:
            await Schedule(seed, hub, dial_in_memory(hub, chance)).play(kill=seed % 4 == 1, cut=seed % 4 == 2)
        except (AssertionError, BoardError, TimeoutError) as fault:
            raise AssertionError(f"schedule {seed}: {fault}") from fault
