"""Shared files at the hub: who may write them, what is on the disk, and what a wrong update costs."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING

import pytest

from orchestrator.board.access import Keys
from orchestrator.board.archive import Archive
from orchestrator.board.channel import ChannelClosed
from orchestrator.board.client import Door, look_on
from orchestrator.board.document import Document
from orchestrator.board.files import PERSON, RUN, agent_author, file_topic
from orchestrator.board.hub import Hub, open_board
from orchestrator.board.log import MemoryLog
from orchestrator.board.server import Address, board_app, listening
from orchestrator.board.wire import Kind, Message, encode
from orchestrator.errors import BoardError
from orchestrator.text.authorship import Authorship, read_updates
from orchestrator.text.document import FileText, Insert, SlotLost
from orchestrator.text.seat import FileSeat
from tests.board.stories import Raw, run
from tests.support.boards import JS, eventually, need_javascript, served
from tests.text.schedules import PATH, TOPIC, a_hub, drop_connection, quick, until_true

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.board.channel import Channel

A, B = agent_author("a"), agent_author("b")


def seat(hub: Hub, author: str) -> FileSeat:
    return FileSeat(TOPIC, author, lambda topic: hub.dial_file(topic, author))


def words(content: str) -> bytes:
    """Return an update of a writer that nobody knows yet."""
    text = FileText()
    return text.edit(Insert(0, (content,)))


@pytest.mark.parametrize("path", ["", "/etc/passwd", "a/../b", "a//b", "./a", "a\0b", "a\nb", "x" * 501, "a/"])
def test_only_a_path_inside_the_repository_names_a_file(path: str) -> None:
    with pytest.raises(BoardError, match="no path of a file"):
        file_topic(path)


def test_a_token_opens_files_as_it_should() -> None:
    keys = Keys.new()
    agent, reader, owner = (keys.rights(token) for token in (keys.agent("a"), keys.reader(), keys.owner))
    assert agent and reader and owner  # noqa: PT018
    assert (agent.may_read(TOPIC), agent.may_write(TOPIC), agent.author) == (True, True, A)
    assert (reader.may_read(TOPIC), reader.may_write(TOPIC)) == (True, False)
    assert (owner.may_read(TOPIC), owner.may_write(TOPIC), owner.author) == (True, True, PERSON)
    assert not owner.may_write("ag/a/1")


def test_a_file_that_is_not_open_cannot_be_written() -> None:
    async def story() -> None:
        async with open_board(None) as hub:
            with pytest.raises(BoardError, match="is not open for writing"):
                await seat(hub, A).synced()

    run(story())


def test_a_client_id_belongs_to_whoever_brought_it_first() -> None:
    async def story() -> None:
        async with a_hub() as hub:
            first, thief = FileText(), Raw(hub, TOPIC)
            hub.files.receive(TOPIC, first.edit(Insert(0, ("by a 漢",))), A)
            assert hub.files.writers(PATH) == {first.client_id: A}
            hub.files.receive(TOPIC, first.since(None), B)  # said again, which changes nothing
            with pytest.raises(BoardError, match="cannot write under the client id of agent a"):
                hub.files.receive(TOPIC, first.edit(Insert(0, ("forged",))), B)
            both = FileText()
            both.apply(first.since(None))
            both.edit(Insert(0, ("mine",)))
            with pytest.raises(BoardError, match="cannot write under the client id of agent a"):
                hub.files.receive(TOPIC, both.since(None), B)
            hub.files.receive(TOPIC, first.since(None), A)
            hub.files.receive(TOPIC, both.since(None), B)
            assert set(hub.files.writers(PATH).values()) == {A, B}
            thief.channel.close()

    run(story())


def test_a_wrong_update_ends_that_connection_alone() -> None:
    async def story() -> None:
        async with a_hub() as hub:
            good = seat(hub, A)
            await good.synced()
            slot, _ = good.slots.open(0)
            slot.append("漢")
            for rubbish in (b"\x01\x02rubbish", b"\x05" * 40, b""):
                bad = Raw(hub, TOPIC)
                await bad.write(rubbish)
                assert (await bad.closing()).code == 4400
            slot.append("😀")
            await until_true(lambda: len(str(reader(hub))) == 2)
            assert good._link.connected
            assert [entry.kind for entry in hub.snapshot().log].count("expelled") == 3
            await good.close()

    run(story())


def test_a_document_that_was_made_anew_from_the_log_is_shown_to_all() -> None:
    async def story() -> None:
        async with a_hub() as hub:
            writers = [FileSeat(TOPIC, who, partial(hub.dial_file, by=who), backoff=quick()) for who in (A, B)]
            for writer in writers:
                await writer.synced()
                writer.slots.open(0)[0].append("é漢")
            await until_true(lambda: len(str(reader(hub))) == 4)
            hub._books.documents[TOPIC].apply(words("half of an update"))
            hub._books.rebuild(TOPIC)  # as after an update that failed half-way
            bad = Raw(hub, TOPIC)
            await bad.write(b"\x01\x02rubbish")
            assert (await bad.closing()).code == 4400
            writers[0].slots.open(0)[0].append("!")
            await until_true(lambda: len(str(writers[1].text)) == 5)
            assert str(reader(hub)) == str(writers[1].text) == str(writers[0].text)
            for writer in writers:
                await writer.close()

    run(story())


def reader(hub: Hub) -> FileText:
    text = FileText()
    text.apply(hub._books.documents[TOPIC].since(None))
    return text


def test_a_dropped_agent_writes_no_more_and_its_words_stay() -> None:
    async def story() -> None:
        async with a_hub() as hub:
            gone, other = seat(hub, A), seat(hub, B)
            await asyncio.gather(gone.synced(), other.synced())
            slot, _ = gone.slots.open(0)
            slot.append("stays")
            await until_true(lambda: str(other.text) == "stays")
            hub.drop("a", reason="it loops")
            slot.append(" lost")
            await until_true(lambda: gone.ended == "it loops")
            with pytest.raises(BoardError):
                await gone.sent()
            other.slots.open(5)[0].append("!")
            await until_true(lambda: str(reader(hub)) == "stays!")
            await gone.close()
            await other.close()

    run(story())


def test_nothing_is_shown_before_the_disk_has_it() -> None:
    class Full(MemoryLog):
        def sync(self) -> None:
            if any(frame.topic == TOPIC for frame in self.replay()):
                raise BoardError("the disk is full")

    async def story() -> None:
        hub = Hub(Full(), lambda: 1.0)
        hub.files.open(PATH)
        writer, other = seat(hub, A), seat(hub, B)
        await asyncio.gather(writer.synced(), other.synced())
        writer.text.edit(Insert(0, ("never seen",)))
        await until_true(lambda: other.ended is not None)
        assert str(other.text) == ""
        await hub.close()

    run(story())


def test_a_file_is_played_again_from_its_log(tmp_path: Path) -> None:
    log, times = tmp_path / "board.log", iter(range(1, 1000))

    async def first() -> list[str]:
        shown = []
        async with open_board(log, clock=lambda: next(times) / 4) as hub:
            hub.files.open(PATH)
            hub.files.follow(PATH, lambda frame: shown.append(f"{frame.at} {frame.by}"))
            seats = [seat(hub, A), seat(hub, PERSON)]
            for each in seats:
                await each.synced()
                each.slots.open(0)[0].append("é漢😀")
            await until_true(lambda: len(str(reader(hub))) == 6)
            for each in seats:
                await each.close()
        return shown

    async def second() -> tuple[str, dict[int, str], list[str]]:
        async with open_board(log) as hub:
            hub.files.open(PATH)
            authorship = Authorship()
            hub.files.follow(PATH, authorship.take)
            return authorship.text(), hub.files.writers(PATH), [r.author for r in authorship.ranges()]

    shown = run(first())
    content, writers, authors = run(second())
    assert content == "é漢😀" * 2
    assert sorted(writers.values()) == sorted(authors) == [A, PERSON]
    played, told = FileText(), []
    for at, by, update in read_updates(log, PATH):
        played.apply(update)
        told.append(f"{at} {by}")
    assert str(played) == content
    assert told == shown
    assert [float(line.split()[0]) for line in told] == sorted({float(line.split()[0]) for line in told})


def test_a_board_that_is_over_shows_its_files_and_takes_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with open_board(tmp_path / "board.log") as hub:
            hub.files.open(PATH)
            hub.files.receive(TOPIC, words("é"), A)
        archive = Archive(tmp_path / "board.log")
        keys = Keys.new()
        async with listening(board_app(archive, keys), Address("127.0.0.1", 0)) as url:
            door = Door(url, keys.owner)
            page = FileSeat(TOPIC, PERSON, door.dial)
            await page.synced()
            assert str(page.text) == "é"
            await page.close()
            channel = await door.dial(TOPIC)
            await channel.send(encode(Message(Kind.UPDATE, words("late"))))
            assert await closing(channel) == 4403
            await door.closed()

    run(story())


async def closing(channel: Channel) -> int:
    """Return the code with which the other end closes a channel."""
    while True:
        try:
            await channel.receive()
        except ChannelClosed as closed:
            return closed.code


@pytest.mark.e2e
def test_a_reader_sees_a_file_over_the_network_and_cannot_write_it() -> None:
    async def story() -> None:
        async with served() as board:
            board.hub.files.open(PATH)
            writer = FileSeat(TOPIC, A, Door(board.url, board.keys.agent("a")).dial, backoff=quick())
            await writer.synced()
            slot, _ = writer.slots.open(0)
            slot.append("é漢")
            async with look_on(board.url, board.keys.reader(), TOPIC) as looking:
                await looking.synced()
                await eventually(lambda: looking.document.state() == writer.text.state())
            door = Door(board.url, board.keys.reader())
            channel = await door.dial(TOPIC)
            await channel.send(encode(Message(Kind.UPDATE, words("x"))))
            assert await closing(channel) == 4403
            drop_connection(writer)
            slot.append("😀")
            await eventually(lambda: str(reader(board.hub)) == "é漢😀")
            await writer.close()
            await door.closed()

    run(story())


PERSON_SCRIPT = """
import { connect, readStdin, until, stop } from './peer.mjs'
const { url, topic, token } = await readStdin()
const me = connect(url, topic, token)
await until(me, () => me.t.toString().includes('streams 漢'))
const typed = 'typed 😀 by me'
let at = 0
for (const item of me.t.toDelta()) {  // beside the agent's words, inside its slot: an editor knows nothing of slots
  if (typeof item.insert === 'string' && item.insert.includes('streams')) { at += item.insert.indexOf('漢') + 1; break }
  at += typeof item.insert === 'string' ? item.insert.length : 1
}
for (const character of typed) { me.t.insert(at, character); at += character.length }
await until(me, () => me.t.toString().includes('done'))
me.t.delete(me.t.toDelta().length > 1 ? 1 : 0, 2)
await until(me, () => me.t.toString().includes('over'))
console.log(JSON.stringify({ text: me.t.toString(), client: me.doc.clientID }))
stop(me)
process.exit(0)
"""


@pytest.mark.e2e
def test_a_person_types_in_a_stock_editor_while_an_agent_streams() -> None:
    node = need_javascript()

    async def story() -> None:
        async with served() as board:
            board.hub.files.open(PATH)
            authorship = Authorship()
            board.hub.files.follow(PATH, authorship.take)
            agent = seat(board.hub, A)
            await agent.synced()
            slot, _ = agent.slots.open(0)
            slot.append("agent streams 漢")
            pipe = asyncio.subprocess.PIPE
            person = await asyncio.create_subprocess_exec(
                node, "--input-type=module", "-e", PERSON_SCRIPT, cwd=JS, stdin=pipe, stdout=pipe
            )
            job = {"url": board.url, "topic": TOPIC, "token": board.keys.owner}
            assert person.stdin is not None
            person.stdin.write(json.dumps(job).encode())
            person.stdin.close()
            while "by me" not in str(agent.text):
                await agent.changed.wait()
                agent.changed.clear()
                slot.append("…")
            slot.append(" done")
            await eventually(lambda: not authorship.text().startswith("agent"))
            slot.append(" over")
            assert person.stdout is not None
            said = json.loads(await person.stdout.read())
            await person.wait()
            text = str(agent.text)
            assert said["text"] == text == authorship.text()
            ranges = authorship.ranges()
            typed = "".join(text[r.start : r.end] for r in ranges if r.author == PERSON)
            assert typed == "typed 😀 by me"
            streamed = "".join(text[r.start : r.end] for r in ranges if r.agent == "a")
            assert streamed.startswith("ent streams 漢")
            assert streamed.endswith(" done over")
            assert board.hub.files.writers(PATH) == {said["client"]: PERSON, agent.text.client_id: A}
            await agent.close()

    run(story())


def test_a_person_who_removes_everything_ends_the_slot() -> None:
    async def story() -> None:
        async with a_hub() as hub:
            agent, person = seat(hub, A), seat(hub, PERSON)
            await asyncio.gather(agent.synced(), person.synced())
            slot, _ = agent.slots.open(0)
            slot.append("é漢")
            await until_true(lambda: str(person.text) == "é漢")
            with person.text._doc.transaction():
                person.text._text.clear()
            person._push(person.text._made[-1])
            await until_true(lambda: not slot.alive())
            with pytest.raises(SlotLost):
                slot.append("x")
            for each in (agent, person):
                await each.close()

    run(story())


def test_the_run_itself_writes_and_its_documents_are_not_agents() -> None:
    async def story() -> None:
        async with a_hub() as hub:
            scaffold = seat(hub, RUN)
            await scaffold.synced()
            scaffold.text.edit(Insert(0, ("# TODO:one",)))
            await until_true(lambda: str(reader(hub)) == "# TODO:one")
            assert hub.snapshot().agents == ()
            hub.drop("a")
            assert isinstance(hub._books.documents[TOPIC], Document)
            await scaffold.close()

    run(story())
