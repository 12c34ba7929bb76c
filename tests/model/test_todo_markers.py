"""Markers of unfinished places: in which comments, in which not, and each once while the text is typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.todo_markers import LONGEST, Marker, Watcher, markers

QUIET = 5.0


@pytest.mark.parametrize(
    ("text", "whole", "name", "asked", "indent"),
    [
        ("  /* TODO:Move play it */\n", "/* TODO:Move play it */", "Move", "play it", "  "),
        ("<p>\n\t{/* TODO:Chart ünïcode ✓ */}\n</p>", "{/* TODO:Chart ünïcode ✓ */}", "Chart", "ünïcode ✓", "\t"),
        ("\n# TODO:parse-args read them\nx", "# TODO:parse-args read them", "parse-args", "read them", ""),
        ("x = 1;  // TODO:Rest\r\n", "// TODO:Rest", "Rest", "", None),
        ("<b/>\n<!-- TODO:Footer-->", "<!-- TODO:Footer-->", "Footer", "", ""),
        ("/** TODO:Ünï one\n * two */", "/** TODO:Ünï one\n * two */", "Ünï", "one\n * two", ""),
        ("() => {/* TODO:Body */}", "/* TODO:Body */", "Body", "", None),  # the braces are the function's
        ("if (x) {/* TODO:Body */}", "/* TODO:Body */", "Body", "", None),
        ("else { /* TODO:Body */ }", "/* TODO:Body */", "Body", "", None),
        ("<i>Don't</i>{/* TODO:A it's */}", "{/* TODO:A it's */}", "A", "it's", None),
        ("'x' + y // TODO:A don't", "// TODO:A don't", "A", "don't", None),
    ],
)
def test_a_marker_is_the_whole_comment(text: str, whole: str, name: str, asked: str, indent: str | None) -> None:
    (marker,) = markers(text)
    assert text[marker.start : marker.end] == whole
    assert (marker.name, marker.text, marker.indent) == (name, asked, indent)


@pytest.mark.parametrize(
    "text",
    [
        "/* TODO: later */",  # a note to a person
        "TODO:Name",
        "/* TODO:Name never closed",
        "x = 'see # TODO:Name'",
        'y = "/* TODO:Name */";',
        "https://TODO:Name",
        "a#TODO:Name",
        "/* see TODO:Name */",
        f"/* TODO:Name {'x' * LONGEST} */",
        f"// TODO:Name {'x' * LONGEST}",
    ],
)
def test_what_is_no_marker(text: str) -> None:
    assert markers(text) == ()


def test_one_in_another_is_a_part_of_it_and_an_unclosed_one_swallows_nothing() -> None:
    assert [m.name for m in markers("/* TODO:A x\n # TODO:B\n*/\n# TODO:C\n")] == ["A", "C"]
    assert [m.name for m in markers("/* TODO:A\n/* TODO:B x */")] == ["B"]


PIECES = st.sampled_from(
    [
        "/* TODO:One do it */", "{/* TODO:Two Zwei */}", "\n# TODO:Three\n", "\n  // TODO:Four é\n", "<!-- TODO:Five -->",
        "'", '"', "{", "}", "\n", "=>", ")", "x = 1", "/* ", "*/", "TODO:", "# ", " ", "日本\U0001f600", "\r\n", "<p>",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=25).map("".join)


@given(text=TEXTS, data=st.data())
def test_any_chunks_give_the_markers_of_the_whole_each_once(text: str, data: st.DataObject) -> None:
    watcher = Watcher(quiet=QUIET)
    rest, given_ = text, list[Marker]()
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        watcher.feed(len(watcher.text), 0, rest[:size], now=1.0)
        rest = rest[size:]
        given_ += watcher.settled(2.0)  # too soon for any
    assert given_ == []
    given_ += watcher.settled(9.0)
    given_ += watcher.settled(9.0, ended=True)
    assert sorted(given_, key=lambda m: m.start) == list(markers(text))
    assert watcher.settled(99.0, ended=True) == ()


FILLER = st.sampled_from(["", "x" * LONGEST, "\n" * 1500, "y = 'a'\n" * 300])


@given(text=st.tuples(TEXTS, FILLER, TEXTS, FILLER, TEXTS).map("".join), data=st.data())
def test_after_any_edit_the_window_agrees_with_the_whole(text: str, data: st.DataObject) -> None:
    watcher = Watcher(text, quiet=QUIET)
    for _ in range(6):
        position = data.draw(st.integers(0, len(watcher.text)))
        deleted = data.draw(st.integers(0, min(LONGEST, len(watcher.text) - position)))
        watcher.feed(position, deleted, data.draw(TEXTS), now=1.0)
        assert watcher.present == markers(watcher.text)


def test_one_that_is_being_typed_waits_and_others_do_not() -> None:
    watcher = Watcher("a\n/* TODO:A */\nb\n", quiet=QUIET)
    watcher.feed(len(watcher.text), 0, "# TODO:Ba", now=3.0)
    assert [m.name for m in watcher.settled(6.0)] == ["A"]
    assert watcher.settled(60.0) == ()  # the last line has no end yet
    watcher.feed(len(watcher.text), 0, "r do it\n", now=61.0)
    assert watcher.settled(62.0) == ()
    assert [(m.name, m.text) for m in watcher.settled(66.0)] == [("Bar", "do it")]


def test_edits_around_and_inside_do_not_give_it_again() -> None:
    watcher = Watcher("<p>\n/* TODO:A x */}\n", quiet=QUIET)
    assert [m.name for m in watcher.settled(5.0)] == ["A"]
    watcher.feed(0, 0, "日本\n" * 2000, now=6.0)  # far more than the window, ahead of it
    watcher.feed(watcher.text.index("/*"), 0, "{", now=7.0)  # now in braces
    watcher.feed(watcher.text.index("x */"), 1, "why", now=8.0)
    assert [m.text for m in watcher.present] == ["why"]
    assert watcher.settled(99.0) == ()
    watcher.feed(watcher.text.index("{/*"), 0, "{/* TODO:A x */}\n", now=100.0)  # a second one of that name
    assert [m.text for m in watcher.settled(105.0)] == ["x"]
    watcher.feed(watcher.text.index("A why"), 1, "B", now=106.0)
    assert [m.name for m in watcher.settled(111.0)] == ["B"]


def test_quiet_is_quiet_everywhere() -> None:
    watcher = Watcher(quiet=QUIET, now=1.0)
    assert (watcher.is_quiet(5.9), watcher.is_quiet(6.0)) == (False, True)
    watcher.feed(0, 0, "x", now=6.0)
    assert not watcher.is_quiet(10.9)


@pytest.mark.parametrize(("position", "deleted"), [(4, 0), (0, 4), (2, 2), (-1, 0), (1, -1)])
def test_a_change_outside_of_the_text_is_refused(position: int, deleted: int) -> None:
    with pytest.raises(ValueError, match="outside of a text of 3"):
        Watcher("abc", quiet=QUIET).feed(position, deleted, "", now=0.0)
