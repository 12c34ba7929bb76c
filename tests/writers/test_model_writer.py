"""A model as a writer: what it says streams into shared files, each block at its place, and nothing else comes of it."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.agents.base import Assignment
from orchestrator.agents.governor import Governor
from orchestrator.agents.transcript import Transcript
from orchestrator.board.files import PERSON, agent_author, file_topic
from orchestrator.board.hub import Hub
from orchestrator.board.log import MemoryLog
from orchestrator.model.outcome import OutcomeStatus
from orchestrator.model.plan import AgentSpec, Task
from orchestrator.model.together import Part
from orchestrator.text.document import Insert
from orchestrator.text.seat import FileSeat
from orchestrator.writers.model import ModelWriter
from orchestrator.writers.work import Work
from tests.board.stories import run
from tests.support.fake_model import FakeModel, Scenario
from tests.text.schedules import until_true
from tests.writers.answers import BODY, PATH, SCAFFOLD, WRITTEN, block

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from orchestrator.model.outcome import Outcome

pytestmark = pytest.mark.e2e

Steps = list[dict[str, Any]]


def cursor(where: str, text: str = "", **more: Any) -> dict[str, Any]:
    return {"name": "cursor", "input": {"path": PATH, "where": where, "text": text, **more}}


def says(*words: str, calls: Steps | None = None, **more: Any) -> dict[str, Any]:
    return {"say": "\n".join(words), **({"calls": calls} if calls else {}), **more}


DONE = {"name": "done", "input": {"summary": "It counts."}}
ENDS = says(calls=[DONE])


class _Desk:
    """The board of one writer; nobody else is at it."""

    def __init__(self) -> None:
        self.said: list[str] = []

    async def report(self, text: str) -> None:
        self.said.append(text)

    def against_writing(self, path: str) -> str:
        return "" if path == PATH else "it is not yours"


@dataclass
class Room:
    """A hub with one shared file, and the folder of the transcripts."""

    hub: Hub
    folder: Path
    transcripts: ExitStack
    seats: list[FileSeat] = field(default_factory=list)

    async def seat(self, author: str) -> FileSeat:
        seat = FileSeat(file_topic(PATH), author, lambda topic: self.hub.dial_file(topic, author))
        self.seats.append(seat)
        await seat.synced()
        return seat

    async def work(self, name: str, **limits: Any) -> Work:
        unused: Any = None
        desk: Any = _Desk()
        assignment = Assignment(
            run_folder=self.folder, task=Task.model_validate({"id": "t", "limits": limits}), generation=1, session="s",
            branch="b", commit="c", folder=self.folder, briefing="", briefing_file=self.folder / "b", sources={}, desk=desk,
            transcript=self.transcripts.enter_context(Transcript(self.folder / f"{name}.jsonl")), apply_patch=unused,
            on_process=unused, stop=asyncio.Event(),
            access={}, changed=unused, governor=Governor(tell=lambda _text: None), confinement=unused, boundary=unused,
            shared=unused, desk_of=unused, keep=unused,
        )  # fmt: skip
        part = Part(
            id=name, task="t", title=name, prompt="Count.", agent="m", names=(name,), marker=f"# TODO:{name}", path=PATH
        )
        return Work(
            part=part, assignment=assignment, files={PATH: await self.seat(agent_author(name))}, goal="All of it."
        )

    def told(self, name: str) -> list[str]:
        """Return what came of each call and of each block of a writer."""
        lines = [json.loads(line) for line in (self.folder / f"{name}.jsonl").read_text().splitlines()]
        return [line["text"] for line in lines if line["event"] in {"returned", "advised"}]


@asynccontextmanager
async def a_room(folder: Path, scaffold: str = SCAFFOLD) -> AsyncIterator[Room]:
    hub = Hub(MemoryLog(), lambda: 1.0)
    hub.files.open(PATH)
    with ExitStack() as transcripts:
        room = Room(hub, folder, transcripts)
        person = await room.seat(PERSON)
        person.text.edit(Insert(0, (scaffold,)))
        try:
            yield room
        finally:
            for seat in room.seats:
                await seat.close()
            await hub.close()


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeModel]:
    with FakeModel({}) as server:
        yield server


@pytest.fixture
def serve(fake: FakeModel, monkeypatch: pytest.MonkeyPatch) -> Callable[[Scenario], None]:
    """Let the model say what a story tells it to; nobody else talks with it."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url("s"))

    def set_up(story: Scenario) -> None:
        fake.scenarios = {"s": story}

    return set_up


@pytest.fixture
def talk(tmp_path: Path, serve: Callable[[Scenario], None]) -> Callable[..., tuple[Outcome, str, list[str]]]:
    """Let one writer do the part `body` while a model says what a story tells it to."""

    def play(story: Steps, scaffold: str = SCAFFOLD, **limits: Any) -> tuple[Outcome, str, list[str]]:
        async def one() -> tuple[Outcome, str, list[str]]:
            async with a_room(tmp_path, scaffold) as room:
                work = await room.work("body", **limits)
                await until_true(lambda: str(work.files[PATH].text) == scaffold)
                outcome = await ModelWriter(AgentSpec(kind="anthropic")).write(work)
                return outcome, await seen_by_all(room), room.told("body")

        serve(story)
        return run(one())

    return play


async def seen_by_all(room: Room) -> str:
    """Return the text once all have the same, in which no slot is open."""
    first, *others = room.seats
    await until_true(lambda: all(seat.text.segments() == first.text.segments() for seat in others))
    assert not first.text.layout().slots
    return str(first.text)


def test_body_import_and_helper_go_to_their_own_places(talk: Callable[..., Any]) -> None:
    outcome, text, told = talk([
        says("First the body.", block(BODY), calls=[
            cursor("after", "import os", new_line=True), cursor("end", new_line=False),
            {"name": "report_progress", "input": {"text": "half"}},
        ]),
        says(block("import re", "{position-2}"), block("\n\ndef é() -> None: ...\n", "{position-3}"), calls=[DONE]),
    ])  # fmt: skip
    assert (outcome.status, outcome.summary, outcome.turns) == (OutcomeStatus.DONE, "It counts.", 2)
    assert text == WRITTEN.replace("import os\n", "import os\nimport re\n") + "\n\ndef é() -> None: ...\n"
    assert told[0] == f"Written in {PATH}: 1 line."
    assert "⟨cursor⟩" in told[1]


def one_trouble() -> dict[str, tuple[Steps, str]]:
    """What goes wrong once, each with what the model is told of it; it mends all of them."""
    good = says(block(BODY, "{position-1}"), calls=[DONE])
    leaked = f"{BODY}\n</parameter></invoke>\n"
    return {
        "unknown": ([says(block("x = 1", "nobody"), then=[good])], "'nobody' is no position that was given to you"),
        "malformed": ([says("<xcrdt_code_output>x = 1</xcrdt_code_output>", then=[good])], "A block of code has no position"),
        "leaked": ([says(block(leaked), calls=[DONE]), ENDS], "Markup of a tool call in it was left out"),
        "worse": ([says(block("    return (text"), then=[good])], "has more errors (at 'return (text'"),
        "unclosed": ([says(block(BODY)[:-8], then=[good])], "was taken back out"),
        "cut": ([{**good, "faults": [{"cut": True}]}], "Written"),
        "broken": ([{**good, "faults": [{"break": 529}, {"cut": True}]}], "Written"),
        "long": ([says(block(BODY)[:-3], stop="max_tokens", then=[good])], "was taken back out"),
        "early": ([says(block("x = 1", "nobody"), calls=[DONE]), good], "so your part is not done"),
        "elsewhere": ([says(calls=[{"name": "cursor", "input": {"path": "a", "where": "end"}}]), good], "'a' is no shared file"),
        "asked": ([says("Done!", then=[good])], "no file was changed"),
        "wrong": ([says(calls=[{"name": "cursor", "input": {}}, {"name": "write", "input": {}}]), good], "no tool 'write'"),
    }  # fmt: skip


@pytest.mark.parametrize("name", one_trouble())
def test_what_goes_wrong_is_told_and_mended(talk: Callable[..., Any], name: str) -> None:
    story, expected = one_trouble()[name]
    outcome, text, told = talk(story)
    assert outcome.status is OutcomeStatus.DONE, outcome.reason
    assert text == (WRITTEN + "\n" if name == "leaked" else WRITTEN)
    assert any(expected in line for line in told), told


FAILS: dict[str, tuple[Steps, str, dict[str, Any]]] = {
    "loop": ([says(calls=[cursor("end", new_line=True)], repeat=True)], "it called cursor with the same arguments 4 times", {}),
    "blocks": ([says(block("x = 1", "nobody"), then=[says(block("x = 1", "nobody"))])], "with the same arguments 4 times", {}),
    "nothing": ([ENDS, ENDS, ENDS], "it said that it was done, but it changed no file", {}),
    "turns": ([says(block(BODY), calls=[cursor("start", new_line=True)], repeat=True)], "the limit of 2 turns", {"turns": 2}),
    "stall": ([says(block(BODY * 9), faults=[{"hang": 30}])], "the provider sent nothing for 0.4 s", {"stall": "400ms"}),
    "wall": ([says(block(BODY * 99), pace=20)], "the time limit of 0.6 s is used up", {"wall": "600ms"}),
    "refusal": ([says(block(BODY), stop="refusal")], "the model refuses to go on", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILS)
def test_a_part_that_fails_leaves_the_file_as_it_was(talk: Callable[..., Any], name: str) -> None:
    story, reason, limits = FAILS[name]
    outcome, text, _ = talk(story, **limits)
    assert not outcome.done
    assert reason in outcome.reason
    assert text == SCAFFOLD


@pytest.mark.parametrize("how", ["stop", "cancel"])
def test_in_the_middle_of_a_block_it_ends_at_once(tmp_path: Path, serve: Callable[[Scenario], None], how: str) -> None:
    async def story() -> None:
        async with a_room(tmp_path) as room:
            work = await room.work("body")
            await until_true(lambda: str(work.files[PATH].text) == SCAFFOLD)
            writing = asyncio.create_task(ModelWriter(AgentSpec(kind="anthropic")).write(work))
            await until_true(lambda: "漢漢" in str(room.seats[0].text))
            if how == "stop":
                work.assignment.stop.set()
                assert (await writing).status is OutcomeStatus.STOPPED
            else:
                writing.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await writing
            assert await seen_by_all(room) == SCAFFOLD

    serve([says(block("漢" * 1000), pace=40)])
    run(story())


def test_a_place_that_somebody_removes_is_told_and_another_one_is_asked_for(
    tmp_path: Path, serve: Callable[[Scenario], None]
) -> None:
    async def story() -> None:
        async with a_room(tmp_path) as room:
            person, work = room.seats[0], await room.work("body")
            await until_true(lambda: str(work.files[PATH].text) == SCAFFOLD)
            writing = asyncio.create_task(ModelWriter(AgentSpec(kind="anthropic")).write(work))
            await until_true(lambda: "eins" in str(person.text))
            with person.text._doc.transaction():
                person.text._text.clear()
            person._push(person.text._made[-1])
            assert (await writing).done
            assert await seen_by_all(room) == "neu = 1"
            assert any("was removed by somebody else" in text for text in room.told("body"))

    first = says(block("eins = 1\n" * 60), pace=100, calls=[cursor("end")])
    serve([first, says(block("neu = 1"), calls=[DONE])])
    run(story())


def test_two_write_at_once_and_each_text_stays_together(tmp_path: Path, serve: Callable[[Scenario], None]) -> None:
    """The second is half done, and makes errors in the file, while the blocks of the first are judged."""
    lines = {"eins": "é = [1,\n" + "  '漢',\n" * 30 + "]", "zwei": "ö = (2,\n" + "  '😀',\n" * 60 + ")"}
    scaffold = "# TODO:eins\n# TODO:zwei\n"

    async def story() -> None:
        async with a_room(tmp_path, scaffold) as room:
            works = [await room.work(name) for name in lines]
            for work in works:
                await until_true(lambda w=work: str(w.files[PATH].text) == scaffold)  # type: ignore[misc]
            writers = [ModelWriter(AgentSpec(kind="anthropic")).write(work) for work in works]
            outcomes = await asyncio.gather(*writers)
            assert [outcome.reason for outcome in outcomes] == ["", ""]
            assert await seen_by_all(room) == "\n".join(lines.values()) + "\n"

    serve({f"Your part: {name}": [says(block(words), calls=[DONE], pace=250)] for name, words in lines.items()})
    run(story())


def test_only_what_others_have_changed_is_shown_again(tmp_path: Path, serve: Callable[[Scenario], None]) -> None:
    look = {"name": "look", "input": {}}

    async def story() -> list[str]:
        async with a_room(tmp_path) as room:
            person, work = room.seats[0], await room.work("body")
            await until_true(lambda: str(work.files[PATH].text) == SCAFFOLD)
            writing = asyncio.create_task(ModelWriter(AgentSpec(kind="anthropic")).write(work))
            await until_true(lambda: "😀" in str(person.text))
            person.slots.open(0)[0].append("import ä\n")
            await until_true(lambda: "import ä" in str(work.files[PATH].text))
            assert (await writing).done
            return room.told("body")

    slow = says(block(BODY), "x" * 100, pace=100, calls=[look])
    ranged = {"name": "look", "input": {"path": PATH, "start": 1, "lines": 1}}
    serve([slow, says(calls=[look, ranged]), ENDS])
    told = run(story())
    assert told[1] == f"Changed in {PATH} since you looked:\n…\n+import ä\n import os\n "
    assert told[2] == f"Nobody else has changed {PATH} since you looked."
    assert told[3] == "1\timport ä"


def test_a_part_without_a_marker_begins_where_the_model_wants(
    tmp_path: Path, serve: Callable[[Scenario], None]
) -> None:
    async def story() -> None:
        async with a_room(tmp_path, "") as room:
            work = await room.work("outline")
            work = replace(work, part=replace(work.part, marker=None, path=None))
            assert (await ModelWriter(AgentSpec(kind="anthropic")).write(work)).done
            assert await seen_by_all(room) == "# TODO:eins 漢"

    serve([says(calls=[cursor("start")]), says(block("# TODO:eins 漢"), calls=[DONE])])
    run(story())
