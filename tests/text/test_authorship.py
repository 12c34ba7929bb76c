"""Who wrote each character: told by the connection that brought it, whatever happens to the text afterwards."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.board.files import PERSON, RUN, agent_author
from orchestrator.board.frame import Frame
from orchestrator.errors import BoardError
from orchestrator.text.authorship import Authorship, Range, Runs
from orchestrator.text.document import Added, Cut, FileText, Insert, Kept, Removed
from orchestrator.text.places import NO_SLOT, Words
from orchestrator.text.slots import Slots
from tests.text.schedules import LETTERS, TOPIC

A, B = agent_author("a"), agent_author("b")


def test_runs_follow_changes_by_bytes() -> None:
    runs = Runs()
    runs.apply((Added(Words("é漢😀")),), A)
    runs.apply((Kept(2), Added(NO_SLOT), Added(Words("ß")), Kept(3)), B)
    assert runs.ranges("éß漢😀") == [Range(0, 1, A), Range(1, 2, B), Range(2, 4, A)]
    runs.apply((Removed(2), Kept(1), Removed(2)), B)
    assert runs.ranges("漢😀") == [Range(0, 2, A)]
    with pytest.raises(BoardError, match="do not build its text"):
        runs.ranges("漢")
    with pytest.raises(BoardError, match="beyond its end"):
        runs.apply((Kept(99),), A)


def test_persons_and_agents_are_told_apart() -> None:
    agents = [Range(0, 1, author).agent for author in (A, PERSON, RUN, agent_author("person"))]
    assert agents == ["a", None, None, "person"]


def test_formatting_cannot_say_who_wrote_a_text() -> None:
    """Why authorship is not a formatting attribute: whoever types beside it, as a stock editor does, inherits it."""
    text = FileText()
    with text._doc.transaction():
        text._text.insert(0, "written by a", {"author": A})
    text.edit(Insert(8, ("typed by somebody else, ",)))
    assert text._text.diff() == [("written typed by somebody else, by a", {"author": A})]


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_each_character_keeps_its_author_through_concurrent_changes(seed: int) -> None:
    """Three writers change, remove and exchange at random; what each wrote is told by letters of its own."""
    chance = random.Random(seed)
    authorship = Authorship()
    alphabets = {A: "aéA漢", B: "bßB😀", PERSON: "pπP𝄞"}
    hub = FileText()
    writers = {author: FileText() for author in alphabets}
    for _ in range(40):
        author = chance.choice(list(writers))
        text = writers[author]
        match chance.randrange(6):
            case 0 | 1:
                word = "".join(chance.choices(alphabets[author], k=3))
                layout = text.layout()
                place = layout.place(chance.randint(0, len(layout.text)), author)
                text.edit(Insert(place.index, (word,)))
            case 2:
                slot, _ = Slots(text, author).open(chance.randint(0, len(str(text))))
                slot.append("".join(chance.choices(alphabets[author], k=5)))
                if chance.random() < 0.5:
                    slot.close()
            case 3 if str(text):
                start = chance.randrange(len(str(text)))
                pieces = text.layout().pieces(start, start + 2, author) if not text.layout().slots else []
                text.edit(*(Cut(*piece) for piece in pieces))
            case 4:
                made = hub.apply(text.since(hub.state()))
                authorship.take(Frame(topic=TOPIC, update=made, by=author))
            case _:
                text.apply(hub.since(text.state()))
    for author, text in writers.items():
        authorship.take(Frame(topic=TOPIC, update=hub.apply(text.since(hub.state())), by=author))
    content = str(hub)
    assert authorship.text() == content
    for found in authorship.ranges():
        assert set(content[found.start : found.end]) <= set(alphabets[found.author])
    ends = [0, *(n for r in authorship.ranges() for n in (r.start, r.end)), len(content)]
    assert ends == sorted(ends)
    assert [r.end for r in authorship.ranges()][:-1] == [r.start for r in authorship.ranges()][1:]


def test_authorship_stays_when_slots_are_closed() -> None:
    authorship = Authorship()
    texts = {author: FileText() for author in (A, B)}
    slots = {}
    for author, text in texts.items():
        slots[author], _ = Slots(text, author).open(0)
        for _ in range(3):
            slots[author].append("".join(random.choices(LETTERS, k=4)))
        authorship.take(Frame(topic=TOPIC, update=text.since(None), by=author))
    before = authorship.ranges()
    for author, text in texts.items():
        state = text.state()
        slots[author].close()
        authorship.take(Frame(topic=TOPIC, update=text.since(state), by=author))
    assert authorship.ranges() == before
    assert [r.author for r in before] in ([A, B], [B, A])
