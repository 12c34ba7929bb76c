"""Where one may write, on values."""

from __future__ import annotations

import pytest

from orchestrator.text.places import NO_SLOT, Edge, Layout, PlaceTaken, Segment, Words


def text(drawn: str) -> Layout:
    """Return a text as it is drawn: `A(…)A` is a slot of agent A, `A<…>A` one that is tied to what stands before it."""
    segments: list[Segment] = []
    numbers: dict[str, int] = {}
    stack: list[str] = []
    at = 0
    while at < len(drawn):
        two = drawn[at : at + 2]
        if len(two) == 2 and two[0].isupper() and two[1] in "(<":
            numbers[two[0]] = numbers.get(two[0], 0) + 1
            stack.append(f"{two[0]}{numbers[two[0]]}")
            segments.append(Edge(slot=stack[-1], opens=True, owner=two[0], tied=two[1] == "<"))
            at += 2
        elif len(two) == 2 and two[0] in ")>" and two[1].isupper():
            segments.append(Edge(slot=stack.pop(), opens=False))
            at += 2
        else:
            if segments and isinstance(segments[-1], Words):
                segments[-1] = Words(segments[-1].text + drawn[at])
            else:
                segments.append(Words(drawn[at]))
            at += 1
    return Layout(tuple(segments))


@pytest.mark.parametrize(
    ("drawn", "owner", "position", "expected"),
    [
        ("", "A", 0, (0, 0, None)),
        ("é漢😀b", "A", 1, (2, 1, None)),  # an index counts bytes
        ("é漢😀b", "A", 3, (9, 3, None)),
        ("xA()Ay", "B", 1, (3, 1, None)),  # after an empty slot, so that who comes later stands after
        ("xA(漢漢)Ay", "B", 1, (1, 1, None)),  # before a slot with words
        ("xA(漢漢)Ay", "B", 3, (9, 3, None)),
        ("xA(12345)Ay", "B", 2, (1, 1, "A")),  # out of it, to the nearer side
        ("xA(12345)Ay", "B", 5, (8, 6, "A")),
        ("xA(1234)Ay", "B", 3, (7, 5, "A")),  # as near on both sides: after
        ("xA(1234)Ay", "A", 3, (4, 3, None)),  # inside one's own
        ("xA(1234)Ay", "A", 1, (1, 1, None)),  # but not at its ends
        ("xA(1234)Ay", "A", 5, (7, 5, None)),
        ("xA(1B(22)B3)Ay", "B", 3, (5, 3, None)),  # a place that was reserved inside somebody's slot
        ("xA(1B(22)B3)Ay", "A", 3, (7, 4, "B")),
        ("pA<12>Ay", "B", 1, (5, 3, "A")),  # nobody steps between what is tied
        ("pA<>Ay", "B", 1, (3, 1, None)),
        ("pA<12>Ay", "A", 1, (2, 1, None)),
        ("pA<12>A", "B", 0, (0, 0, None)),
    ],
)
def test_a_place_is_the_nearest_where_one_may_write(
    drawn: str, owner: str, position: int, expected: tuple[int, int, str | None]
) -> None:
    place = text(drawn).place(position, owner)
    assert (place.index, place.position, place.taken_by) == expected


def test_words_between_positions_are_found_without_the_edges_among_them() -> None:
    layout = text("é1A(漢2)A3")
    assert layout.pieces(1, 5, "A") == [(2, 1), (4, 4), (9, 1)]
    assert layout.pieces(5, 5, "B") == []
    with pytest.raises(PlaceTaken, match="being written by A"):
        layout.pieces(1, 3, "B")
    assert layout.pieces(0, 2, "B") == [(0, 3)]


@pytest.mark.parametrize(
    "segments",
    [
        (Edge(slot="s", opens=True, owner="A"), Words("12")),
        (Words("12"), Edge(slot="s", opens=False)),
        (Edge(slot="s", opens=False), Words("12"), Edge(slot="s", opens=True, owner="A")),
        (NO_SLOT, Words("12")),
    ],
)
def test_half_a_slot_is_none(segments: tuple[Segment, ...]) -> None:
    layout = Layout(segments)
    assert layout.slots == {}
    assert layout.place(1, "B").position == 1


def test_crossed_slots_keep_everybody_else_out() -> None:
    a, b = Edge(slot="a", opens=True, owner="A"), Edge(slot="b", opens=True, owner="B")
    crossed = Layout(
        (a, Words("1"), b, Words("22"), Edge(slot="a", opens=False), Words("3"), Edge(slot="b", opens=False))
    )
    assert crossed.place(2, "C").position == 4
    assert crossed.place(2, "B").position == 2


def test_an_index_inside_a_character_is_no_boundary() -> None:
    layout = text("aé漢A()A😀")
    assert [n for n in range(14) if layout.is_boundary(n)] == [0, 1, 3, 6, 7, 8, 12]
