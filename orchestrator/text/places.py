"""Where in a shared text somebody may write: its words and the edges of slots, as values.

A *slot* is everything between a pair of edges. Edges take up one index each and cannot be seen. Outside this package a
position counts code points of what can be seen; an *index* counts the UTF-8 bytes of the words and one for each edge,
as the replicated text does. Positions become indices only here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from orchestrator.errors import BoardError

__all__ = ["NO_SLOT", "Edge", "Layout", "Place", "PlaceTaken", "Segment", "Words"]


class PlaceTaken(BoardError):
    """A change reaches into text that somebody else is writing just now; `owner` is who."""

    def __init__(self, owner: str) -> None:
        super().__init__(
            f"that text is being written by {owner} just now",
            hint="Choose text outside of it, or wait until it is finished.",
        )
        self.owner = owner


@dataclass(frozen=True, slots=True)
class Words:
    """What can be seen."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One end of a slot; an opening edge says whose it is, and whether it is tied to what stands before it."""

    slot: str
    opens: bool
    owner: str = ""
    tied: bool = False


NO_SLOT = Edge(slot="", opens=False)
"""Something else that is embedded in a text, by whoever: it takes up an index and means nothing here."""
Segment = Words | Edge


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where to insert: the index, its position, and who writes at the place that was asked for, if that is not here."""

    index: int
    position: int
    taken_by: str | None = None


@dataclass(frozen=True, slots=True)
class _Item:
    """A segment, the index and position at which it begins, and the slots that are open there."""

    segment: Segment
    index: int
    position: int
    inside: tuple[Edge, ...]


class Layout:
    """One moment of a text."""

    def __init__(self, segments: tuple[Segment, ...]) -> None:
        """Take the segments in their order."""
        self.segments = segments
        self._edges: dict[tuple[str, bool], int] = {}
        self._items: list[_Item] = []
        self._owners = _whole_slots(segments)
        index = position = 0
        inside: tuple[Edge, ...] = ()
        for segment in segments:
            self._items.append(_Item(segment, index, position, inside))
            if isinstance(segment, Words):
                index += len(segment.text.encode())
                position += len(segment.text)
                continue
            self._edges.setdefault((segment.slot, segment.opens), index)
            index += 1
            if segment.slot in self._owners:
                inside = _step(inside, segment)
        self._items.append(_Item(Words(""), index, position, inside))

    @cached_property
    def text(self) -> str:
        """All that can be seen."""
        return "".join(segment.text for segment in self.segments if isinstance(segment, Words))

    @property
    def slots(self) -> dict[str, str]:
        """The owners of all slots that have both edges, by the slot's id."""
        return dict(self._owners)

    def edge(self, slot: str, *, opens: bool) -> int:
        """Return the index of an edge of a slot that is in `slots`."""
        return self._edges[slot, opens]

    def edges(self, slot: str) -> list[int]:
        """Return the indices of the edges that are left of a slot."""
        return [self._edges[slot, opens] for opens in (True, False) if (slot, opens) in self._edges]

    def content(self, slot: str) -> tuple[int, int]:
        """Return the position at which the words of a slot begin, and that at which they end."""
        first, last = (self._at_edge(slot, opens=opens).position for opens in (True, False))
        return first, last

    def owner_at(self, start: int, end: int, owner: str) -> str | None:
        """Return who else is writing between these positions just now; None if nobody."""
        for item in self._items:
            overlaps = item.position < end and item.position + _length(item.segment) > start
            if overlaps and isinstance(item.segment, Words) and not _may(item.inside, owner):
                return item.inside[-1].owner
        return None

    def place(self, position: int, owner: str) -> Place:
        """Return where `owner` may insert, as near as can be to a position.

        That is never inside a slot of somebody else, nor between a tied slot and what stands before it; and it is inside
        one of `owner`'s own only if there is nothing as near outside. Of several places it is the last, so that who
        comes later stands after.
        """
        best: Place | None = None
        least = (0, 0)
        for item in self._items:
            for found in _gaps(item, position) if _may(item.inside, owner) else ():
                rank = (abs(found.position - position), len(item.inside))
                if best is None or rank <= least:
                    best, least = found, rank
        assert best is not None, "the end of a text is inside no slot"
        if best.position == position:
            return best
        if (tied := self._tied_at(position)) is not None:
            behind = self.place(self.content(tied.slot)[1], owner)
            return Place(index=behind.index, position=behind.position, taken_by=behind.taken_by or tied.owner)
        inside = next((i.inside for i in self._items if _covers(i, position) and not _may(i.inside, owner)), ())
        return Place(index=best.index, position=best.position, taken_by=inside[-1].owner if inside else None)

    def pieces(self, start: int, end: int, owner: str) -> list[tuple[int, int]]:
        """Return the indices and lengths of the words between two positions, without the edges among them.

        Raises:
            PlaceTaken: some of them belong to somebody else, who is writing them.
        """
        if (other := self.owner_at(start, end, owner)) is not None:
            raise PlaceTaken(other)
        found = []
        for item in self._items:
            if isinstance(item.segment, Words):
                words = item.segment.text
                first, last = max(start - item.position, 0), min(end - item.position, len(words))
                if first < last:
                    found.append((item.index + len(words[:first].encode()), len(words[first:last].encode())))
        return found

    def is_boundary(self, index: int) -> bool:
        """Tell whether an index stands between two characters, and not within one."""
        for item in self._items:
            if item.index == index:
                return True
            if isinstance(item.segment, Words):
                raw = item.segment.text.encode()
                if item.index < index < item.index + len(raw):
                    return raw[index - item.index] & 0xC0 != 0x80
        return False

    def _tied_at(self, position: int) -> Edge | None:
        """Return the tied slot with words in it that begins at a position: whoever comes there belongs behind it."""
        for item in self._items:
            edge = item.segment
            if isinstance(edge, Edge) and edge.tied and item.position == position and edge.slot in self._owners:
                return edge if self.content(edge.slot)[1] > position else None
        return None

    def _at_edge(self, slot: str, *, opens: bool) -> _Item:
        index = self._edges[slot, opens]
        return next(item for item in self._items if item.index == index and isinstance(item.segment, Edge))


def _whole_slots(segments: tuple[Segment, ...]) -> dict[str, str]:
    opened: dict[str, str] = {}
    whole: dict[str, str] = {}
    for segment in segments:
        if isinstance(segment, Edge) and segment.slot:
            if segment.opens:
                opened.setdefault(segment.slot, segment.owner)
            elif segment.slot in opened:
                whole[segment.slot] = opened[segment.slot]
    return whole


def _step(inside: tuple[Edge, ...], edge: Edge) -> tuple[Edge, ...]:
    return (*inside, edge) if edge.opens else tuple(other for other in inside if other.slot != edge.slot)


def _may(inside: tuple[Edge, ...], owner: str) -> bool:
    return not inside or inside[-1].owner == owner


def _gaps(item: _Item, position: int) -> list[Place]:
    """Return the places before a segment, and inside of it if the position is there."""
    tied = isinstance(item.segment, Edge) and item.segment.opens and item.segment.tied
    found = [] if tied else [Place(index=item.index, position=item.position)]
    if isinstance(item.segment, Words) and item.position < position < item.position + len(item.segment.text):
        before = item.segment.text[: position - item.position]
        found.append(Place(index=item.index + len(before.encode()), position=position))
    return found


def _covers(item: _Item, position: int) -> bool:
    return item.position <= position <= item.position + _length(item.segment)


def _length(segment: Segment) -> int:
    return len(segment.text) if isinstance(segment, Words) else 0
