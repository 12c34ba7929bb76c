"""Text that somebody else wrote, made harmless before it is printed, stored in a commit, or put on a line of its own."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["clean_text", "printable"]

# Terminal sequences as a whole, or their harmless-looking rest stays behind.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor
    r"|(?:\x1b[\]P^_X]|[\x9d\x90\x9e\x9f\x98]).*?(?:\x07|\x1b\\|\x9c|$)"  # OSC, DCS and kin: titles, links
    r"|\x1b[ -/]*[0-~]?",  # the short ones
    re.DOTALL,
)
# Unicode categories: controls, invisible formats, half pairs, private, unassigned, line separators.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean_text(text: str, limit: int | None = None) -> str:
    """Return text on one line: terminal sequences and invisible characters gone, runs of white space one space.

    With `limit`, at most so many characters; an ellipsis is the last of them if some were left out.
    """
    bounded = text if limit is None else text[: 4 * limit]
    spaced = (" " if c.isspace() else c for c in _SEQUENCE.sub("", bounded))
    line = " ".join("".join(c for c in spaced if unicodedata.category(c) not in _UNSAFE).split())
    return line if limit is None or len(line) <= limit else line[: limit - 1] + "…"


def printable(line: str) -> str:
    """Return a line of a file as a terminal may show it: its tabs and spaces kept, what would steer the terminal visible."""
    return "".join(c if c == "\t" or unicodedata.category(c) not in _UNSAFE else f"\\x{ord(c):02x}" for c in line)
