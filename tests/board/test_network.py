"""The board over real sockets: links that break or stall, clients and hubs that are killed, and who may connect."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from orchestrator.board.access import Keys, origin_allowed
from orchestrator.board.client import look_on, take_seat
from orchestrator.board.link import Backoff
from orchestrator.board.log import read_board
from orchestrator.board.snapshot import take
from orchestrator.board.wire import Kind, Message, encode
from orchestrator.errors import BoardError, ClaimRefused
from orchestrator.model.claims import GrantState
from tests.board.stories import card, run
from tests.support.boards import ServedBoard, eventually, served
from tests.support.proxy import Proxy, proxy_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from orchestrator.board.seat import Seat


pytestmark = pytest.mark.e2e

KILLS = int(os.environ.get("ORCH_HUB_KILLS", "3"))
"""How often the hub is killed under load; more of it on demand."""


def quick() -> Backoff:
    return Backoff(first=0.01, most=0.05)


def cut(seat: Seat) -> None:
    """Break a seat's connections as a killed process or a broken link does."""
    for link in (seat._ctl, seat._own):
        channel: Any = link._channel
        if channel is not None:
            channel._socket.transport.abort()


async def hear_to_the_end(client: ClientConnection) -> None:
    with suppress(ConnectionClosed):
        while True:
            await client.recv()


@pytest.mark.parametrize(
    ("topic", "token", "code"),
    [
        ("ctl", "", 4401), ("ctl", "wrong", 4401), ("ctl", "a.0000", 4401), ("ag/b/1", "A", 4403), ("ag/ab/1", "A", 4403),
        ("ctl", "OWNER+", 4401), ("ag/b/1", "READER", 4404), ("nothing", "READER", 4404), ("ag/a/..", "A", 4404),
    ],
)  # fmt: skip
def test_who_may_not_connect_is_told_why(topic: str, token: str, code: int) -> None:
    async def story() -> None:
        async with served() as board:
            known = {"A": board.keys.agent("a"), "READER": board.keys.reader(), "OWNER+": board.keys.owner + "x"}
            async with connect(f"{board.url}/{topic}?token={known.get(token, token)}") as client:
                await hear_to_the_end(client)
                assert (client.close_code, bool(client.close_reason)) == (code, True)

    run(story())


def test_a_page_of_another_host_may_not_connect() -> None:
    async def story() -> None:
        async with served() as board:
            url = f"{board.url}/ctl?token={board.keys.reader()}"
            with pytest.raises(InvalidStatus, match="403"):
                await connect(url, origin=Origin("https://evil.example"))
            async with connect(url, origin=Origin(f"http://127.0.0.1:{board.port}")) as page:
                await page.send(encode(Message(Kind.STEP1, b"\x00")))
                assert await page.recv()

    run(story())
    assert origin_allowed("https://ours.example", "127.0.0.1:1", ["https://ours.example"])
    assert not origin_allowed("null", "127.0.0.1:1", [])
    assert not origin_allowed("http://127.0.0.1:1.evil.example", "127.0.0.1:1", [])


def test_tokens_say_who_one_is_and_nothing_else_opens() -> None:
    keys, others = Keys.new(), Keys.new()
    assert keys.rights(others.agent("a")) is None
    rights = keys.rights(keys.agent("a.b"))
    assert rights is not None
    assert (rights.agent, rights.may_write("ag/a.b/1"), rights.may_write("ag/a/1")) == ("a.b", True, False)
    assert (rights.may_read("ctl"), rights.may_write("ctl"), rights.may_read("ag/c/1")) == (True, False, False)
    for token in ("", ".", "a", "a.", keys.agent("a")[:-1], keys.reader()[1:], f"b{keys.agent('a')[1:]}", "ä.ö"):
        assert keys.rights(token) is None
    with pytest.raises(BoardError, match="at least 16"):
        Keys("short")


def test_an_oversized_or_text_message_costs_only_its_connection() -> None:
    async def story() -> None:
        async with served() as board:
            board.hub.publish_tasks([card("T")])
            board.hub.open("T")
            for data, codes in ((bytes(3 * 1024 * 1024), {1009}), ("text", {4400, 1000}), (b"\x00\x02\x7f", {4400})):
                token = board.keys.agent("wild")
                async with connect(f"{board.url}/ag/wild/1?token={token}", max_size=None) as wild:
                    await wild.send(data)
                    await hear_to_the_end(wild)
                    assert wild.close_code in codes
            async with take_seat(board.url, board.keys.agent("a"), "a") as seat:
                assert await seat.claim("T") == 1

    run(story())


def test_a_reader_that_reads_nothing_is_skipped_and_then_given_up() -> None:
    async def story() -> None:
        async with served() as board:
            board.hub._stall = 0.5
            plain = socket.create_connection(("127.0.0.1", board.port))
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            handshake = (
                f"GET /board/ctl?token={board.keys.reader()} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            ask = encode(Message(Kind.STEP1, b"\x00"))
            plain.sendall(handshake.encode())
            assert b"101" in await asyncio.to_thread(plain.recv, 12)
            plain.sendall(bytes([0x82, 0x80 | len(ask), 0, 0, 0, 0]) + ask)
            await eventually(lambda: "ctl" in board.hub._rooms and len(board.hub._rooms["ctl"].feeds) == 1)
            (deaf,) = board.hub._rooms["ctl"].feeds
            async with look_on(board.url, board.keys.reader(), "ctl") as reader:
                await reader.synced()
                for n in range(200):
                    board.hub.note("much", n=n, text="x" * 20_000)
                    await asyncio.sleep(0)
                await eventually(lambda: len(reader.document.entries("log")) == 200)
                assert len(deaf._updates or ()) <= 16  # what it lacks is not queued
                await eventually(lambda: deaf not in board.hub._rooms["ctl"].feeds)
                board.hub.note("after")
                await eventually(lambda: len(reader.document.entries("log")) == 201)
            plain.close()

    run(story())


async def work(seat: Seat, keys: list[str], done: set[str]) -> None:
    """Claim and tick off whatever is to be had, until nothing is left."""
    for key in keys:
        try:
            await seat.claim(key)
            await asyncio.sleep(0)
            assert seat.holds(key)
            await seat.done(key)
            assert key not in done, "two agents have done one TODO"
            done.add(key)
        except ClaimRefused:
            continue


async def disturb(proxy: Proxy, chance: random.Random) -> None:
    while True:
        await asyncio.sleep(chance.uniform(0.005, 0.06))
        if chance.random() < 0.5:
            proxy.cut()
        else:
            proxy.open.clear()
            await asyncio.sleep(chance.uniform(0.01, 0.1))
            proxy.open.set()


def test_over_links_that_break_each_todo_is_done_once() -> None:
    """Several agents share one task's list; their links are cut and stopped at random, and then heal."""

    async def story() -> None:
        chance = random.Random(5)
        todos = [f"x{n}" for n in range(30)]
        async with served() as board, proxy_to(board.port) as proxy:
            board.hub.publish_tasks([card("T", *todos)])
            board.hub.open("T", for_agent="nobody-here")
            url, done = board.url.replace(str(board.port), str(proxy.port)), set[str]()
            async with seats(board, url, 4) as agents:
                disturbing = asyncio.create_task(disturb(proxy, chance))
                lists = [chance.sample([f"T/{todo}" for todo in todos], len(todos)) for _ in agents]
                works = asyncio.gather(*(work(seat, keys, done) for seat, keys in zip(agents, lists, strict=True)))
                await asyncio.sleep(1.5)
                disturbing.cancel()
                proxy.open.set()
                await works
                assert done == {f"T/{todo}" for todo in todos}
                granted = [line.fields["key"] for line in board.hub.snapshot().log if line.kind == "granted"]
                assert len(granted) == len(set(granted)) == len(todos)
                assert not [line for line in board.hub.snapshot().log if line.kind == "expelled"]

    run(story())


@asynccontextmanager
async def seats(board: ServedBoard, url: str, count: int) -> AsyncIterator[list[Seat]]:
    """Take the seats of agents `a0` and so on."""
    doors = [take_seat(url, board.keys.agent(f"a{n}"), f"a{n}", backoff=quick) for n in range(count)]
    taken = [await door.__aenter__() for door in doors]
    try:
        yield taken
    finally:
        await asyncio.gather(*(door.__aexit__(None, None, None) for door in doors))


def test_work_goes_on_while_cut_off() -> None:
    async def story() -> None:
        async with served() as board, proxy_to(board.port) as proxy:
            board.hub.publish_tasks([card("T", "x")])
            board.hub.open("T")
            async with seats(board, board.url.replace(str(board.port), str(proxy.port)), 1) as (seat,):
                assert await seat.claim("T") == 1
                proxy.open.clear()
                proxy.cut()
                await eventually(lambda: not seat.connected)
                for n in range(5):
                    await seat.report(f"still at it {n}")
                asked = asyncio.create_task(seat.claim("T/x"))
                assert seat.view().task("T").holder == "a0"
                proxy.open.set()
                assert await asked == 1
                await eventually(lambda: board.hub.snapshot().agents[0].note == "still at it 4")
                assert len(board.hub.snapshot().agents[0].said) == 5

    run(story())


def test_fifty_clients_killed_while_others_write_harm_nobody() -> None:
    async def story() -> None:
        chance = random.Random(11)
        async with served() as board:
            board.hub.publish_tasks([card("T", *(f"x{n}" for n in range(60)))])
            board.hub.open("T")
            granted: dict[str, str] = {}
            async with seats(board, board.url, 60) as agents:
                doomed = agents[:50]

                async def live(seat: Seat, key: str) -> None:
                    for n in range(1000):
                        await seat.report(f"{key} {n}")
                        if n == 1:
                            assert await seat.claim(key) == 1
                            granted[key] = seat.agent_id
                        await asyncio.sleep(chance.uniform(0, 0.02))

                lives = [asyncio.create_task(live(seat, f"T/x{n}")) for n, seat in enumerate(agents)]
                for n in chance.sample(range(50), 50):
                    await asyncio.sleep(chance.uniform(0, 0.04))
                    lives[n].cancel()
                    cut(doomed[n])
                    doomed[n].close()
                await eventually(lambda: all(f"T/x{n}" in granted for n in range(50, 60)))
                for life in lives[50:]:
                    life.cancel()
                await asyncio.gather(*lives, return_exceptions=True)
                hub = board.hub.snapshot
                await eventually(
                    lambda: all(seat.view().task("T").todos == hub().task("T").todos for seat in agents[50:])
                )
                notes = {seat.agent_id: seat.view().agents[0].note for seat in agents[50:]}
                await eventually(lambda: notes.items() <= {agent.agent: agent.note for agent in hub().agents}.items())
                holders = {f"T/{todo.id}": todo.holder for todo in hub().task("T").todos}
                assert granted.items() <= holders.items()  # nothing that was acknowledged is lost
                assert not [line for line in hub().log if line.kind == "expelled"]

    run(story())


async def start_hub(log: Path, port: int, secret: str, tasks: int) -> asyncio.subprocess.Process:
    hub = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.board_hub", str(log), str(port), secret, str(tasks),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert hub.stdout is not None
    assert await hub.stdout.readline() == b"ready\n"
    return hub


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_hub_that_is_killed_under_load_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    async def story() -> None:
        chance = random.Random(3)
        log, port, keys, tasks = tmp_path / "board.log", free_port(), Keys.new(), 50 * KILLS
        url, granted = f"ws://127.0.0.1:{port}/board", {}
        hub = await start_hub(log, port, keys.owner, tasks)

        async def agent(n: int) -> None:
            async with take_seat(url, keys.agent(f"a{n}"), f"a{n}", backoff=quick) as seat:
                for key in chance.sample([f"T{k}" for k in range(tasks)], tasks):
                    try:
                        granted[key] = await seat.claim(key), seat.agent_id
                    except ClaimRefused:
                        continue

        agents = [asyncio.create_task(agent(n)) for n in range(5)]
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.05, 0.4))
            hub.kill()
            await hub.wait()
            seen = dict(granted)
            board = take(read_board(log))
            assert all((board.task(key).gen, board.task(key).holder) == told for key, told in seen.items())
            hub = await start_hub(log, port, keys.owner, tasks)
        await asyncio.gather(*agents)
        hub.kill()
        await hub.wait()
        board = take(read_board(log))
        assert {task.id: (task.gen, task.holder) for task in board.tasks} == granted
        assert all(task.state is GrantState.HELD and task.gen == 1 for task in board.tasks)

    run(story(), seconds=30 + 3 * KILLS)
