"""The shared text: writing into one document, and many agents that stream into one file through a hub on this machine.

Agents write 60 tokens a second each, over a WebSocket each, into a hub in a process of its own with its log in a file. All
agents share one other process, so that what they cost can be told from what the hub costs. Convergence is the time from
a token's writing until another agent has it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.board.access import Keys
from orchestrator.board.client import Door
from orchestrator.board.files import SharedFiles, agent_author, file_topic
from orchestrator.board.hub import Hub, open_board
from orchestrator.board.log import FileLog
from orchestrator.board.server import Address, board_app, listening
from orchestrator.board.wire import read_number
from orchestrator.text.document import FileText
from orchestrator.text.seat import FileSeat
from orchestrator.text.slots import Slot, Slots

if TYPE_CHECKING:
    from orchestrator.board.document import Replica

PATH, SECRET = "src/app.tsx", "only-for-this-measurement"
TOPIC = file_topic(PATH)
RATE = 60
TOKENS = ["const ", "value", " = ", "(", "漢字", "é", ");\n", "  return ", "x", "“π” "]
LOOKING = 5  # of the agents, those that note when a token arrives
_TICK = os.sysconf("SC_CLK_TCK")


def cost(pid: int) -> tuple[float, float]:
    """Return a process's seconds of processor time so far, and its resident megabytes."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    resident = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return (int(fields[11]) + int(fields[12])) / _TICK, int(resident.split()[1]) / 1024


def clocks(replica: Replica) -> dict[int, int]:
    """Return how far a replica is with each client."""
    state = replica.state()
    count, at = read_number(state, 0)
    found = {}
    for _ in range(count):
        client, at = read_number(state, at)
        found[client], at = read_number(state, at)
    return found


def one_document(seconds: float) -> str:
    """Tell how many tokens a second one document of 30 kB with 20 slots takes: at a writer, and at the hub that logs them."""
    made: list[bytes] = []
    text = FileText(made.append)
    slots = [Slots(text, f"agent a{n}").open(0)[0] for n in range(20)]
    for n in range(6000):
        slots[n % 20].append(TOKENS[n % 10])
    with tempfile.TemporaryDirectory() as folder:
        log = FileLog(Path(folder) / "board.log")
        files: SharedFiles = Hub(log, time.time).files
        files.open(PATH)
        for update in made:
            files.receive(TOPIC, update, "agent a")
        made.clear()
        wrote, began = 0, time.perf_counter()
        while time.perf_counter() < began + seconds:
            slots[wrote % 20].append(TOKENS[wrote % 10])
            wrote += 1
        writing = wrote / (time.perf_counter() - began)
        began = time.perf_counter()
        for update in made:
            files.receive(TOPIC, update, "agent a")
        taking = len(made) / (time.perf_counter() - began)
        log.close()
    return f"one document: {writing:.0f} tokens/s written, {taking:.0f} tokens/s taken in by the hub and logged"


def memory() -> str:
    """Tell what a text costs after 1 MB by 20 writers, in chunks of five tokens."""
    everything, chance = FileText(), random.Random(1)
    slots: list[Slot] = []
    made: list[bytes] = []
    for n in range(20):
        text = FileText(made.append)
        text.apply(everything.since(None))
        slots.append(Slots(text, f"agent a{n}").open(len(str(text)))[0])
        slots[-1].append(".")
        everything.apply(*made)
        made.clear()
    before, began, written, tokens = cost(os.getpid())[1], time.perf_counter(), 0, 0
    while written < 1_000_000:
        token = "".join(chance.choices(TOKENS, k=5))
        chance.choice(slots).append(token)
        everything.apply(*made)
        made.clear()
        written += len(token.encode())
        tokens += 1
    rate = tokens / (time.perf_counter() - began)
    grown, size = cost(os.getpid())[1] - before, len(everything.since(None))
    return (
        f"1 MB by 20 writers: {rate:.0f} chunks/s written and taken in, {grown:.1f} MB more resident, "
        f"{size / 1e6:.2f} MB to send to a new reader"
    )


class Streams:
    """Agents of this process that stream into one file, and the times at which tokens arrive at some of them."""

    def __init__(self, url: str, agents: int) -> None:
        keys = Keys(SECRET)
        self.doors = [Door(url, keys.agent(f"a{n}")) for n in range(agents)]
        self.seats = [FileSeat(TOPIC, agent_author(f"a{n}"), door.dial) for n, door in enumerate(self.doors)]
        self.written: dict[int, dict[int, deque[tuple[int, float]]]] = {n: {} for n in range(min(LOOKING, agents))}
        self.delays: list[float] = []
        self.spent = 0.0

    async def write(self, n: int, until: float) -> None:
        """Stream tokens until then."""
        seat = self.seats[n]
        slot, _ = seat.slots.open(len(str(seat.text)))
        me = seat.text.client_id
        clock = clocks(seat.text)[me]  # counts UTF-16 units
        due = time.perf_counter() + random.Random(n).random() / RATE
        token = 0
        while due < until:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            slot.append(TOKENS[token % len(TOKENS)])
            clock += len(TOKENS[token % len(TOKENS)].encode("utf-16-le")) // 2
            note = (clock, time.perf_counter())
            for looker, written in self.written.items():
                if looker != n:
                    written.setdefault(me, deque()).append(note)
            token += 1
            due += 1 / RATE

    async def look(self, n: int) -> None:
        """Note what arrives at one agent."""
        seat = self.seats[n]
        while True:
            await seat.changed.wait()
            seat.changed.clear()
            now, here = time.perf_counter(), clocks(seat.text)
            for client, written in self.written[n].items():
                while written and written[0][0] <= here.get(client, 0):
                    self.delays.append(now - written.popleft()[1])

    async def play(self, seconds: float) -> None:
        """Stream for so long; the first second is not counted."""
        await asyncio.gather(*(seat.synced() for seat in self.seats))
        looking = [asyncio.create_task(self.look(n)) for n in self.written]
        until = time.perf_counter() + 1 + seconds
        writing = [asyncio.create_task(self.write(n, until)) for n in range(len(self.seats))]
        await asyncio.sleep(1)
        self.delays.clear()
        began = cost(os.getpid())[0]
        await asyncio.gather(*writing)
        self.spent = cost(os.getpid())[0] - began
        async with asyncio.timeout(60):
            while len({str(seat.text) for seat in self.seats}) > 1:  # noqa: ASYNC110 (the others are somewhere else)
                await asyncio.sleep(0.2)
        for task in looking:
            task.cancel()
        for seat in self.seats:
            await seat.close()
        for door in self.doors:
            await door.closed()


def measure(agents: int, seconds: float) -> str:
    """Return one row of the table."""
    with subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            before = cost(server.pid)[0]
            delays, used = asyncio.run(streams(url, agents, seconds))
            spent, resident = cost(server.pid)
        finally:
            server.kill()
    return (
        f"{agents:6} {statistics.median(delays) * 1e3:8.1f} {delays[int(len(delays) * 0.99)] * 1e3:8.1f} "
        f"{used / seconds / agents:9.1%} {(spent - before) / (seconds + 2):8.1%} {resident:8.1f} {len(delays):8}"
    )


async def streams(url: str, agents: int, seconds: float) -> tuple[list[float], float]:
    """Return the sorted delays, and the seconds of processor time that all agents took."""
    playing = Streams(url, agents)
    await playing.play(seconds)
    return sorted(playing.delays), playing.spent


async def serve() -> None:
    """Be the hub that is measured."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            open_board(Path(folder) / "board.log") as hub,
            listening(board_app(hub, Keys(SECRET)), Address("127.0.0.1", 0)) as url,
        ):
            hub.files.open(PATH)
            print(url, flush=True)
            await asyncio.Event().wait()


def main() -> None:
    """Measure, or be measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", default="5,20,50", help="How many agents, one table row each.")
    parser.add_argument("--seconds", type=float, default=5.0, help="How long each row is measured.")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return
    print(one_document(options.seconds / 5))
    print(memory())
    print(f"{'agents':>6} {'median':>8} {'p99 ms':>8} {'CPU/agent':>9} {'hub CPU':>8} {'hub MB':>8} {'tokens':>8}")
    for agents in options.agents.split(","):
        print(measure(int(agents), options.seconds), flush=True)


if __name__ == "__main__":
    main()
