"""A person who types and deletes in a shared file, through what the page's editor uses, while agents stream into it."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import orchestrator.page
from orchestrator.board.files import PERSON, RUN, agent_author
from orchestrator.text.authorship import Authorship
from orchestrator.text.document import Insert
from orchestrator.text.seat import FileSeat
from tests.board.stories import run
from tests.support.boards import JS, eventually, need_javascript, served

if TYPE_CHECKING:
    from orchestrator.board.hub import Hub

pytestmark = pytest.mark.e2e

MODULE = Path(orchestrator.page.__file__).parent / "assets" / "sharedtext.js"
HISTORIES, SLOTS = 24, 12
LAST, SCAFFOLD = "■", "αβγδεζηθικ"


@dataclass(slots=True)
class Streamed:
    """What an agent has written into one slot."""

    author: str
    words: str = ""


@dataclass
class History:
    """One file with its agents. No letter is written twice, so that all can be told apart."""

    n: int
    hub: Hub
    streamed: list[Streamed] = field(default_factory=list)
    letters: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.n)
        path = f"src/fenêtre #{self.n}.py"
        self.topic = self.hub.files.open(path)
        self.authorship = Authorship()
        self.hub.files.follow(path, self.authorship.take)
        self.seats = [self.seat(agent_author(f"a{n}")) for n in range(self.chance.randint(2, 3))]

    def seat(self, author: str) -> FileSeat:
        return FileSeat(self.topic, author, lambda topic: self.hub.dial_file(topic, author))

    async def begin(self) -> None:
        first = self.seat(RUN)
        await first.synced()
        first.text.edit(Insert(0, (SCAFFOLD,)))
        await eventually(lambda: all(str(seat.text) == SCAFFOLD for seat in self.seats))
        await first.close()

    async def play(self) -> None:
        """Let all agents write, once the person is there."""
        await eventually(lambda: len(self.hub._rooms[self.topic].feeds) > len(self.seats))
        await asyncio.gather(*(self.stream(seat) for seat in self.seats))

    async def stream(self, seat: FileSeat) -> None:
        """Write into some slots, one after the other, for about as long as the person types."""
        for number in range(SLOTS):
            line = self.chance.choice(["after", "before", None, None])
            slot, _ = seat.slots.open(self.somewhere(str(seat.text)), new_line=line)  # type: ignore[arg-type]
            streamed = Streamed(seat.slots.owner)
            self.streamed.append(streamed)
            for _ in range(self.chance.randint(1, 6)):
                words = "".join(self.letter() for _ in range(self.chance.randint(1, 3)))
                streamed.words += words
                slot.append(words)
                await asyncio.sleep(self.chance.random() / 100)
            if number == SLOTS - 1:
                slot.append(LAST)
            assert slot.alive()
            slot.close()

    def letter(self) -> str:
        self.letters += 1
        return chr((0x4E00 if self.chance.random() < 0.5 else 0x20000) + self.letters)

    def somewhere(self, text: str) -> int:
        """Return a position beside what others have written or are writing, often right behind what was typed last."""
        whose = {letter: n for n, streamed in enumerate(self.streamed) for letter in streamed.words}
        slots = [whose.get(letter) for letter in text]
        places = [
            n for n in range(len(text) + 1)
            if {*slots[:n]}.isdisjoint({*slots[n:]} - {None}) and sum(map(is_typed, text[max(n - 1, 0) : n + 1])) < 2
        ]  # fmt: skip
        near = [n for n in places if n and text[n - 1] == max(filter(is_typed, text), key=ord, default="")]
        return self.chance.choice(near or places)

    def check(self, said: dict[str, Any]) -> None:
        text = self.authorship.text()
        assert {said["view"], said["text"], *(str(seat.text) for seat in self.seats)} == {text}
        typed = "".join(burst["typed"] for burst in said["bursts"]) + said["replaced"]
        written = SCAFFOLD + typed + "".join(streamed.words for streamed in self.streamed)
        whole = Counter(text.replace("\n", "").replace(LAST, "")) + Counter(said["deleted"].replace("\n", ""))
        assert whole == Counter(written), self.n
        for streamed in self.streamed:
            assert only(text, streamed.words) == only(streamed.words, text), (self.n, text)
        for burst in said["bursts"]:
            self.check_burst(text, burst)
        for found in self.authorship.ranges():
            for letter in text[found.start : found.end]:
                author = next((s.author for s in self.streamed if letter in s.words), PERSON if letter in typed else "")
                assert not author or found.author == author

    def check_burst(self, text: str, burst: dict[str, str]) -> None:
        """What was typed in one go is in one piece, where it was typed, and outside of what was being streamed there."""
        left = only(burst["typed"], text)
        assert only(text, burst["typed"]) == left, (self.n, burst, text)
        if not left:
            return
        first, last = text.index(left[0]), text.index(left[-1])
        assert all(is_typed(letter) for letter in text[first : last + 1]), (self.n, burst, text)
        before, after = burst["left"], burst["right"]
        assert before not in text[last:] or before in ("", "\n"), (self.n, burst, text)
        assert after not in text[:first] or after in ("", "\n"), (self.n, burst, text)
        for streamed in self.streamed:
            if before and before in streamed.words and after not in streamed.words and not is_typed(after or "x"):
                assert not only(text[last:], streamed.words), (self.n, burst, text)


def is_typed(letter: str) -> bool:
    return 0x1F300 <= ord(letter) < 0x1FA00


def only(text: str, letters: str) -> str:
    """Return what of a text is among some letters."""
    return "".join(letter for letter in text if letter in letters)


def test_what_a_person_types_stays_in_one_piece_where_it_was_typed() -> None:
    node = need_javascript()

    async def story() -> None:
        async with served() as board:
            histories = [History(n, board.hub) for n in range(HISTORIES)]
            for history in histories:
                await history.begin()
            jobs = [{"n": h.n, "topic": h.topic, "seed": h.n, "agents": len(h.seats)} for h in histories]
            job = {"url": board.url, "token": board.keys.owner, "module": str(MODULE), "histories": jobs}
            pipe = asyncio.subprocess.PIPE
            person = await asyncio.create_subprocess_exec(node, "person.mjs", cwd=JS, stdin=pipe, stdout=pipe)
            assert person.stdin is not None
            assert person.stdout is not None
            person.stdin.write(json.dumps(job).encode())
            person.stdin.close()
            try:
                await asyncio.gather(*(history.play() for history in histories))
                for _ in histories:
                    said = json.loads(await asyncio.wait_for(person.stdout.readline(), 20))
                    history = histories[said["n"]]
                    await eventually(lambda h=history, t=said["text"]: all(str(s.text) == t for s in h.seats))  # type: ignore[misc]
                    history.check(said)
            finally:
                person.terminate()
                await person.wait()
            for history in histories:
                for seat in history.seats:
                    await seat.close()

    run(story())
