from __future__ import annotations

import asyncio

import pytest

from orchestrator.board.channel import ChannelClosed, Closing, memory_pair
from orchestrator.board.document import Document, Put
from orchestrator.board.feed import Feed
from orchestrator.board.wire import Kind, decode
from tests.board.stories import run


def test_messages_arrive_once_and_in_order() -> None:
    async def story() -> None:
        here, there = memory_pair(room=3)
        sent = [bytes([n]) for n in range(50)]

        async def send() -> None:
            for data in sent:
                await here.send(data)

        sending = asyncio.create_task(send())
        assert [await there.receive() for _ in sent] == sent
        await sending

    run(story())


def test_a_sender_waits_for_a_slow_reader() -> None:
    async def story() -> None:
        here, there = memory_pair(room=2)
        await here.send(b"1")
        await here.send(b"2")
        third = asyncio.create_task(here.send(b"3"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not third.done()
        assert await there.receive() == b"1"
        await third

    run(story())


def test_the_other_end_reads_what_was_sent_and_then_the_reason() -> None:
    async def story() -> None:
        here, there = memory_pair()
        await here.send(b"last")
        here.close("going home")
        here.close("too late to matter")
        assert await there.receive() == b"last"
        with pytest.raises(ChannelClosed, match="going home"):
            await there.receive()
        with pytest.raises(ChannelClosed, match="going home"):
            await there.send(b"reply")

    run(story())


def test_the_closing_end_reads_nothing_more() -> None:
    async def story() -> None:
        here, there = memory_pair()
        await there.send(b"unread")
        here.close()
        with pytest.raises(ChannelClosed):
            await here.receive()
        with pytest.raises(ChannelClosed):
            await here.send(b"x")

    run(story())


def test_closing_wakes_whoever_waits() -> None:
    async def story() -> None:
        here, there = memory_pair(room=1)
        await there.send(b"full")
        waiting = [asyncio.create_task(there.receive()), asyncio.create_task(there.send(b"2"))]
        await asyncio.sleep(0)
        here.close("the end")
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [str(result) for result in results] == ["the end", "the end"]

    run(story())


def update_in(data: bytes) -> bytes:
    message = decode(data)
    assert message.kind in (Kind.STEP2, Kind.UPDATE)
    return message.content


def test_a_slow_reader_gets_one_difference_in_place_of_a_long_queue() -> None:
    async def story() -> None:
        here, there = memory_pair(room=1)
        document, reader = Document(), Document()
        feed = Feed(document, here)
        running = asyncio.create_task(feed.run())
        document.write(Put(map="m", key="long", value="x" * 50_000))
        feed.answer(reader.state())
        reader.apply(update_in(await there.receive()))
        for n in range(500):
            feed.push(document.write(Put(map="m", key="k", value=str(n))))
            if n % 100 == 0:
                await asyncio.sleep(0)  # the feed runs now and then, the reader never
        received = 0
        while reader.get("m", "k") != "499":
            data = await there.receive()
            assert len(data) < 10_000  # only what is missing
            reader.apply(update_in(data))
            received += 1
        assert received < 30
        feed.push(document.write(Put(map="m", key="after", value="1")))
        await feed.sent()
        reader.apply(update_in(await there.receive()))
        assert reader.items("m") == document.items("m")
        feed.stop("done")
        await running

    run(story())


def test_a_reader_that_takes_nothing_is_given_up() -> None:
    async def story() -> None:
        here, there = memory_pair(room=1)
        document = Document()
        feed = Feed(document, here, stall=0.05)
        running = asyncio.create_task(feed.run())
        feed.answer(Document().state())
        await feed.sent()
        feed.push(document.write(Put(map="m", key="a", value="1")))
        await running
        await there.receive()
        with pytest.raises(ChannelClosed, match="took nothing for") as closed:
            await there.receive()
        assert closed.value.code == Closing.TOO_SLOW
        assert not closed.value.final

    run(story())


def test_a_feed_ends_with_its_channel() -> None:
    async def story() -> None:
        here, there = memory_pair(room=1)
        document = Document()
        feed = Feed(document, here)
        running = asyncio.create_task(feed.run())
        feed.answer(document.state())
        await feed.sent()
        feed.push(document.write(Put(map="m", key="a", value="1")))
        waiting = asyncio.create_task(feed.sent())
        await asyncio.sleep(0)
        there.close("the reader left")
        with pytest.raises(ChannelClosed, match="the reader left"):
            await waiting
        await running
        with pytest.raises(ChannelClosed):
            await feed.sent()

    run(story())
