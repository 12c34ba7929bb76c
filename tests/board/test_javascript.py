"""Real Yjs clients in a real Node, with the stock provider, against the hub."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pycrdt
import pytest

from orchestrator.board.client import Door
from orchestrator.board.document import Document
from orchestrator.board.link import Backoff, Link
from tests.board.stories import card, run
from tests.support.boards import JS, ServedBoard, eventually, need_javascript, served

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
HISTORIES, LANES = 200, 20
WORDS = ["a", "é", "漢", "😀", "👩‍👩‍👧", "x y", "\n", "𝄞", "ß", ""]


class Writer:
    """A peer in Python that writes what stock clients can: a map, an array and a text."""

    def __init__(self, topic: str, door: Door) -> None:
        self.document = Document()
        doc = self.document._doc
        self.m = doc.get("m", type=pycrdt.Map[str])
        self.a = doc.get("a", type=pycrdt.Array[str])
        self.t = doc.get("t", type=pycrdt.Text)
        self.link = Link(topic, self.document, door.dial, backoff=Backoff(first=0.01))
        doc.observe(lambda event: self.link.push(event.update))

    def step(self, chance: random.Random) -> None:
        word, points = chance.choice(WORDS), str(self.t)
        at = chance.randrange(len(points) + 1)
        start = len(points[:at].encode())
        match chance.randrange(7):
            case 0 | 1:
                self.m[f"k{chance.randrange(3)}"] = word
            case 2:
                self.m.pop(f"k{chance.randrange(3)}", None)
            case 3:
                self.a.insert(chance.randrange(len(self.a) + 1), word)
            case 4 if len(self.a):
                del self.a[chance.randrange(len(self.a))]
            case 5:
                self.t.insert(start, word)
            case 6 if at < len(points):
                del self.t[start : start + len(points[at].encode())]


def content(document: Document) -> dict[str, Any]:
    doc = document._doc
    return {
        "m": doc.get("m", type=pycrdt.Map[str]).to_py(),
        "a": doc.get("a", type=pycrdt.Array[str]).to_py(),
        "t": str(doc.get("t", type=pycrdt.Text)),
    }


async def one_history(n: int, board: ServedBoard) -> dict[str, Any]:
    """Write what the other side reads, now and then cut off; return what was written once the hub has it."""
    chance = random.Random(n)
    door = Door(board.url, board.keys.agent(f"py{n}"))
    writer = Writer(f"ag/py{n}/1", door)
    running = asyncio.create_task(writer.link.run())
    for _ in range(25):
        writer.step(chance)
        if chance.randrange(4) == 0:
            await asyncio.sleep(chance.random() / 250)
        if chance.randrange(20) == 0 and writer.link._channel is not None:
            writer.link._channel.close("cut")
    writer.m["end"] = "yes"
    await arrived(board, f"ag/py{n}/1")
    writer.link.close("done")
    await running
    await door.closed()
    return content(writer.document)


async def arrived(board: ServedBoard, topic: str) -> dict[str, Any]:
    """Wait until the last of a history is at the hub; return what that has."""
    await eventually(lambda: content(board.hub._books.documents[topic])["m"].get("end") == "yes")
    return content(board.hub._books.documents[topic])


async def of_javascript(node: str, board: ServedBoard) -> dict[int, Any]:
    """Let the other side play all histories; return what it wrote and read in each."""
    job = {
        "url": board.url,
        "lanes": LANES,
        "histories": [
            {
                "n": n,
                "seed": n,
                "write": {"topic": f"ag/js{n}/1", "token": board.keys.agent(f"js{n}")},
                "read": {"topic": f"ag/py{n}/1", "token": board.keys.reader()},
            }
            for n in range(HISTORIES)
        ],
    }
    pipe = asyncio.subprocess.PIPE
    js = await asyncio.create_subprocess_exec(node, "fuzz.mjs", cwd=JS, stdin=pipe, stdout=pipe, limit=1 << 20)
    assert js.stdin is not None
    assert js.stdout is not None
    js.stdin.write(json.dumps(job).encode())
    js.stdin.close()
    said: dict[int, Any] = {}
    try:
        while (line := json.loads(await js.stdout.readline())) != "done":
            said[line["n"]] = line
        for n, history in said.items():
            history["arrived"] = await arrived(board, f"ag/js{n}/1")
    finally:
        js.terminate()
        await js.wait()
    return said


def test_two_hundred_histories_end_equal_on_both_sides() -> None:
    node = need_javascript()

    async def story() -> None:
        lanes = asyncio.Semaphore(LANES)

        async def in_a_lane(n: int) -> dict[str, Any]:
            async with lanes:
                return await one_history(n, board)

        async with served() as board:
            for n in range(HISTORIES):  # so that each document can be looked at before it is written
                board.hub.join(f"ag/py{n}/1")
                board.hub.join(f"ag/js{n}/1")
            said, *written = await asyncio.gather(of_javascript(node, board), *map(in_a_lane, range(HISTORIES)))
            for n in range(HISTORIES):
                assert said[n]["theirs"] == written[n], f"history {n}: JavaScript reads something else"
                assert said[n]["arrived"] == said[n]["mine"], f"history {n}: Python reads something else"
            assert any("\U0001f600" in history["t"] for history in written)
            assert not board.hub.snapshot().log, "nobody was expelled"

    run(story())


def test_the_example_claims_a_todo_with_stock_libraries(tmp_path: Path) -> None:
    node = need_javascript()
    shutil.copy(ROOT / "examples/board-js/claim.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(JS / "node_modules")

    async def claim(board: ServedBoard, agent: str, token: str) -> tuple[int | None, str]:
        pipe = asyncio.subprocess.PIPE
        example = await asyncio.create_subprocess_exec(
            node, "claim.mjs", board.url, token, agent, cwd=tmp_path, stdout=pipe, stderr=pipe
        )
        out, err = await example.communicate()
        return example.returncode, (out + err).decode()

    async def story() -> None:
        async with served() as board:
            board.hub.publish_tasks([card("T", "x", "y", title="Do it")])
            board.hub.open("T")
            seat = await board.hub.seat("python")
            await seat.claim("T/x")
            code, said = await claim(board, "ann", board.keys.agent("ann"))
            assert (code, "T: Do it (open)" in said, "done with T/y" in said) == (0, True, True), said
            todos = board.hub.snapshot().task("T").todos
            assert [(t.state.value if t.state else "", t.holder) for t in todos] == [
                ("held", "python"),
                ("done", "ann"),
            ]
            assert "nothing to claim" in (await claim(board, "bob", board.keys.agent("bob")))[1]
            code, said = await claim(board, "eve", board.keys.agent("bob"))
            assert (code, "does not open 'ag/eve/" in said) == (1, True), said

    run(story())
