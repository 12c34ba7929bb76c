"""Real files, written by models, streamed by several agents at once: every byte must be as it was."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import os
import random
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.board.files import RUN, agent_author
from orchestrator.text.authorship import Authorship
from orchestrator.text.cursor import Cursor
from orchestrator.text.seat import FileSeat
from tests.board.stories import run
from tests.text.schedules import PATH, TOPIC, a_hub, dial_in_memory, quick, until_true

if TYPE_CHECKING:
    from orchestrator.board.hub import Hub

DATA = Path(__file__).parents[3] / "shared" / "data" / "codecrdt" / "outputs.jsonl.gz"
FILES = int(os.environ.get("ORCH_TEXT_FILES", "20"))
"""How many of the 300 files; all of them on demand."""
LANES = 6
_STATEMENT = re.compile(r"^(?=[A-Za-z@/{<])", re.MULTILINE)

if FILES > 30:
    pytestmark = pytest.mark.timeout(60 + 3 * FILES)


def parts_of(content: str, chance: random.Random) -> list[str]:
    """Split a file where statements begin in the first column, into three to six parts."""
    starts = [m.start() for m in _STATEMENT.finditer(content) if m.start() > 0]
    count = chance.randint(3, 6)
    if len(starts) < count - 1:  # one long line
        starts = list(range(1, len(content)))
    cuts = [0, *sorted(chance.sample(starts, count - 1)), len(content)]
    return [content[a:b] for a, b in itertools.pairwise(cuts)]


def chunks_of(text: str, chance: random.Random) -> list[str]:
    found, at = [], 0
    while at < len(text):
        size = chance.choice([1, 2, 7, 30, 120])
        found.append(text[at : at + size])
        at += size
    return found


async def stream(hub: Hub, content: str, chance: random.Random) -> None:
    """Write a scaffold with a marker for each part, let an agent for each replace it by its part, and compare all texts."""
    parts = parts_of(content, chance)
    dial_as = dial_in_memory(hub, chance)
    authorship = Authorship()
    hub.files.follow(PATH, authorship.take)
    authors = [RUN, *(agent_author(f"a{n}") for n in range(len(parts)))]
    seats = [FileSeat(TOPIC, author, dial_as(author), backoff=quick()) for author in authors]
    await seats[0].synced()
    # Some parts begin with a line that the scaffold has already.
    heads = [re.match(r"[^\n]*\n?", part)[0] if chance.random() < 0.5 else "" for part in parts]  # type: ignore[index]
    markers = [f"/* TODO:Part{n} π */" for n in range(len(parts))]
    outline, _ = seats[0].slots.open(0)
    outline.append("".join(head + marker for head, marker in zip(heads, markers, strict=True)))
    outline.close()

    async def implement(n: int) -> None:
        seat = seats[n + 1]
        await until_true(lambda: markers[n] in str(seat.text))
        cursor = Cursor(seat.slots)
        position = cursor.search(markers[n], "before", delete=markers[n])
        for chunk in chunks_of(parts[n][len(heads[n]) :], chance):
            cursor.slot(position.token).append(chunk)
            await asyncio.sleep(0)
        cursor.slot(position.token).close()

    await asyncio.gather(*map(implement, range(len(parts))))
    await until_true(lambda: all(str(s.text) == str(seats[0].text) and not s.text.layout().slots for s in seats))
    assert str(seats[0].text).encode() == content.encode()
    assert authorship.text() == content
    own = [r.author for r in authorship.ranges() if r.author != RUN]
    assert own == [a for a, part, head in zip(authors[1:], parts, heads, strict=True) if part != head]
    for seat in seats:
        await seat.close()


@pytest.mark.exhaustive
def test_real_files_come_out_byte_by_byte() -> None:
    if not DATA.is_file():
        pytest.skip("the files of the CodeCRDT study are not here")
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        contents = [json.loads(line)["content"] for line in lines]
    assert len(contents) == 300
    assert sum(not content.isascii() for content in contents) > 150
    lanes = asyncio.Semaphore(LANES)

    async def one(n: int, content: str) -> None:
        async with lanes, asyncio.timeout(60), a_hub() as hub:
            await stream(hub, content, random.Random(n))

    async def all_of(chosen: list[int]) -> None:
        await asyncio.gather(*(one(n, contents[n]) for n in chosen))

    run(all_of(random.Random(7).sample(range(300), FILES)), seconds=60 + 3 * FILES)
