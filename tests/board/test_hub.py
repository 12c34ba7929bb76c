"""Seats and a hub over channels: races, strangers, damage, restarts, and the end."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

import pytest

from orchestrator.board import schema
from orchestrator.board.channel import ChannelClosed, MemoryChannel, memory_pair
from orchestrator.board.document import Document, Put
from orchestrator.board.frame import Frame, decode_frame, encode_frame
from orchestrator.board.hub import Hub, open_board
from orchestrator.board.log import MemoryLog, read_board
from orchestrator.board.seat import Seat
from orchestrator.board.snapshot import take
from orchestrator.errors import BoardError, ClaimRefused
from orchestrator.model.claims import GrantState
from tests.board.stories import card, raw_seat, run, take_seat, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def wish(nonce: str = "1", key: str = "T") -> bytes:
    value = schema.encode(schema.Wish(nonce=nonce))
    return Document().write(Put(map=schema.REQUESTS, key=key, value=value))


async def closing_reason(channel: MemoryChannel) -> str:
    while True:
        try:
            await channel.receive()
        except ChannelClosed as closed:
            return closed.message


def test_many_seats_race_for_one_key_and_one_wins() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T")])
            hub.open("T")
            seats = [await hub.seat(f"agent{n}") for n in range(40)]
            random.Random(7).shuffle(seats)
            results = await asyncio.gather(*(seat.claim("T") for seat in seats), return_exceptions=True)
            won = [seat for seat, result in zip(seats, results, strict=True) if result == 1]
            told = [result for result in results if isinstance(result, ClaimRefused)]
            assert len(won) == 1
            assert len(told) == 39
            assert {result.message for result in told} == {f"T: {won[0].agent_id} holds it since generation 1"}
            assert hub.snapshot().task("T").holder == won[0].agent_id

    run(story())


def test_the_story_of_one_task() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T", "first", "second")])
            hub.open("T")
            seat = await hub.seat("a")
            generation = await seat.claim("T")
            assert await seat.claim("T") == generation == 1
            for todo in ("T/first", "T/second"):
                assert await seat.claim(todo) == 1
                await seat.done(todo)
            await seat.report("all is well")
            await seat.submit("T", generation, "c0ffee")
            await seat.submit("T", generation, "c0ffee")
            hub.release("T", GrantState.DONE, gen=1)
            await until(lambda: seat.view().task("T").state is GrantState.DONE)
            assert seat.view().tasks == hub.snapshot().tasks
            (agent,) = hub.snapshot().agents
            assert (agent.task, agent.gen, agent.phase, agent.todo) == ("T", 1, "submitted", None)
            assert agent.said == ("all is well",)
            kinds = [line.kind for line in hub.snapshot().log]
            assert kinds == ["published", "opened", *["granted"], *["granted", "done"] * 2, "submitted", "done"]

    run(story())


def test_a_zombie_is_refused_whatever_it_tries() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T", "x")])
            hub.open("T")
            zombie, worker = await hub.seat("zombie"), await hub.seat("worker")
            stale = await zombie.claim("T")
            await zombie.claim("T/x")
            hub.open("T")
            fresh = await worker.claim("T")
            assert fresh == stale + 1
            for attempt in (stale, fresh, fresh + 1):
                with pytest.raises(ClaimRefused, match="worker holds it"):
                    await zombie.submit("T", attempt, "bad")
            with pytest.raises(ClaimRefused):
                await zombie.done("T/x")
            with pytest.raises(ClaimRefused):
                await zombie.claim("T")
            await worker.submit("T", fresh, "good")
            assert hub.snapshot().task("T").commit == "good"

    run(story())


def test_questions_that_cannot_be_answered_yes() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T", "x")])
            seat = await hub.seat("a")
            with pytest.raises(ClaimRefused, match="not open yet"):
                await seat.claim("T")
            with pytest.raises(ClaimRefused, match="no such task"):
                await seat.claim("U")
            with pytest.raises(ClaimRefused, match="no such task"):
                await seat.submit("U", 1, "c")
            with pytest.raises(ClaimRefused, match="claim it before"):
                await seat.done("T/x")
            with pytest.raises(BoardError, match="is a task"):
                await seat.done("T")
            for key in ("", "T/x/y", "\ud800", "x" * 101, "\x1b[31m"):
                with pytest.raises(ClaimRefused, match="cannot be the key"):
                    await seat.claim(key)
            with pytest.raises(BoardError, match=r"out of reach: a submission on the board cannot be read: commit"):
                await seat.submit("T", 1, "x" * 201)  # more than a commit: the hub ends the connection

    run(story())


def test_a_frame_for_another_document_closes_only_that_channel() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T"), card("U")])
            hub.open("T")
            hub.open("U")
            honest, victim = await hub.seat("honest"), await hub.seat("victim")
            for topic in (schema.CTL, victim.topic, "ag/victim/other", "ag/stranger/2", ""):
                stranger, serving = await raw_seat(hub, "stranger")
                await stranger.send(encode_frame(Frame(topic=topic, update=wish())))
                assert "only ag/stranger/raw is taken" in await closing_reason(stranger)
                await serving
            assert hub.snapshot().task("T").state is GrantState.OPEN
            assert await honest.claim("T") == 1
            assert await victim.claim("U") == 1

    run(story())


def test_a_damaged_frame_closes_only_that_channel() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T")])
            hub.open("T")
            honest = await hub.seat("honest")
            whole = encode_frame(Frame(topic="ag/shaky/raw", update=wish()))
            for at in range(0, len(whole), 3):
                shaky, serving = await raw_seat(hub, "shaky")
                await shaky.send(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
                assert await closing_reason(shaky)
                await serving
            assert hub.snapshot().task("T").state is GrantState.OPEN
            assert await honest.claim("T") == 1

    run(story())


@pytest.mark.parametrize(
    "update",
    [
        pytest.param(b"no update at all", id="no update"),
        pytest.param(Document().write(Put(map=schema.REQUESTS, key="T", value="no json")), id="no json"),
        pytest.param(wish(key="k" * 1000), id="no key"),
        pytest.param(bytes(2 * 1024 * 1024), id="too long"),
    ],
)
def test_what_cannot_be_read_closes_only_that_channel(update: bytes) -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T")])
            hub.open("T")
            honest = await hub.seat("honest")
            stranger, serving = await raw_seat(hub, "stranger")
            await stranger.send(encode_frame(Frame(topic="ag/stranger/raw", update=update)))
            assert await closing_reason(stranger)
            await serving
            assert await honest.claim("T") == 1
            hub.drop("stranger")
            hub.snapshot()

    run(story())


def test_a_foreign_client_needs_only_the_layout() -> None:
    """Claim and hand in with nothing but documents and frames, as a client in another language would."""

    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T")])
            hub.open("T")
            here, there = memory_pair()
            serving = asyncio.create_task(hub.attach(here, writes="ag/foreign/1"))
            ctl, own = Document(), Document()
            ctl.apply(decode_frame(await there.receive(), topic="ctl").update)
            for name, value in (("req", '{"nonce":"n1"}'), ("submit", '{"nonce":"n2","gen":1,"commit":"abc"}')):
                update = own.write(Put(map=name, key="T", value=value))
                await there.send(encode_frame(Frame(topic="ag/foreign/1", update=update)))
                ctl.apply(decode_frame(await there.receive(), topic="ctl").update)
            answers = schema.decode_answers(ctl.items("answers")["ag/foreign/1"])
            assert answers["req"]["T"] == schema.Answer(nonce="n1", gen=1)
            assert answers["submit"]["T"] == schema.Answer(nonce="n2", gen=1)
            there.close()
            await serving
            assert hub.snapshot().task("T").state is GrantState.SUBMITTED

    run(story())


def test_an_agent_has_one_connection() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T")])
            hub.open("T")
            first = await hub.seat("a")
            assert await first.claim("T") == 1
            second = await hub.seat("a")
            with pytest.raises(BoardError, match="a connected again"):
                await first.report("still here")
            assert await second.claim("T") == 1
            assert len(hub.snapshot().agents) == 1

    run(story())


def test_a_dropped_agent_is_cut_off() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T")])
            hub.open("T")
            seat, other = await hub.seat("a"), await hub.seat("b")
            await seat.claim("T")
            hub.drop("a", reason="its process ended")
            with pytest.raises(BoardError, match="its process ended"):
                await seat.submit("T", 1, "c")
            channel, back = memory_pair()
            with pytest.raises(BoardError, match="was dropped"):
                await hub.attach(channel, writes=seat.topic)
            assert "was dropped" in await closing_reason(back)
            hub.open("T")
            assert await other.claim("T") == 2

    run(story())


def test_whatever_waits_ends_when_the_hub_closes() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T")])
            hub.open("T")
            here, there = memory_pair(room=1)
            deaf = Seat("deaf", there)  # nobody serves the other end, so nothing of this is ever answered
            waiting: list[asyncio.Task[object]] = [
                asyncio.create_task(deaf.synced()),
                asyncio.create_task(deaf.claim("T")),
                asyncio.create_task(deaf.claim("T")),
                asyncio.create_task(deaf.submit("T", 1, "c")),
                asyncio.create_task(deaf.report("hello")),
            ]
            await asyncio.sleep(0)
            here.close("the machine went down")
            results = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(result) for result in results] == [BoardError] * 4 + [type(results[4])]
            assert all(isinstance(result, BoardError) for result in results)
            seat = await hub.seat("a")
        for later in (seat.synced(), seat.claim("T"), seat.submit("T", 1, "c"), seat.report("x")):
            with pytest.raises(BoardError, match="the hub is closed"):
                await later
        with pytest.raises(BoardError, match="the hub is closed"):
            await hub.seat("b")
        assert seat.view().task("T").state is GrantState.OPEN
        await hub.close()

    run(story())


def test_a_seat_that_leaves_ends_its_own_waiting_and_nothing_else() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T")])
            hub.open("T")
            leaver, stayer = await hub.seat("leaver"), await hub.seat("stayer")
            claim = asyncio.create_task(leaver.claim("T"))
            await asyncio.sleep(0)
            leaver.close()
            leaver.close()
            with pytest.raises(BoardError, match="this seat was left"):
                await claim
            with pytest.raises(BoardError, match="this seat was left"):
                await leaver.report("x")
            hub.open("T")
            assert await stayer.claim("T") >= 1
            await asyncio.gather(leaver._sender, leaver._listener)  # nothing of it runs on

    run(story())


def test_a_cancelled_claim_tears_no_gap() -> None:
    async def story() -> None:
        chance = random.Random(3)
        async with open_board(None) as hub:
            hub.publish_tasks([card(f"T{n}") for n in range(30)])
            for n in range(30):
                hub.open(f"T{n}")
            seat, serving = await take_seat(hub, "a", chance=chance)
            await seat.synced()
            for n in range(29):
                claim = asyncio.create_task(seat.claim(f"T{n}"))
                for _ in range(chance.randrange(12)):
                    await asyncio.sleep(0)
                claim.cancel()
                await asyncio.gather(claim, return_exceptions=True)
            assert await seat.claim("T29") == 1
            assert await seat.claim("T5") in (1, 2)
            seat.close()
            await serving

    run(story())


def test_claims_of_one_seat_at_once_are_all_answered() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            keys = [f"T{n}" for n in range(300)]
            hub.publish_tasks([card(key) for key in keys])
            for key in keys:
                hub.open(key)
            seat = await hub.seat("a")
            assert set(await asyncio.gather(*map(seat.claim, keys))) == {1}
            assert set(await asyncio.gather(*[seat.claim("T0") for _ in range(5)])) == {1}

    run(story())


def test_a_restarted_hub_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "board.log"

    async def before() -> None:
        async with open_board(path) as hub:
            hub.publish_tasks([card("T", "x")])
            hub.open("T")
            seat = await hub.seat("a")
            await seat.claim("T")
            await seat.claim("T/x")
            await seat.report("half way")
            await until(lambda: hub.snapshot().task("T").words == "half way")
            looked_on = take(read_board(path))
            assert looked_on == hub.snapshot()

    async def after() -> None:
        async with open_board(path) as hub:
            assert hub.snapshot() == take(read_board(path))
            task = hub.snapshot().task("T")
            assert (task.state, task.gen, task.holder, task.words) == (GrantState.HELD, 1, "a", "half way")
            hub.drop("a", reason="it went with the old hub")
            hub.open("T")
            seat = await hub.seat("a")
            assert await seat.claim("T") == 2
            assert await seat.claim("T/x") == 2
            hub.accept_submission("T", 2, "a", "c")

    run(before())
    run(after())


class Full:
    """A log that takes so many frames and then none: a full disk."""

    def __init__(self, room: int) -> None:
        self.kept = MemoryLog()
        self.room = room

    def replay(self) -> Iterator[Frame]:
        return self.kept.replay()

    def append(self, frames: Sequence[Frame]) -> None:
        if self.room < len(frames):
            raise BoardError("the disk is full")
        self.room -= len(frames)
        self.kept.append(frames)

    def close(self) -> None:
        self.kept.close()


def test_what_was_not_persisted_is_never_shown() -> None:
    async def story(room: int) -> None:
        log = Full(room)
        hub = Hub(log, lambda: 0.0)
        hub.publish_tasks([card("T")])
        hub.open("T")
        seats = [await hub.seat("a"), await hub.seat("b")]
        results = await asyncio.gather(*(seat.claim("T") for seat in seats), return_exceptions=True)
        assert any(isinstance(result, BoardError) and "disk is full" in result.message for result in results)
        persisted = Hub(log.kept, lambda: 0.0).snapshot()
        for seat, result in zip(seats, results, strict=True):
            assert seat.view().log == persisted.log[: len(seat.view().log)]
            if result == 1:
                assert persisted.task("T").holder == seat.agent_id
        with pytest.raises(BoardError, match="the board stopped: the disk is full"):
            hub.note("more")
        await hub.close()

    for room in (2, 3, 4, 5):
        run(story(room))


def test_a_seat_that_reads_nothing_holds_nobody_up() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            keys = [f"T{n}" for n in range(400)]
            hub.publish_tasks([card(key) for key in keys])
            here, deaf = memory_pair()
            serving = asyncio.create_task(hub.attach(here, writes="ag/deaf/1"))
            seat = await hub.seat("a")
            for key in keys:
                hub.open(key)
                assert await seat.claim(key) == 1
            ctl = Document()
            frames = 0
            while "T399" not in ctl.items(schema.GRANTS):
                ctl.apply(decode_frame(await deaf.receive(), topic="ctl").update)
                frames += 1
            assert frames < 200  # of 800 updates: the backlog became one difference
            assert ctl.items(schema.GRANTS).keys() == set(keys)
            deaf.close()
            await serving

    run(story())


def test_a_claim_is_cheap() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            keys = [f"T{n}" for n in range(1000)]
            began = time.perf_counter()
            hub.publish_tasks([card(key) for key in keys])
            assert time.perf_counter() - began < 1
            seat = await hub.seat("a")
            times = []
            for key in keys[:200]:
                hub.open(key)
                began = time.perf_counter()
                await seat.claim(key)
                times.append(time.perf_counter() - began)
            assert sorted(times)[100] < 0.005  # seconds; measured: 0.0004

    run(story())
