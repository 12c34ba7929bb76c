"""Every order of events around one claim, tried on the real code: `Ledger`, `Claimant`, and real documents between them.

The transport goes step by step: an update is written, carried up, decided, persisted, published and carried down each
by a step of its own, and in between clocks tick, the hub dies and comes back, and workers go on though their lease is over.
Orders that lead to the same state are tried once. `python -m tests.support.claims_model --budget 4` tries more of them.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

import pycrdt

from orchestrator.board import schema
from orchestrator.board.claimant import Claimant, Inquiry
from orchestrator.board.ledger import Ledger
from orchestrator.board.log import MemoryLog
from orchestrator.model.claims import GrantState
from orchestrator.model.todo import TaskCard

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from orchestrator.board.document import Document
    from orchestrator.board.frame import Frame

__all__ = ["CASES", "Found", "LastWriterWins", "Rules", "World", "explore"]

KEY = "T"
TICK = 16.0  # seconds: two of them are more than a lease


class Playable(Protocol):
    """What can be explored: steps that are possible, what they lead to, and whether that is wrong."""

    def possible(self) -> list[str]: ...

    def do(self, step: str) -> None: ...

    def state(self) -> Hashable: ...

    def wrong(self) -> str | None: ...


@dataclass
class Found:
    """What an exploration came to; `wrong` has the shortest order of steps that broke each promise."""

    states: int = 0
    orders: int = 0
    wrong: dict[str, tuple[str, ...]] = field(default_factory=dict)


def explore(
    make: Callable[[], Playable], *, begin: Sequence[str] = (), longest: int | None = None, stop_at_first: bool = False
) -> Found:
    """Try every order of at most `longest` steps after those of `begin`, all orders of one length before any longer one."""
    found = Found()
    level: dict[Hashable, tuple[tuple[str, ...], int]] = {replay(make, begin).state(): (tuple(begin), 1)}
    while level:
        following: dict[Hashable, tuple[tuple[str, ...], int]] = {}
        for path, ways in level.values():
            found.states += 1
            here = replay(make, path)
            steps = here.possible() if longest is None or len(path) < longest else []
            found.orders += 0 if steps else ways
            for n, step in enumerate(reversed(steps)):
                world = here if n == len(steps) - 1 else replay(make, path)  # the last one may spoil what is there
                world.do(step)
                if (wrong := world.wrong()) is not None:
                    found.wrong.setdefault(wrong, (*path, step))
                    if stop_at_first:
                        return found
                    continue
                state = world.state()
                known = following.get(state, ((*path, step), 0))
                following[state] = known[0], known[1] + ways
        level = following
    return found


def replay(make: Callable[[], Playable], path: Sequence[str]) -> Playable:
    """Return the world after these steps."""
    world = make()
    for step in path:
        world.do(step)
    return world


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules of the protocol, each of which can be left out here; the real code has no such switches."""

    lease_from_sending: bool = True
    fence: bool = True
    persist_first: bool = True
    grace_after_restart: bool = True


class _Unfenced(Ledger):
    """Takes whatever is handed in."""

    def _objection(self, *_work: object) -> None:
        return None


class _FromReceipt(Claimant):
    """Counts a lease from when the grant arrived."""

    def _conclude(self, inquiry: Inquiry, answer: schema.Answer) -> None:
        inquiry.asked[answer.nonce] = self._now()
        super()._conclude(inquiry, answer)


class _Log(MemoryLog):
    """A log that dies with what was not persisted."""

    def __init__(self, frames: Sequence[Frame] = ()) -> None:
        super().__init__()
        super().append(frames)
        self.late: list[Frame] | None = None

    def append(self, frames: Sequence[Frame]) -> None:
        if self.late is None:
            super().append(frames)
        else:
            self.late.extend(frames)

    def persist(self) -> None:
        frames, self.late = self.late or [], []
        super().append(frames)


class World:
    """Two agents, one task, a hub, and a queue in each direction; `budget` says how often each step may be taken."""

    def __init__(self, rules: Rules, budget: dict[str, int]) -> None:
        self.rules = rules
        self.left = Counter(budget)
        self.time = 0.0
        self.log = _Log()
        self.up: dict[str, list[tuple[bytes, Hashable]]] = {"a": [], "b": []}
        self.down: dict[str, list[tuple[bytes, Hashable]]] = {"a": [], "b": []}
        self.unpublished: list[tuple[bytes, Hashable]] = []
        self.granted: dict[int, set[str]] = {}
        self.taken: list[tuple[int, int]] = []  # generation handed in, and the newest one then
        self.ready = False
        self.ledger = self._hub()
        self.ledger.publish_tasks([TaskCard(id=KEY)])
        self.ledger.open(KEY)
        kind = Claimant if rules.lease_from_sending else _FromReceipt
        self.agents = {name: kind(name, partial(self._wrote, name), now=lambda: self.time) for name in "ab"}
        for agent in self.agents.values():
            self.ledger.join(agent.topic)
            agent.ctl.apply(self.ledger._books.ctl.since(None))
        self.ready = True
        self.log.late = None if rules.persist_first else []

    def possible(self) -> list[str]:
        steps = [step for step in ("tick", "crash") if self.left[step]]
        if self.unpublished or self.log.late:  # at once if nothing can come between
            steps.append("settle")
        for name, agent in self.agents.items():
            steps += [f"{name} claims"] * (self.left[f"{name} claims"] > 0 and KEY not in agent.generations)
            steps += [f"{name} renews"] * (self.left[f"{name} renews"] > 0 and KEY in agent.generations)
            steps += [f"{name} hands in"] * (self.left[f"{name} hands in"] > 0 and KEY in agent.generations)
            steps += [f"{name} up"] * bool(self.up[name])
            steps += [f"{name} down"] * bool(self.down[name])
        return steps

    def do(self, step: str) -> None:
        if step in self.left:
            self.left[step] -= 1
        name, _, verb = step.partition(" ")
        match verb or name:
            case "tick":
                self.time += TICK
            case "crash":
                self._crash()
            case "settle":
                self._settle()
            case "claims":
                self.agents[name].claim(KEY)
            case "renews":
                self.agents[name].renew()
            case "hands in":  # whether its lease is over or not: a worker that was paused does not know
                agent = self.agents[name]
                agent.hand_in(KEY, agent.generations[KEY], f"work of {name}")
            case "up":
                self._carry_up(name)
            case "down":
                self.agents[name].ctl.apply(self.down[name].pop(0)[0])
                for inquiry in self.agents[name].settle():
                    if inquiry.map == schema.REQUESTS and inquiry.answer and inquiry.answer.refused is None:
                        self.granted.setdefault(inquiry.answer.gen, set()).add(name)

    def wrong(self) -> str | None:
        if all(agent.holds(KEY) for agent in self.agents.values()):
            return "two workers inside their leases"
        if any(len(holders) > 1 for holders in self.granted.values()):
            return "one generation for two holders"
        if any(gen < newest for gen, newest in self.taken):
            return "stale work was taken"
        if len(self.taken) > 1:
            return "work was taken twice"
        return None

    def state(self) -> Hashable:
        return (
            self.time, self._same(_content(self.ledger._books.ctl)), tuple(sorted(self.ledger._renewed.items())),
            self.ledger._began, len(self.log.late or ()), tuple(label for _, label in self.unpublished),
            tuple(sorted(self.left.items())), tuple(sorted((g, tuple(sorted(h))) for g, h in self.granted.items())),
            tuple(self.taken), tuple(self._state_of(name) for name in "ab"),
        )  # fmt: skip

    def _state_of(self, name: str) -> Hashable:
        agent = self.agents[name]
        asked = tuple((i.map, tuple((self._same(n), at) for n, at in i.asked.items())) for i in agent.inquiries)
        there = self.ledger._books.documents[agent.topic]
        return (
            self._same(_content(agent.own)), self._same(_content(agent.ctl)), self._same(_content(there)), asked,
            tuple(agent.generations.items()), tuple(agent._until.items()), tuple(sorted(agent._settled)),
            tuple(label for _, label in self.up[name]), tuple(label for _, label in self.down[name]),
        )  # fmt: skip

    def _same(self, text: str) -> str:
        """Return a text without what is random in it."""
        for name, agent in self.agents.items():
            text = text.replace(agent.topic.rpartition("/")[2], name)
        return text

    def _hub(self) -> Ledger:
        kind = Ledger if self.rules.fence else _Unfenced
        hub = kind(self.log, lambda: 0.0, publish=self._published, now=lambda: self.time)
        if not self.rules.grace_after_restart:
            hub._began = float("-inf")
        return hub

    def _wrote(self, name: str, update: bytes) -> None:
        self.up[name].append((update, self._same(_content(self.agents[name].own))))

    def _published(self, topic: str, update: bytes) -> None:
        if topic != schema.CTL or not self.ready:
            return
        told = (update, self._same(_content(self.ledger._books.ctl)))
        if self.rules.persist_first:
            self.unpublished.append(told)
        else:
            for queue in self.down.values():
                queue.append(told)

    def _settle(self) -> None:
        """Do what comes after a decision: publish what was persisted, or, if that rule is off, the other way round."""
        self.log.persist() if self.log.late else None
        for queue in self.down.values():
            queue.extend(self.unpublished)
        self.unpublished = []

    def _carry_up(self, name: str) -> None:
        before = self.ledger._grants[KEY]
        self.ledger.receive(self.agents[name].topic, self.up[name].pop(0)[0])
        after = self.ledger._grants[KEY]
        if after.state is GrantState.SUBMITTED and after != before:
            self.taken.append((self._generation_of(name), before.gen))
        if not self.left["crash"]:
            self._settle()

    def _generation_of(self, name: str) -> int:
        there = self.ledger._books.documents[self.agents[name].topic]
        return schema.decode_submission(there.get(schema.SUBMISSIONS, KEY) or "").gen

    def _crash(self) -> None:
        """Kill the hub and start it from what was persisted; the links begin anew, and open requests are asked again."""
        self.log = _Log(list(self.log.replay()))
        self.unpublished = []
        if not self.rules.persist_first:
            self.log.late = []
        self.ledger = self._hub()
        for name, agent in self.agents.items():
            self.ledger.join(agent.topic)
            there = self.ledger._books.documents[agent.topic]
            ctl = self.ledger._books.ctl
            self.up[name] = self._lacking(agent.own, there)
            self.down[name] = self._lacking(ctl, agent.ctl)
            agent.ask_again()

    def _lacking(self, has: Document, lacks: Document) -> list[tuple[bytes, Hashable]]:
        """Return what a link carries first when it begins anew."""
        label = self._same(_content(has))
        return [] if label == self._same(_content(lacks)) else [(has.since(lacks.state()), label)]


def _content(document: Document) -> str:
    """Return what a document says about the claim, be it the hub's or an agent's."""
    texts = [document.get(name, KEY) or "" for name in (schema.GRANTS, schema.REQUESTS, schema.SUBMISSIONS)]
    return "|".join((*texts, *(text for _, text in sorted(document.items(schema.ANSWERS).items()))))


class LastWriterWins:
    """The same two agents without a granter: write an id, upload, download, and read back whose it is."""

    def __init__(self) -> None:
        self.replicas: dict[str, pycrdt.Doc[pycrdt.Map[str]]] = {
            name: pycrdt.Doc(client_id=n) for n, name in enumerate(("a", "b", "hub"), start=1)
        }
        for replica in self.replicas.values():
            replica["claims"] = pycrdt.Map()
        self.steps = {name: ["reads back", "down", "up", "claims"] for name in "ab"}
        self.winners: set[str] = set()

    def possible(self) -> list[str]:
        return [f"{name} {steps[-1]}" for name, steps in self.steps.items() if steps]

    def do(self, step: str) -> None:
        name, _, verb = step.partition(" ")
        self.steps[name].pop()
        mine, hub = self.replicas[name], self.replicas["hub"]
        match verb:
            case "claims":
                mine["claims"][KEY] = name
            case "up":
                hub.apply_update(mine.get_update())
            case "down":
                mine.apply_update(hub.get_update())
            case _ if mine["claims"].get(KEY) == name:
                self.winners.add(name)

    def wrong(self) -> str | None:
        return "two winners" if len(self.winners) > 1 else None

    def state(self) -> Hashable:
        seen = tuple(replica["claims"].get(KEY) for replica in self.replicas.values())
        return seen, tuple(map(tuple, self.steps.values())), frozenset(self.winners)


CASES: dict[str, dict[str, int]] = {
    "a delay": {"a claims": 1, "b claims": 1, "tick": 2},
    "a zombie": {"a claims": 1, "b claims": 1, "tick": 2, "a hands in": 1},
    "a crash": {"a claims": 1, "b claims": 1, "crash": 1},
    "a renewal": {"a claims": 1, "a renews": 1, "b claims": 1, "tick": 2},
}
"""What may happen, and how often; `a` begins, since the two are alike."""


def main() -> None:
    """Try every case with all rules, without a bound on the number of steps."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--budget", type=int, default=1, help="How often each step of a case may be taken, times this.")
    parser.add_argument("--longest", type=int, help="The most steps of an order.")
    options = parser.parse_args()
    for name, budget in CASES.items():
        began = time.perf_counter()
        more = {step: count * options.budget for step, count in budget.items()}
        found = explore(lambda more=more: World(Rules(), more), begin=["a claims"], longest=options.longest)  # type: ignore[misc]
        print(f"{name}: {found} in {time.perf_counter() - began:.1f} s", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
