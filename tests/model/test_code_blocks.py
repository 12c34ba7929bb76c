"""A model's streamed answer: the same events however it is cut, and refusals the model can act on."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.code_blocks import Closed, Code, CodeBlocks, CodeEvent, Opened, Refused, Said

OPEN, END = '<xcrdt_code_output crdtPosition="p1">', "</xcrdt_code_output>"


def events_of(*chunks: str) -> list[CodeEvent]:
    blocks = CodeBlocks()
    return joined([event for chunk in chunks for event in blocks.feed(chunk)] + blocks.finish())


def joined(events: list[CodeEvent]) -> list[CodeEvent]:
    out: list[CodeEvent] = []
    for kind, group in groupby(events, type):
        if kind in {Code, Said}:
            out.append(kind("".join(event.text for event in group if isinstance(event, Code | Said))))
        else:
            out.extend(group)
    return out


@pytest.mark.parametrize(
    ("code", "written"),
    [
        ("x = 1", "x = 1"),
        ("\nx = 1\n", "x = 1"),
        ("\n\nx\n\n", "\nx\n"),
        ("\r\nx\r\n", "x"),
        ("\n", ""),
        ("", ""),
        ("\n\n", ""),
        ("if a < b && c </d> &lt; &amp;", "if a < b && c </d> &lt; &amp;"),
        ("</xcrdt_code_outputs></xcrdt_code", "</xcrdt_code_outputs></xcrdt_code"),
        ("<xcrdt_code_outputx/>\r", "<xcrdt_code_outputx/>\r"),
        ("日本 \U0001f600", "日本 \U0001f600"),
    ],
)
def test_code_goes_through_less_one_newline_at_either_end(code: str, written: str) -> None:
    expected = [Opened("p1"), *([Code(written)] if written else []), Closed()]
    assert events_of(f"{OPEN}{code}{END}") == expected
    assert events_of(*f"{OPEN}{code}{END}") == expected


@pytest.mark.parametrize(
    ("answer", "expected", "reason"),
    [
        (f"a<xcrdt_code_output>x{END}b", [Said("a"), Refused, Said("b")], "has no position"),
        (f"<xcrdt_code_output crdtPosition=p>x{END}", [Refused], 'crdtPosition="POSITION"'),
        (f'<xcrdt_code_output position="p">x{END}', [Refused], "not well formed"),
        (f'<xcrdt_code_output crdtPosition="">x{END}', [Refused], "not well formed"),
        (
            f'<xcrdt_code_output crdtPosition="p" {OPEN}x{END}',
            [Refused, Opened("p1"), Code("x"), Closed()],
            "opening tag",
        ),
        (f"<xcrdt_code_output {'y' * 400}", [Refused], "not well formed"),
        (f"{OPEN}x\n{OPEN}y{END}z", [Opened("p1"), Code("x\n"), Refused, Said("z")], "inside another one"),
        (f"<xcrdt_code_output>x{END}<", [Refused, Said("<")], "has no position"),
        ("<xcrdt_code_output>x<", [Refused], "has no position"),
        (f"x{END}y", [Said("x"), Refused, Said("y")], "never began"),
        (
            f"{OPEN}x</xcrdt_code_output now>y",
            [Opened("p1"), Code("x"), Refused, Said("y")],
            "exactly </xcrdt_code_output>",
        ),
        (f"{OPEN}x</xcrdt_code_o", [Opened("p1"), Code("x"), Refused], "ended inside a block"),
        ("x<xcrdt_code_output crdtPos", [Said("x"), Refused], "not well formed"),
    ],
)
def test_what_is_malformed_is_refused_with_what_to_write(answer: str, expected: list[object], reason: str) -> None:
    events = events_of(answer)
    assert [Refused if isinstance(event, Refused) else event for event in events] == expected
    (refused,) = (event for event in events if isinstance(event, Refused))
    assert reason in refused.reason


@pytest.mark.parametrize("tag", [OPEN, "<xcrdt_code_output\n  crdtPosition = 'p1'  >"])
def test_an_opening_tag_may_be_spaced_and_quoted_as_html_allows(tag: str) -> None:
    assert events_of(f"{tag}x</xcrdt_code_output\n>") == [Opened("p1"), Code("x"), Closed()]


def test_only_what_may_be_a_tag_is_held_back() -> None:
    blocks = CodeBlocks()
    assert blocks.feed("say < ") == [Said("say < ")]
    assert blocks.feed(f"{OPEN}\n") == [Opened("p1")]
    assert blocks.inside
    assert blocks.feed("a <") == [Code("a ")]
    assert blocks.feed("b </xcrdt_c") == [Code("<b ")]
    assert blocks.feed("ode\n") == [Code("</xcrdt_code")]
    assert blocks.feed("c") == [Code("\nc")]
    assert blocks.feed(f"\n{END}") == [Closed()]
    assert not blocks.inside


PIECES = st.sampled_from(
    [OPEN, END, "<", "</", "xcrdt_code_output", ">", " ", "\n", "\r", "\r\n", "x", "é\U0001f600", "<xcrdt_code_output>",
     "<xcrdt_code_output crdtPosition='q'", "&lt;", "y" * 299]
)  # fmt: skip


@given(answer=st.lists(PIECES, max_size=14).map("".join), data=st.data())
def test_any_chunks_give_the_same_events(answer: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=12)))
    chunks = [answer[a:b] for a, b in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
    assert events_of(*chunks) == events_of(answer) == events_of(*answer)


CODES = st.text().filter(lambda code: not code.endswith("\r"))  # with the newline of the tag that were one CRLF


@given(st.lists(st.tuples(st.text(), CODES, st.text(alphabet="pq-/+=_7", min_size=1)), max_size=4))
def test_what_is_well_formed_comes_out_as_it_was(parts: list[tuple[str, str, str]]) -> None:
    answer, expected = "", list[CodeEvent]()
    for said, code, position in parts:
        answer += f'{said}<xcrdt_code_output crdtPosition="{position}">\n{code}\n{END}'
        expected += [*([Said(said)] if said else []), Opened(position), *([Code(code)] if code else []), Closed()]
    assert events_of(*answer) == expected
