"""What no seat would send, and readers that do not read: it costs that channel alone."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.board import schema
from orchestrator.board.channel import ChannelClosed, MemoryChannel, memory_pair
from orchestrator.board.document import Document, Put
from orchestrator.board.frame import Frame, decode_frame, encode_frame
from orchestrator.board.hub import open_board
from orchestrator.errors import BoardError
from orchestrator.model.claims import GrantState
from tests.board.stories import Held, card, raw_seat, run


def wish(nonce: str = "1", key: str = "T") -> bytes:
    value = schema.encode(schema.Wish(nonce=nonce))
    return Document().write(Put(map=schema.REQUESTS, key=key, value=value))


async def closing_reason(channel: MemoryChannel) -> str:
    while True:
        try:
            await channel.receive()
        except ChannelClosed as closed:
            return closed.message


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
            expelled = [line.fields["agent"] for line in hub.snapshot().log if line.kind == "expelled"]
            assert expelled == ["stranger"]
            hub.drop("stranger")
            assert [agent.agent for agent in hub.snapshot().agents] == ["honest"]

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
            for name, value in (
                ("req", '{"nonce":"n1"}'),
                ("submit", '{"nonce":"n2","gen":1,"commit":"abc"}'),
            ):
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


def test_what_was_under_way_when_an_agent_was_dropped_is_not_taken() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T")])
            hub.open("T")
            here, there = memory_pair()
            held = Held(here)
            serving = asyncio.create_task(hub.attach(held, writes="ag/late/1"))
            await there.receive()
            held.gate.clear()
            await there.send(encode_frame(Frame(topic="ag/late/1", update=wish())))
            for _ in range(5):
                await asyncio.sleep(0)
            hub.drop("late")
            held.gate.set()
            await serving
            assert hub.snapshot().task("T").state is GrantState.OPEN

    run(story())


def test_a_seat_that_never_pauses_leaves_others_their_turn() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T")])
            hub.open("T")
            here, there = memory_pair(room=1000)
            for n in range(300):
                await there.send(encode_frame(Frame(topic="ag/busy/1", update=wish(f"n{n}"))))
            serving = asyncio.create_task(hub.attach(here, writes="ag/busy/1"))
            turns = 0
            while here._incoming._items:
                await asyncio.sleep(0)
                turns += 1
            assert turns >= 300
            there.close()
            await serving

    run(story())
