"""Exclusion, over every interleaving: what a shared map alone cannot do, and what the hub's decision does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pycrdt
import pytest

from orchestrator.board import schema
from orchestrator.board.document import Document, Put
from orchestrator.board.ledger import Ledger
from orchestrator.board.log import MemoryLog
from tests.board.stories import card

if TYPE_CHECKING:
    from collections.abc import Iterator


def interleavings(*threads: str) -> Iterator[str]:
    """Yield every order of all steps that keeps each thread's own order."""
    if not any(threads):
        yield ""
    for n, thread in enumerate(threads):
        if thread:
            rest = (*threads[:n], thread[1:], *threads[n + 1 :])
            yield from (thread[0] + others for others in interleavings(*rest))


class Naive:
    """Write my id into a shared map, upload, download, read back: who reads itself believes that it won."""

    def __init__(self) -> None:
        self.replicas: list[pycrdt.Doc[pycrdt.Map[str]]] = [pycrdt.Doc(client_id=n) for n in (1, 2, 100)]
        for replica in self.replicas:
            replica["claims"] = pycrdt.Map()
        self.winners: set[int] = set()

    def step(self, name: str) -> None:
        agent, action = int(name.isupper()), name.lower()
        mine, hub = self.replicas[agent], self.replicas[2]
        match action:
            case "w":
                mine["claims"]["T"] = str(agent)
            case "u":
                hub.apply_update(mine.get_update())
            case "s":
                mine.apply_update(hub.get_update())
            case "v" if mine["claims"]["T"] == str(agent):
                self.winners.add(agent)


def test_writing_and_reading_back_lets_two_agents_win() -> None:
    outcomes = []
    for order in interleavings("wusv", "WUSV"):
        world = Naive()
        for name in order:
            world.step(name)
        outcomes.append(len(world.winners))
    assert len(outcomes) == 70
    assert outcomes.count(2) == 17  # even after a full round trip through the hub
    assert outcomes.count(1) == 53


class Decided:
    """The same two agents with a ledger between them; each has its own document, a queue up, and one down."""

    def __init__(self) -> None:
        self.published: list[bytes] = []
        self.ledger = Ledger(MemoryLog(), lambda: 0.0, publish=self.publish)
        self.ledger.publish_tasks([card("T")])
        self.ledger.open("T")
        self.own = (Document(), Document())
        self.up: tuple[list[bytes], list[bytes]] = ([], [])
        self.view = (Document(), Document())
        self.read = [0, 0]
        self.asked = [0, 0]
        self.winners: set[int] = set()
        for agent in (0, 1):
            self.ledger.join(f"ag/agent{agent}/1")

    def publish(self, topic: str, update: bytes) -> None:
        if topic == schema.CTL:
            self.published.append(update)

    def step(self, name: str) -> None:
        agent, action = int(name.isupper()), name.lower()
        match action:
            case "w":
                self.asked[agent] += 1
                wish = schema.encode(schema.Wish(nonce=f"{agent}.{self.asked[agent]}"))
                self.up[agent].append(self.own[agent].write(Put(map=schema.REQUESTS, key="T", value=wish)))
            case "u":
                for update in self.up[agent]:
                    self.ledger.receive(f"ag/agent{agent}/1", update)
                self.up[agent].clear()
            case "s":
                self.view[agent].apply(*self.published[self.read[agent] :])
                self.read[agent] = len(self.published)
            case "v" if self.holds(agent):
                self.winners.add(agent)
            case "x" if generation := self.holds(agent):  # a zombie hands in what it once held
                work = schema.encode(schema.Submission(gen=generation, nonce="x", commit=f"work of {agent}"))
                update = self.own[agent].write(Put(map=schema.SUBMISSIONS, key="T", value=work))
                self.ledger.receive(f"ag/agent{agent}/1", update)
            case "o":
                self.ledger.open("T")

    def holds(self, agent: int) -> int:
        """Return the generation that the agent believes to hold, from what has reached it; 0 if none."""
        text = self.view[agent].get(schema.GRANTS, "T")
        grant = json.loads(text) if text else {}
        mine = grant.get("state") == "held" and grant.get("nonce") == f"{agent}.{self.asked[agent]}"
        return int(grant["gen"]) if mine else 0


def test_no_interleaving_lets_two_agents_win_when_the_hub_decides() -> None:
    outcomes = []
    for order in interleavings("wusv", "WUSV"):
        world = Decided()
        for name in order:
            world.step(name)
        outcomes.append(len(world.winners))
    assert len(outcomes) == 70
    assert set(outcomes) == {1}


@pytest.mark.exhaustive
def test_no_interleaving_with_a_release_lets_stale_work_in() -> None:
    """Each agent asks, learns, and hands in; the orchestrator takes the task back in between."""
    taken_after_release = 0
    orders = list(interleavings("wusx", "WUSX", "o"))
    assert len(orders) == 630
    for order in orders:
        world = Decided()
        for name in order:
            world.step(name)
        current, generations = None, []  # what an onlooker of the log alone would accept
        for line in world.ledger.snapshot().log:
            who = (line.fields.get("gen"), line.fields.get("holder"))
            match line.kind:
                case "granted":
                    current = who
                    generations.append(line.fields["gen"])
                case "opened":
                    current = None
                case "submitted":
                    assert current == who, f"{order}: stale work was taken"
                    current = None
                    taken_after_release += "o" in order[: order.lower().rindex("x")]
        assert generations == sorted(set(generations)), f"{order}: one generation, two holders"
    assert taken_after_release > 0
