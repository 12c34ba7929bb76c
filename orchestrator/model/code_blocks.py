"""The blocks of code in a model's answer, read while it streams.

The answer holds `<xcrdt_code_output crdtPosition="P">`, code, `</xcrdt_code_output>`; P is what a cursor tool returned. All
that stands outside of blocks is said to the reader and never written into a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

__all__ = ["TAG", "Closed", "Code", "CodeBlocks", "CodeEvent", "Opened", "Refused", "Said"]

TAG: Final = "xcrdt_code_output"
"""The name of the tag around code."""

_LONGEST_TAG: Final = 300  # characters after the name; what is longer is prose about a tag
_NAME: Final = re.compile(rf"</?{TAG}(?=[\s/>])")
_REST: Final = re.compile(rf"[^<>]{{0,{_LONGEST_TAG}}}")
_POSITION: Final = re.compile(r"""\s+crdtPosition\s*=\s*(?:"(?P<double>[^"]+)"|'(?P<single>[^']+)')\s*""")
_BEGINNINGS: Final = tuple(name[:n] for name in (f"<{TAG}", f"</{TAG}") for n in range(len(name), 0, -1))

_FORM: Final = f'<{TAG} crdtPosition="POSITION">'
_MALFORMED: Final = f"An opening tag is not well formed. Write {_FORM} with the position that the cursor tool returned."
_NO_POSITION: Final = f"A block of code has no position. Ask the cursor tool for one, then write {_FORM}."
_NESTED: Final = f"A block of code begins inside another one. Write </{TAG}> before the next {_FORM}."
_STRAY: Final = f"A block of code ends that never began. Write {_FORM} before the code."
_BAD_END: Final = f"The closing tag of a block is not well formed. Write exactly </{TAG}> after the code."
_UNCLOSED: Final = f"The answer ended inside a block of code. Write the block again and end it with </{TAG}>."


@dataclass(frozen=True, slots=True)
class Opened:
    """A block begins; its code goes to this position, which nobody has checked yet."""

    position: str


@dataclass(frozen=True, slots=True)
class Code:
    """Text of the open block; never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The open block ended well."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A block that is not well formed; an open one ends with this and has no `Closed`. The reason is for the model."""

    reason: str


@dataclass(frozen=True, slots=True)
class Said:
    """Text outside of blocks; never empty."""

    text: str


CodeEvent = Opened | Code | Closed | Refused | Said


class _At(Enum):
    OUTSIDE = auto()
    FIRST = auto()  # in a block, whose first newline may still come
    CODE = auto()
    DROPPED = auto()  # in a block that was refused


class CodeBlocks:
    """Reads one answer, chunk by chunk.

    Guarantees: however the answer is cut, the events are the same once neighbouring texts are joined. One newline, LF or CRLF,
    after the opening tag and one before the closing tag do not belong to the code; every other character goes through as it
    is, and entities stay what they are. Held back is only what may yet be part of a tag, or the newline before one. After a
    refused block the text up to the next tag is dropped.
    """

    def __init__(self) -> None:
        """Begin outside of any block."""
        self._held = ""
        self._at = _At.OUTSIDE

    @property
    def inside(self) -> bool:
        """Whether a block is open."""
        return self._at in {_At.FIRST, _At.CODE}

    def feed(self, chunk: str) -> list[CodeEvent]:
        """Return what this chunk makes certain."""
        text, self._held = self._held + chunk, ""
        events: list[CodeEvent] = []
        while (name := _NAME.search(text)) is not None:
            rest = _REST.match(text, name.end())
            end = rest.end() if rest else name.end()
            if end == len(text):
                break
            self._pass_on(text[: name.start()], events, before_end=name[0].startswith("</"))
            whole = text[end : end + 1] == ">"
            self._take_tag(name[0], text[name.end() : end] if whole else None, events)
            text = text[end + whole :]
        certain = name.start() if name else _certain(text)
        if self.inside:
            certain = _certain_of_code(text[:certain], first=self._at is _At.FIRST)
        self._held = text[certain:]
        self._pass_on(text[:certain], events)
        return events

    def finish(self) -> list[CodeEvent]:
        """Return what is left when the answer is over; the reader then stands outside of any block.

        What was held back of an open block is dropped with it: it may be half of its closing tag.
        """
        held, at = self._held, self._at
        self._held, self._at = "", _At.OUTSIDE
        if at in {_At.FIRST, _At.CODE}:
            return [Refused(_UNCLOSED)]
        if at is _At.DROPPED or not held:
            return []
        return [Refused(_MALFORMED) if _NAME.search(held) else Said(held)]

    def _take_tag(self, name: str, rest: str | None, events: list[CodeEvent]) -> None:
        """Take a tag; `rest` is what stands between its name and its `>`, None if that never came."""
        if name.startswith("</"):
            events.extend(self._after_end(well_formed=rest is not None and not rest.strip()))
            return
        if self.inside:
            events.append(Refused(_NESTED))
            self._at = _At.DROPPED
            return
        found = _POSITION.fullmatch(rest) if rest is not None else None
        if found is None:
            events.append(Refused(_NO_POSITION if rest is not None and not rest.strip() else _MALFORMED))
        else:
            events.append(Opened(found["double"] or found["single"]))
        self._at = _At.DROPPED if found is None else _At.FIRST

    def _after_end(self, *, well_formed: bool) -> list[CodeEvent]:
        at, self._at = self._at, _At.OUTSIDE
        if at is _At.DROPPED:
            return []
        if at is _At.OUTSIDE:
            return [Refused(_STRAY)]
        return [Closed() if well_formed else Refused(_BAD_END)]

    def _pass_on(self, text: str, events: list[CodeEvent], *, before_end: bool = False) -> None:
        if self._at is _At.FIRST and text:
            text = text[_leading_newline(text) :]
            self._at = _At.CODE
        if self.inside and before_end:
            text = text.removesuffix("\r\n") if text.endswith("\r\n") else text.removesuffix("\n")
        if text and self._at is not _At.DROPPED:
            events.append(Code(text) if self.inside else Said(text))


def _certain(text: str) -> int:
    """Return how much of a text cannot be the beginning of a tag."""
    return next((len(text) - len(beginning) for beginning in _BEGINNINGS if text.endswith(beginning)), len(text))


def _certain_of_code(text: str, *, first: bool) -> int:
    """Return how much of code is certain: its last newline may belong to the closing tag, and half of it may not have come."""
    ending = next((end for end in ("\r\n", "\n", "\r") if text.endswith(end)), "")
    leading = _leading_newline(text) if first else 0  # the first newline is not the last one too
    return max(leading, len(text) - len(ending))


def _leading_newline(text: str) -> int:
    return 2 if text.startswith("\r\n") else 1 if text.startswith("\n") else 0
