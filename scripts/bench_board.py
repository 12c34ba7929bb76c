"""The hub beside two servers of the Yjs world, with the same clients and the same work in one run.

N clients each write a document of their own, the first 20 times a second and the others once, and all of them read the
first one's. What is measured is the time from a write to each reader, and what it costs the server.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import socket
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from orchestrator.board.access import Keys
from orchestrator.board.client import look_on
from orchestrator.board.document import Document, Put
from orchestrator.board.hub import open_board
from orchestrator.board.server import Address, board_app, listening
from orchestrator.board.wire import Kind, Message, decode, encode
from orchestrator.model.todo import TaskCard, Todo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

JS = Path(__file__).parents[1] / "tests" / "js"
SECRET = "only-for-this-measurement"
TODOS = 10_000
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Tally:
    """What the readers saw."""

    delays: list[float] = field(default_factory=list)
    frames: int = 0


@dataclass(frozen=True)
class Subject:
    """One server: how to start it, and how its clients' messages look."""

    name: str
    command: list[str]
    env: dict[str, str]
    port: int
    enveloped: bool = False  # Hocuspocus puts the document's name before each message, and wants a token first

    def url(self, topic: str, *, writes: bool) -> str:
        """Return where a client connects for a document."""
        keys = Keys(SECRET)
        token = keys.agent(topic.split("/")[1]) if writes else keys.reader()
        return f"ws://127.0.0.1:{self.port}/board/{topic}?token={token}"

    def wrap(self, topic: str, message: Message) -> bytes:
        """Return the bytes of a message."""
        name = topic.encode()
        return (bytes([len(name)]) + name if self.enveloped else b"") + encode(message)

    def unwrap(self, topic: str, data: bytes) -> Message | None:
        """Return the message in these bytes; None if it is none of a document."""
        if self.enveloped:
            data = data[1 + len(topic.encode()) :]
            data = b"\x00" + data[1:] if data[:1] == b"\x04" else data
        return decode(data) if data[:1] == b"\x00" else None


async def begin(subject: Subject, topic: str, *, writes: bool) -> ClientConnection:
    """Connect for a document."""
    client = await connect(subject.url(topic, writes=writes), compression=None, max_size=None)
    if subject.enveloped:
        name = topic.encode()
        await client.send(bytes([len(name)]) + name + b"\x02\x00\x01x\x054.7.0")
    return client


async def write(subject: Subject, client: ClientConnection, topic: str, rate: float, until: float) -> None:
    """Write the time of writing into a document, so often a second."""
    document, pause = Document(), 1 / rate
    await client.send(subject.wrap(topic, Message(Kind.STEP2, document.since(None))))
    await asyncio.sleep(pause * (hash(topic) % 97) / 97)
    while time.perf_counter() < until:
        value = json.dumps({"at": time.perf_counter(), "note": "x" * 60})
        update = document.write(Put(map="s", key="s", value=value))
        await client.send(subject.wrap(topic, Message(Kind.UPDATE, update)))
        await asyncio.sleep(pause)


async def read(subject: Subject, client: ClientConnection, topic: str, tally: Tally) -> None:
    """Note when each change arrives."""
    document = Document()
    await client.send(subject.wrap(topic, Message(Kind.STEP1, document.state())))
    with contextlib.suppress(ConnectionClosed):
        while True:
            data = await client.recv()
            assert isinstance(data, bytes)
            message = subject.unwrap(topic, data)
            if message is None or message.kind is Kind.STEP1:
                continue
            document.apply(message.content)
            tally.frames += 1
            if message.kind is Kind.UPDATE and (value := document.get("s", "s")):
                tally.delays.append(time.perf_counter() - json.loads(value)["at"])


def cost(pid: int) -> tuple[float, float]:
    """Return a process's seconds of processor time so far, and its resident megabytes."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    resident = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return (int(fields[11]) + int(fields[12])) / _TICK, int(resident.split()[1]) / 1024


@contextlib.asynccontextmanager
async def running(subject: Subject) -> AsyncIterator[int]:
    """Start a server; yields its process id once it can be reached."""
    server = await asyncio.create_subprocess_exec(
        *subject.command, cwd=JS, env={**os.environ, **subject.env}, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(OSError):
                    _, probe = await asyncio.open_connection("127.0.0.1", subject.port)
                    probe.close()
                    break
                await asyncio.sleep(0.05)
        yield server.pid
    finally:
        server.kill()
        await server.wait()


async def measure(subject: Subject, clients: int, seconds: float) -> str:
    """Return one row of the table."""
    topics = [f"ag/w{n}/1" for n in range(clients)]
    tally, tasks, open_ = Tally(), [], []
    async with running(subject) as pid:
        until = time.perf_counter() + 0.5 + clients / 50 + seconds
        for n, topic in enumerate(topics):
            open_.append(await begin(subject, topic, writes=True))
            tasks.append(asyncio.create_task(write(subject, open_[-1], topic, 20 if n == 0 else 1, until)))
            tasks.append(asyncio.create_task(drain(open_[-1])))
        await asyncio.sleep(0.1)
        for _ in topics[1:]:
            open_.append(await begin(subject, topics[0], writes=False))
            tasks.append(asyncio.create_task(read(subject, open_[-1], topics[0], tally)))
        await asyncio.sleep(0.3)
        before, tally.delays, tally.frames = cost(pid)[0], [], 0
        began = time.perf_counter()
        await asyncio.sleep(max(0.5, until - began))
        spent, resident = cost(pid)
        took = time.perf_counter() - began
        for client in open_:
            client.transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    delays = sorted(tally.delays) or [float("nan")]
    used = spent - before
    return (
        f"{subject.name:12} {clients:4} {statistics.median(delays) * 1e3:8.2f} {delays[int(len(delays) * 0.99)] * 1e3:8.2f} "
        f"{used / took:7.1%} {used / max(1, tally.frames) * 1e6:9.1f} {resident:7.1f} {tally.frames:8}"
    )


async def drain(client: ClientConnection) -> None:
    """Take what a server sends to a writer."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await client.recv()


async def serve(port: int) -> None:
    """Be the server that is measured: a hub with its log in a file."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            open_board(Path(folder) / "board.log") as hub,
            listening(board_app(hub, Keys(SECRET)), Address("127.0.0.1", port)),
        ):
            await asyncio.Event().wait()


async def opening() -> str:
    """Tell how long it takes to open a board with many TODOs."""
    cards = [
        TaskCard(id=f"T{n}", title=f"Task {n}", todos=tuple(Todo(id=f"x{k}", title=f"TODO {k}") for k in range(100)))
        for n in range(TODOS // 100)
    ]
    keys = Keys.new()
    async with open_board(None) as hub, listening(board_app(hub, keys), Address("127.0.0.1", 0)) as url:
        hub.publish_tasks(cards)
        for card in cards:
            hub.open(card.id)
        took = []
        for _ in range(5):
            began = time.perf_counter()
            async with look_on(url, keys.reader(), "ctl") as reader:
                await reader.synced()
                took.append(time.perf_counter() - began)
                size = len(reader.document.since(None))
    return f"opening a board of {TODOS} TODOs: {statistics.median(took) * 1e3:.0f} ms, {size / 1e6:.1f} MB"


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def subjects() -> list[Subject]:
    """Return the servers that can be started here."""
    ports = [free_port() for _ in range(3)]
    ours = Subject("orch", [sys.executable, str(Path(__file__).resolve()), "--serve", str(ports[0])], {}, ports[0])
    node = shutil.which("node")
    if node is None or not (JS / "node_modules").is_dir():
        print("node, or the packages of tests/js, are not there (scripts/setup-tools): the hub is measured alone.")
        return [ours]
    env = {"HOST": "127.0.0.1", "PORT": str(ports[1])}
    return [
        ours,
        Subject("y-websocket", [node, "node_modules/y-websocket-server/bin/server.cjs"], env, ports[1]),
        Subject("hocuspocus", [node, "hocuspocus.mjs", str(ports[2])], {}, ports[2], enveloped=True),
    ]


async def compare(counts: list[int], seconds: float) -> None:
    """Print the table."""
    print(f"{'server':12} {'N':>4} {'median':>8} {'p99 ms':>8} {'CPU':>7} {'us/frame':>9} {'RSS MB':>7} {'frames':>8}")
    for clients in counts:
        for subject in subjects():
            print(await measure(subject, clients, seconds), flush=True)
    print(await opening())


def main() -> None:
    """Measure, or be measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", default="2,5,20,50,100", help="How many clients, one table row each.")
    parser.add_argument("--seconds", type=float, default=5.0, help="How long each row is measured.")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve))
    else:
        asyncio.run(compare([int(n) for n in options.clients.split(",")], options.seconds))


if __name__ == "__main__":
    main()
