"""What no seat would send, and readers that do not read: it costs that connection alone."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.board import schema
from orchestrator.board.channel import Closing
from orchestrator.board.document import Document, Put
from orchestrator.board.hub import open_board
from orchestrator.board.wire import Kind, Message, PeerState, decode_states, encode, encode_states
from orchestrator.errors import BoardError
from orchestrator.model.claims import GrantState
from tests.board.stories import Held, Raw, card, raw_reader, run, until


def wish(nonce: str = "1", key: str = "T") -> bytes:
    value = schema.encode(schema.Wish(nonce=nonce))
    return Document().write(Put(map=schema.REQUESTS, key=key, value=value))


def test_a_reader_that_writes_is_closed_and_nothing_is_taken() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T"), card("U")])
            hub.open("T")
            victim = await hub.seat("victim")
            for topic in (schema.CTL, victim.topic):
                for kind in (Kind.STEP2, Kind.UPDATE):
                    stranger = await raw_reader(hub, topic)
                    await stranger.send(kind, wish())
                    closed = await stranger.closing()
                    assert (closed.code, closed.final) == (Closing.NOT_ALLOWED, True)
                    assert "may not write" in closed.message
                    await stranger.serving
            assert hub.snapshot().task("T").state is GrantState.OPEN
            assert await victim.claim("T") == 1

    run(story())


def test_a_stock_client_that_only_looks_may_answer_the_usual_questions() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T")])
            reader = await raw_reader(hub)
            await reader.send(Kind.STEP2, reader.document.since(reader.document.state()))  # deletions at most
            hub.note("after")
            await reader.hear(Kind.UPDATE)

    run(story())


@pytest.mark.parametrize(
    "topic", ["ag/a/unknown", "", "nothing", "ag/../x", "ag/a/1/2"], ids=["agent", "none", "word", "dots", "long"]
)
def test_what_is_no_document_cannot_be_read(topic: str) -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            raw = Raw(hub, topic, writes=False)
            assert (await raw.closing()).code == Closing.NO_DOCUMENT
            with pytest.raises(BoardError, match="has no document"):
                await raw.serving

    run(story())


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x00", id="half a kind"),
        pytest.param(b"\x07\x00", id="no kind"),
        pytest.param(b"\x00\x02\x05ab", id="cut short"),
        pytest.param(b"\x00\x02\x01ab", id="too long"),
        pytest.param(b"\x00\x02" + b"\xff" * 9, id="no number"),
        pytest.param(encode(Message(Kind.STEP1, b"\xff\xff")), id="no state"),
        pytest.param(encode(Message(Kind.STEP2, b"no update at all")), id="no update"),
        pytest.param(encode(Message(Kind.AWARENESS, b"\x01\x01\x01\x7f")), id="no awareness"),
        pytest.param(
            encode(Message(Kind.STEP2, Document().write(Put(map=schema.REQUESTS, key="T", value="no json")))),
            id="no json",
        ),
        pytest.param(encode(Message(Kind.STEP2, wish(key="k" * 1000))), id="no key"),
        pytest.param(encode(Message(Kind.STEP2, bytes(2 * 1024 * 1024))), id="oversized"),
    ],
)
def test_what_cannot_be_read_closes_only_that_connection(data: bytes) -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T")])
            hub.open("T")
            honest = await hub.seat("honest")
            stranger = Raw(hub, "ag/stranger/raw")
            await stranger.channel.send(data)
            closed = await stranger.closing()
            assert (closed.code, closed.final) == (Closing.BAD_MESSAGE, True)
            assert closed.message
            await stranger.serving
            assert await honest.claim("T") == 1
            expelled = [line.fields["agent"] for line in hub.snapshot().log if line.kind == "expelled"]
            assert expelled == ["stranger"]
            hub.drop("stranger")
            assert [agent.agent for agent in hub.snapshot().agents] == ["honest"]

    run(story())


def test_damage_anywhere_in_a_message_harms_nobody_else() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T")])
            honest = await hub.seat("honest")
            whole = encode(Message(Kind.STEP2, wish()))
            for at in range(0, len(whole), 2):
                shaky = Raw(hub, "ag/shaky/raw")
                await shaky.channel.send(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
                await until(lambda shaky=shaky: not shaky.end._incoming._items)  # type: ignore[misc]
                shaky.channel.close()
                await asyncio.gather(shaky.serving, return_exceptions=True)
                hub.snapshot()
            hub.open("T")
            assert await honest.claim("T") == 1

    run(story())


def test_a_foreign_client_needs_only_the_layout() -> None:
    """Claim and hand in with nothing but documents and messages, as a client in another language would."""

    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T")])
            hub.open("T")
            ctl, raw, own = await raw_reader(hub), Raw(hub, "ag/foreign/1"), Document()
            await raw.hear(Kind.STEP1)
            await raw.write(own.since(None))
            for name, value in (
                ("req", '{"nonce":"n1"}'),
                ("submit", '{"nonce":"n2","gen":1,"commit":"abc"}'),
            ):
                await raw.send(Kind.UPDATE, own.write(Put(map=name, key="T", value=value)))
                await ctl.hear(Kind.UPDATE)
            answers = schema.decode_answers(ctl.document.items("answers")["ag/foreign/1"])
            assert answers["req"]["T"] == schema.Answer(nonce="n1", gen=1)
            assert answers["submit"]["T"] == schema.Answer(nonce="n2", gen=1)
            assert hub.snapshot().task("T").state is GrantState.SUBMITTED

    run(story())


def test_what_a_client_sends_before_it_is_asked_is_taken_in_its_order() -> None:
    """Stock clients send what changes now before what changed while they were cut off; out of order, values are lost."""

    async def story() -> None:
        async with open_board(None) as hub:
            own = Document()
            updates = [own.write(Put(map="s", key="ab"[n % 2], value=str(n))) for n in range(4)]
            raw = Raw(hub, "ag/a/1")
            await raw.send(Kind.UPDATE, updates[0])
            await raw.send(Kind.UPDATE, updates[2])
            await raw.send(Kind.UPDATE, updates[3])
            state = (await raw.hear(Kind.STEP1)).content
            assert state == Document().state()
            await raw.write(own.since(state))
            await raw.send(Kind.UPDATE, own.write(Put(map="s", key="c", value="4")))
            reader = await raw_reader(hub, "ag/a/1")
            await until(lambda: hub._books.documents["ag/a/1"].get("s", "c") == "4")
            while reader.document.items("s") != {"a": "2", "b": "3", "c": "4"}:
                await reader.hear()

    run(story())


def test_what_was_lost_is_asked_for() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            own = Document()
            raw = Raw(hub, "ag/a/1")
            await raw.write(own.since(None))
            own.write(Put(map="s", key="s", value='{"note":"lost"}'))  # sent, and never arrived
            await raw.hear(Kind.STEP1)
            hub.resync()
            await raw.write(own.since((await raw.hear(Kind.STEP1)).content))
            await until(lambda: [agent.note for agent in hub.snapshot().agents] == ["lost"])
            frames = hub._books._appended
            for _ in range(3):  # and what comes again is not written down again
                hub.resync()
                await raw.write(own.since((await raw.hear(Kind.STEP1)).content))
            await raw.write(own.write(Put(map="s", key="s", value='{"note":"end"}')))
            await until(lambda: hub.snapshot().agents[0].note == "end")
            assert hub._books._appended == frames + 1

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
                await first.claim("T")
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
            watcher = await raw_reader(hub, seat.topic)
            hub.drop("a", reason="its process ended")
            with pytest.raises(BoardError, match="its process ended"):
                await seat.submit("T", 1, "c")
            assert (await watcher.closing()).code == Closing.DROPPED
            back = Raw(hub, seat.topic)
            closed = await back.closing()
            assert "was dropped" in closed.message
            assert (closed.code, closed.final) == (Closing.DROPPED, True)
            with pytest.raises(BoardError, match="was dropped"):
                await back.serving
            hub.open("T")
            assert await other.claim("T") == 2

    run(story())


def test_a_seat_that_reads_nothing_holds_nobody_up() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            keys = [f"T{n}" for n in range(400)]
            hub.publish_tasks([card(key) for key in keys])
            deaf = await raw_reader(hub)
            seat = await hub.seat("a")
            for key in keys:
                hub.open(key)
                assert await seat.claim(key) == 1
            messages = 0
            while "T399" not in deaf.document.items(schema.GRANTS):
                await deaf.hear()
                messages += 1
            assert messages < 200  # of 800 updates: the backlog became one difference
            assert deaf.document.items(schema.GRANTS).keys() == set(keys)

    run(story())


def test_what_was_under_way_when_an_agent_was_dropped_is_not_taken() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T")])
            hub.open("T")
            gate = asyncio.Event()
            gate.set()
            raw = Raw(hub, "ag/late/1")
            held = Held(raw.end, gate)
            raw.serving.cancel()
            raw.serving = asyncio.create_task(hub.serve(held, "ag/late/2", writes=True))
            await raw.hear()
            gate.clear()
            await raw.write(wish())
            for _ in range(5):
                await asyncio.sleep(0)
            hub.drop("late")
            gate.set()
            await raw.serving
            assert hub.snapshot().task("T").state is GrantState.OPEN

    run(story())


def test_a_client_that_never_pauses_leaves_others_their_turn() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            hub.publish_tasks([card("T")])
            hub.open("T")
            busy = Raw(hub, "ag/busy/1", room=1000)
            for n in range(300):
                await busy.write(wish(f"n{n}"))
            turns = 0
            while busy.end._incoming._items:
                await asyncio.sleep(0)
                turns += 1
            assert turns >= 300

    run(story())


def test_who_is_there_is_told_to_others_and_forgotten_with_the_connection() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            ann, bob = await raw_reader(hub), await raw_reader(hub)
            await ann.send(Kind.AWARENESS, encode_states([PeerState(7, 1, '{"name":"ann"}')]))
            heard = decode_states((await bob.hear(Kind.AWARENESS)).content, most=10)
            assert heard == [PeerState(7, 1, '{"name":"ann"}')]
            await bob.send(Kind.AWARENESS, encode_states([PeerState(7, 9, '{"name":"bob says"}')]))  # not his to say
            late = await raw_reader(hub)
            await late.send(Kind.QUERY_AWARENESS)
            assert decode_states((await late.hear(Kind.AWARENESS)).content, most=10) == heard
            ann.channel.close()
            gone = decode_states((await bob.hear(Kind.AWARENESS)).content, most=10)
            assert gone == [PeerState(7, 1, "null")]
            await bob.send(Kind.AWARENESS, encode_states(heard))  # repeated too late: nobody comes back by it
            await bob.send(Kind.AWARENESS, encode_states([PeerState(8, 1, "{}")]))
            while (said := decode_states((await late.hear(Kind.AWARENESS)).content, most=10)) != [
                PeerState(8, 1, "{}")
            ]:
                assert said[0].client == 7

    run(story())


@pytest.mark.parametrize(
    "states",
    [
        [PeerState(1, 1, "x" * 5000)],
        [PeerState(n, 1, "{}") for n in range(20)],
        [PeerState(n, 1, "") for n in range(2000)],
    ],
    ids=["long", "many", "very many"],
)
def test_what_is_said_of_who_is_there_is_bounded(states: list[PeerState]) -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            loud = await raw_reader(hub)
            await loud.send(Kind.AWARENESS, encode_states(states))
            assert (await loud.closing()).code == Closing.BAD_MESSAGE

    run(story())
