"""Races, restarts, a full disk, and the cost of a claim."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from orchestrator.board import schema
from orchestrator.board.hub import Hub, open_board
from orchestrator.board.log import MemoryLog, read_board, replay
from orchestrator.board.snapshot import take
from orchestrator.errors import BoardError, ClaimRefused
from orchestrator.model.claims import GrantState
from tests.board.stories import card, raw_reader, run, until
from tests.support.cost import at_most_calls

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from orchestrator.board.frame import Frame


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

    def sync(self) -> None:
        self.kept.sync()

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


def test_a_slow_reader_is_not_shown_what_was_not_persisted() -> None:
    """Its backlog became a difference, made from documents that are ahead of the log by now."""

    async def story() -> None:
        log = Full(90)
        hub = Hub(log, lambda: 0.0)
        slow = await raw_reader(hub, room=1)
        for n in range(90):
            hub.note("count", n=n)
        with pytest.raises(BoardError, match="the disk is full"):
            hub.note("one too many")
        assert "the disk is full" in (await slow.closing()).message
        await slow.serving
        shown = slow.document.entries(schema.LOG)
        assert shown == replay(log.replay())[schema.CTL].entries(schema.LOG)[: len(shown)]

    run(story())


class Unsynced(Full):
    """A log that takes everything, and whose disk does not."""

    def sync(self) -> None:
        raise BoardError("the disk is gone")


def test_nothing_leaves_before_the_disk_has_it() -> None:
    async def story() -> None:
        hub = Hub(Unsynced(100), lambda: 0.0)
        early = await raw_reader(hub)
        hub.note("this may be lost")
        assert "the disk is gone" in (await early.closing()).message
        assert early.document.entries(schema.LOG) == []
        with pytest.raises(BoardError, match="the board stopped: the disk is gone"):
            hub.note("more")

    run(story())


def test_the_cost_of_claims_is_bounded() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            keys = [f"T{n}" for n in range(1000)]
            with at_most_calls(400 * len(keys)):
                hub.publish_tasks([card(key) for key in keys])
            seat = await hub.seat("a")
            with at_most_calls(8_000 * 200):
                for key in keys[:200]:
                    hub.open(key)
                    await seat.claim(key)

    run(story())
