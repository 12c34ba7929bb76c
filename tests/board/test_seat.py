"""What an agent can do from its seat, and how its waiting ends."""

from __future__ import annotations

import asyncio
import random

import pytest

from orchestrator.board.channel import memory_pair
from orchestrator.board.hub import open_board
from orchestrator.board.seat import Seat
from orchestrator.errors import BoardError, ClaimRefused
from orchestrator.model.claims import GrantState
from tests.board.stories import Held, card, dialing, leave, run, take_seat, until


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
            assert kinds == [
                "published",
                "opened",
                *["granted"],
                *["granted", "done"] * 2,
                "submitted",
                "done",
            ]

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


def test_whatever_waits_ends_when_the_hub_closes() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T")])
            hub.open("T")
            here, there = memory_pair(room=1)
            deaf = Seat("deaf", lambda _topic: asyncio.sleep(0, there))  # nobody serves the other end
            waiting: list[asyncio.Task[object]] = [
                asyncio.create_task(deaf.synced()),
                asyncio.create_task(deaf.claim("T")),
                asyncio.create_task(deaf.claim("T")),
                asyncio.create_task(deaf.submit("T", 1, "c")),
            ]
            await asyncio.sleep(0)
            here.close("the machine went down")
            results = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(result) for result in results] == [BoardError] * 4
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
            await stayer.report("all is sent, so its sender waits for more")
            stayer.close()
            for seat in (leaver, stayer):
                await seat.left()  # nothing of it runs on

    run(story())


def test_a_cancelled_claim_tears_no_gap() -> None:
    async def story() -> None:
        chance = random.Random(3)
        async with open_board(None) as hub:
            hub.publish_tasks([card(f"T{n}") for n in range(30)])
            for n in range(30):
                hub.open(f"T{n}")
            seat = await take_seat(hub, "a", chance=chance)
            await seat.synced()
            for n in range(29):
                claim = asyncio.create_task(seat.claim(f"T{n}"))
                for _ in range(chance.randrange(12)):
                    await asyncio.sleep(0)
                claim.cancel()
                await asyncio.gather(claim, return_exceptions=True)
            assert await seat.claim("T29") == 1
            assert await seat.claim("T5") in (1, 2)
            await leave(seat)

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


def test_claims_of_one_key_at_once_are_answered_though_answers_are_replaced() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T")])
            hub.open("T")
            gate = asyncio.Event()
            gate.set()
            seat = Seat("a", dialing(hub, lambda end: Held(end, gate), room=1))
            await seat.synced()
            gate.clear()
            claims = [asyncio.create_task(seat.claim("T")) for _ in range(5)]
            gate.set()
            await until(lambda: hub.snapshot().task("T").holder == "a")
            gate.clear()
            for n in range(100):  # so many that the seat gets one difference, with the last answer only
                hub.note("count", n=n)
            gate.set()
            assert await asyncio.gather(*claims) == [1] * 5
            await leave(seat)

    run(story())
