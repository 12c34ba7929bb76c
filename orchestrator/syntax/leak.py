"""Markup of tool calls that a model let slip into what it wrote."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["leaks", "strip_leak"]

_PREFIX: Final = r"(?:[A-Za-z_][\w.-]*:)?"  # antml:invoke, and prefixes that models make up
_NAMES: Final = (
    "parameter|parameters|invoke|function_calls?|function_results?|tool_calls?|tool_use|tool_results?|tool_response"
    "|xcrdt_code_output"
)
_LEAK: Final = re.compile(
    rf"</?{_PREFIX}(?:{_NAMES})(?:\s[^<>]{{0,300}})?/?>"
    r"|<function=[\w.-]{1,100}>|<parameter=[\w.-]{1,100}>|</function>"
    r"|<\|/?(?:tool_calls?|tool_call_begin|tool_call_end|tool_sep|im_start|im_end|python_tag|eom_id|eot_id)\|>"
    r"|\[/?TOOL_CALLS?\]"
)
_WITH_LINE: Final = re.compile(rf"^[ \t]*(?:(?:{_LEAK.pattern})[ \t]*)+(?:\r?\n|\Z)|(?:{_LEAK.pattern})", re.MULTILINE)


def leaks(text: str) -> Iterator[tuple[int, str]]:
    """Yield the place, in code points, and the text of each tag."""
    for found in _LEAK.finditer(text):
        yield found.start(), found[0]


def strip_leak(text: str) -> str:
    """Return the text without such tags; where nothing else stood on a line, the line goes too.

    Guarantees: `leaks` finds nothing in the result, and a text it finds nothing in comes back as it is.
    """
    while _LEAK.search(text):  # what is taken out may have stood in the middle of another one
        text = _WITH_LINE.sub("", text)
    return text
