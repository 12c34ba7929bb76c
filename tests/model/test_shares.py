from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.shares import Span, line_authors, states

pieces = st.lists(st.tuples(st.sampled_from("abc"), st.text("xé😀 \n", min_size=1, max_size=6)), max_size=12)


def spans_of(written: list[tuple[str, str]]) -> tuple[str, list[Span]]:
    text, spans = "", list[Span]()
    for author, words in written:
        spans.append((len(text), len(text) + len(words), author))
        text += words
    return text, spans


def test_a_line_is_whose_most_of_it_is() -> None:
    text, spans = spans_of([("a", "abcd"), ("b", "ef\n"), ("b", "xy"), ("a", "xy\n"), ("c", "last")])
    assert line_authors(text, spans) == ["a", "a", "c"]  # the line feed is a character, too
    assert line_authors("one\ntwo\n", []) == ["", ""]


@given(pieces)
def test_every_line_has_an_owner_and_one_who_wrote_in_it(written: list[tuple[str, str]]) -> None:
    text, spans = spans_of(written)
    owners = line_authors(text, spans)
    lines = text.split("\n")[: len(owners)]
    at = 0
    for owner, line in zip(owners, lines, strict=True):
        end = at + len(line) + 1
        share = {
            who: sum(max(0, min(last, end) - max(first, at)) for first, last, by in spans if by == who) for who in "abc"
        }
        assert share[owner] == max(share.values())
        at = end


@given(st.lists(st.sampled_from(["old 1\n", "old 2\n", "}\n", "\n"]), max_size=6).map("".join), pieces)
def test_the_last_state_is_the_text_and_each_adds_one_authors_lines(
    before: str, written: list[tuple[str, str]]
) -> None:
    text, spans = spans_of(written)
    owners = line_authors(text, spans)
    found = states(before, text, owners, ["a", "b", "c"])
    assert found[-1] == text
    kept = [line for line in text.splitlines() if line.strip() and not line.startswith("old") and line != "}"]
    for number, author in enumerate("abc"):
        here = found[number].splitlines()
        for line, owner in zip(text.split("\n"), owners, strict=False):
            if kept.count(line) == 1 and line in kept:
                assert (line in here) == ("abc".index(owner) <= number), (line, author)
