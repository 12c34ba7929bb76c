"""From bytes to text that a YAML parser accepts, and how a fault in the file is put."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["LINE_END", "MAX_BYTES", "Fault", "Path", "Unreadable", "text_of"]

Path: TypeAlias = tuple[str | int, ...]
"""The keys and indices that lead to a value in the file."""

MAX_BYTES = 4 << 20

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what the parser counts as the end of a line
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong in the text itself; line and column count from 1.

    `lost` leads to the value of which a part is missing because of this.
    """

    line: int
    column: int
    message: str
    path: Path = ()
    lost: Path | None = None


class Unreadable(Exception):
    """The text cannot be read any further."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def text_of(data: bytes) -> str:
    """Return the text, without the byte order mark that some editors put in front.

    Raises:
        Unreadable: it is too large, not UTF-8, or holds characters that YAML does not allow.
    """
    if len(data) > MAX_BYTES:
        size = f"the file is larger than {MAX_BYTES >> 20} MiB"
        raise _at("", f"{size}; put long texts in files of their own and name them with 'from'")
    if data.startswith(_WIDE_MARKS):
        raise _at("", "the file is UTF-16; save it as UTF-8")
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(errors="replace")
        raise _at(before, f"the byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8") from None
    if found := _UNPRINTABLE.search(text):
        code = f"\\x{ord(found[0]):02x}" if ord(found[0]) < 256 else f"\\u{ord(found[0]):04x}"
        remedy = "take it out" if found[0] == "\0" else f"take it out, or write it as {code} in double quotes"
        raise _at(text[: found.start()], f"the control character {code} cannot stand in a plan; {remedy}")
    return text


def _at(before: str, message: str) -> Unreadable:
    lines = LINE_END.split(before)
    return Unreadable(Fault(line=len(lines), column=len(lines[-1]) + 1, message=message))
