"""Slots and cursors in one text, and what is left when others change it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import BoardError
from orchestrator.text.cursor import MARK, Cursor, CursorRefused, Side, preview
from orchestrator.text.document import Cut, FileText, Insert, SlotLost
from orchestrator.text.places import Edge, PlaceTaken, Words
from orchestrator.text.slots import Slot, Slots, close_all

SOURCE = "import é\n\n# TODO:one 漢\n# TODO:two\nend 😀\n"


def written(source: str = SOURCE) -> FileText:
    text = FileText()
    text.edit(Insert(0, (source,)))
    return text


def opened(slots: Slots, position: int) -> Slot:
    return slots.open(position)[0]


@given(st.text(st.characters(codec="utf-8"), max_size=20), st.data())
def test_every_position_of_every_text_takes_words_exactly_there(source: str, data: st.DataObject) -> None:
    text = written(source)
    replica = FileText()
    replica.apply(text.since(None))
    at = data.draw(st.integers(0, len(source)))
    slot = opened(Slots(text, "agent a"), at)
    slot.append("→漢😀")
    slot.append("é←")
    replica.apply(text.since(replica.state()))
    assert str(text) == str(replica) == f"{source[:at]}→漢😀é←{source[at:]}"
    slot.close()
    assert text.segments() == (Words(str(text)),)


def test_a_marker_is_replaced_and_others_see_no_step_between() -> None:
    reader, seen = FileText(), list[tuple[str, int]]()

    def pass_on(update: bytes) -> None:
        reader.apply(update)
        seen.append((str(reader), len(reader.layout().slots)))

    text = FileText(pass_on)
    text.edit(Insert(0, (SOURCE,)))
    seen.clear()
    start = SOURCE.index("# TODO:one")
    slot = Slots(text, "agent a").replace(start, start + len("# TODO:one 漢"))
    assert seen == [(SOURCE.replace("# TODO:one 漢", ""), 1)]
    slot.append("one = 1")
    assert str(reader) == SOURCE.replace("# TODO:one 漢", "one = 1")


def test_a_boundary_comes_with_the_place_for_what_must_follow_it() -> None:
    text = written("prompt:\n")
    asks, answers, other = (Slots(text, author) for author in ("person", "agent a", "agent b"))
    slot_id = asks.open_after(8, "Why?\n", owner="agent a")
    answer = answers.adopt(slot_id)
    with pytest.raises(BoardError, match="belongs to agent a"):
        other.adopt(slot_id)
    answer.append("Because ")
    asks.open_after(text.layout().text.index("Because"), "Next?\n")  # right after the question: behind its answer
    answer.append("漢.\n")
    inner = answers.adopt(answer.append_with_slot("So: "))
    answer.append("end\n")
    inner.append("yes, ")
    assert str(text) == "prompt:\nWhy?\nBecause 漢.\nSo: yes, end\nNext?\n"


def test_a_slot_that_lost_an_edge_is_noticed_at_once() -> None:
    for edge in (True, False):
        text = written()
        slot = opened(Slots(text, "agent a"), 3)
        slot.append("kept")
        index = text.layout().edge(slot.id, opens=edge)
        text.edit(Cut(index, 1))
        assert not slot.alive()
        with pytest.raises(SlotLost):
            slot.append("lost")
        slot.close()
        assert text.segments() == (Words(f"{SOURCE[:3]}kept{SOURCE[3:]}"),)


def test_removing_other_text_loses_no_slot() -> None:
    text = written()
    slot = opened(Slots(text, "agent a"), len(SOURCE))
    slot.append("a")
    Slots(text, "agent b").remove(0, 5)
    slot.append("é")
    assert str(text) == SOURCE[5:] + "aé"


def test_only_ones_own_words_can_be_taken_from_a_slot() -> None:
    text = written("")
    slot = opened(Slots(text, "agent a"), 0)
    slot.append("漢abcé")
    slot.remove_prefix("漢a")
    slot.remove_suffix("é")
    assert slot.content() == str(text) == "bc"
    with pytest.raises(BoardError, match="does not begin with"):
        slot.remove_prefix("c")
    with pytest.raises(PlaceTaken):
        Slots(text, "agent b").remove(0, 1)
    assert slot.content() == "bc"


def test_the_slots_of_one_that_is_gone_are_closed_and_its_words_stay() -> None:
    text = written("")
    slots = Slots(text, "agent a")
    for n in range(3):
        opened(slots, 0).append(f"{n}é")
    mine = opened(Slots(text, "agent b"), 0)
    close_all(text, "agent a")
    assert text.layout().slots == {mine.id: "agent b"}
    assert sorted(str(text)) == sorted("0é1é2é")


def test_an_index_inside_a_character_is_refused_and_nothing_changed() -> None:
    text = written("é漢")
    for change in (Insert(1, ("x",)), Cut(0, 1), Cut(2, 1), Insert(9, ("x",))):
        with pytest.raises(BoardError, match="within a character"):
            text.edit(change)
    with pytest.raises(BoardError, match="not valid Unicode"):
        text.edit(Insert(0, ("\ud800",)))
    with pytest.raises(BoardError, match="not valid Unicode"):
        opened(Slots(text, "agent a"), 0).append("\ud800")
    assert str(text) == "é漢"


def test_what_is_no_update_is_refused_and_the_text_stays() -> None:
    text = written("é漢")
    for data in (b"", b"\x01\x02rubbish", b"\xff" * 9):
        with pytest.raises(BoardError):
            text.apply(data)
    assert str(text) == "é漢"


def test_embedded_things_of_others_mean_nothing() -> None:
    text = FileText()
    with text._doc.transaction():
        text._text.insert(0, "ab")
        text._text.insert_embed(1, {"image": "x"})
        text._text.insert_embed(1, {"slot": 7, "edge": "open", "owner": "x"})
    opened(Slots(text, "agent a"), 1).append("é")
    assert str(text) == "aéb"
    assert [type(s) for s in text.segments()] == [Words, Edge, Edge, Edge, Words, Edge, Words]


class Two:
    """Two writers of one text."""

    def __init__(self) -> None:
        self.text = written()
        self.a = Cursor(Slots(self.text, "agent a"))
        self.b = Cursor(Slots(self.text, "agent b"))


@pytest.mark.parametrize(
    ("words", "side", "options", "result"),
    [
        (
            "# TODO:one 漢\n",
            "before",
            {"delete": "", "new_line": False},
            "import é\n\nNEW# TODO:one 漢\n# TODO:two\nend 😀\n",
        ),
        (
            "# TODO:one 漢\n",
            "after",
            {"delete": "", "new_line": False},
            "import é\n\n# TODO:one 漢\nNEW# TODO:two\nend 😀\n",
        ),
        (
            "# TODO:one 漢",
            "before",
            {"delete": "# TODO:one 漢", "new_line": False},
            "import é\n\nNEW\n# TODO:two\nend 😀\n",
        ),
        ("import é", "after", {"delete": "é", "new_line": False}, "import NEW\n\n# TODO:one 漢\n# TODO:two\nend 😀\n"),
        ("import é", "after", {"delete": "", "new_line": True}, "import é\nNEW\n\n# TODO:one 漢\n# TODO:two\nend 😀\n"),
        ("end", "before", {"delete": "", "new_line": True}, "import é\n\n# TODO:one 漢\n# TODO:two\nNEW\nend 😀\n"),
        (
            "# TODO:two",
            "before",
            {"delete": "# ", "new_line": True},
            "import é\n\n# TODO:one 漢\nNEW\nTODO:two\nend 😀\n",
        ),
        ("TODO", "before", {"delete": "", "new_line": False}, "import é\n\n# NEWTODO:one 漢\n# TODO:two\nend 😀\n"),
    ],
)
def test_a_cursor_stands_where_words_were_found(words: str, side: Side, options: dict[str, Any], result: str) -> None:
    two = Two()
    position = two.a.search(words, side, **options)
    slot = two.a.slot(position.token)
    slot.append("N")
    slot.append("EW")
    assert str(two.text) == result
    slot.close()
    assert two.text.segments() == (Words(result),)


def test_start_and_end() -> None:
    two = Two()
    two.a.slot(two.a.end(new_line=True).token).append("last")
    two.a.slot(two.a.start(new_line=True).token).append("first")
    assert str(two.text) == f"first\n{SOURCE}\nlast"


def test_a_position_is_for_whom_it_was_given_to() -> None:
    two = Two()
    position = two.a.search("TODO", "before")
    assert "2 times" in position.note
    assert position.preview == f"import é\n\n# {MARK}TODO:one 漢\n# TODO:two\nend 😀\n"
    slot = two.a.slot(position.token)
    for cursor, token in ((two.b, position.token), (two.a, slot.id), (two.a, "")):
        with pytest.raises(CursorRefused, match="no position that was given to you"):
            cursor.slot(token)


def test_a_cursor_inside_somebody_elses_text_is_moved_out_and_says_so() -> None:
    two = Two()
    two.a.slot(two.a.search("import é\n", "after").token).append("def busy():\n    return 1\n")
    position = two.b.search("def busy():\n", "before")
    assert position.note == ""
    position = two.b.search("return", "before")
    assert "inside the text that agent a is writing" in position.note
    assert "after it" in position.note
    two.b.slot(position.token).append("B")
    assert "    return 1\nB\n# TODO:one" in str(two.text)


@pytest.mark.parametrize(
    ("words", "side", "delete", "told"),
    [
        ("", "before", "", "nothing to search for"),
        ("# TODO:onne 漢", "before", "", "The nearest line is line 3: '# TODO:one 漢'."),
        ("zzzzzzzz", "before", "", "(0 matches)."),
        ("import é", "before", "é", "does not begin with it"),
        ("import é", "after", "import", "does not end with it"),
        ("busy", "before", "busy", "agent a is writing there"),
    ],
)
def test_a_refusal_tells_what_to_do(words: str, side: Side, delete: str, told: str) -> None:
    two = Two()
    two.a.slot(two.a.end().token).append("busy")
    before = two.text.segments()
    with pytest.raises(CursorRefused) as refused:
        two.b.search(words, side, delete=delete)
    assert told in refused.value.message
    assert refused.value.hint
    assert two.text.segments() == before


def test_a_preview_is_short() -> None:
    text = "\n".join(f"{n} " + "x" * 500 for n in range(50))
    shown = preview(text, text.index("25 ") + 400)
    assert len(shown.splitlines()) == 7
    assert max(map(len, shown.splitlines())) <= 320 + len(MARK)
    assert preview("", 0) == MARK
