"""What a YAML parser complains about, in words that say what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.planfile.yaml_text import LINE_END, Fault

if TYPE_CHECKING:
    import yaml

__all__ = ["explained"]

_NO_KEY = "this line is neither 'key: value' nor '- item'; add the ':', or indent it if it goes on from the line above"
_BAD_INDENT = "this line does not fit those above; indent it like them, and put text with special characters in quotes"
_OPEN_QUOTE = "a quote is opened here and never closed; close it"
_AFTER_END = "there is text after the end of the plan; indent it, or take it out"
_SIGNS = tuple(f"a text that begins with {sign!r} must be in quotes" for sign in "*&!")

# Parts of what libyaml and PyYAML's own parser say, and what an author can do about it; the first that fits is taken.
_SENTENCES = (
    ("mapping values are not allowed", "a second ':' stands here; put the text in quotes, or indent this line"),
    ("simple key", _NO_KEY),
    ("end of stream", _OPEN_QUOTE),
    ("unexpected document separator", _OPEN_QUOTE),
    ("unknown escape", r"YAML does not know this escape; write \\ for a backslash, or use single quotes"),
    ("invalid Unicode character escape", "this escape is no character; write the character itself"),
    ("hex", r"this escape lacks hexadecimal digits, as in \x0a; write \\ for a backslash"),
    ("',' or ']'", "the '[' of line {opened} is not closed before this; add a ',' or the ']'"),
    ("',' or '}'", "the '{{' of line {opened} is not closed before this; add a ',' or the '}}'"),
    ("expected key", _BAD_INDENT),
    ("block mapping", _BAD_INDENT),
    ("block collection", "this line does not fit the list above; begin it with '- ', or indent it like the entries"),
    ("sequence entries", "a '- ' cannot stand here; begin the list on a line of its own"),
    ("block scalar", "the text after '|' or '>' begins on the next line and is indented further than its key"),
    ("alias", _SIGNS[0]),
    ("anchor", _SIGNS[1]),
    ("tag", _SIGNS[2]),
    ("node content", "a value is missing here; write one, and put text that begins with a special character in quotes"),
    ("document start", _AFTER_END),
    ("directive", "a line cannot begin with '%'; put the text in quotes"),
    ("YAML document", "this version of YAML is not read; take the '%YAML' line out"),
)


def explained(error: yaml.YAMLError, text: str) -> Fault:
    """Return the place and the remedy of what the parser refused in this text."""
    begin, end = getattr(error, "context_mark", None), getattr(error, "problem_mark", None)
    said = ", ".join(str(part) for part in (getattr(error, "context", ""), getattr(error, "problem", "")) if part)
    sentence = next((sentence for part, sentence in _SENTENCES if part in said), "")
    # An unclosed quote is noticed at the end of the file, a missing ':' a line too late: show where it began.
    mark = begin if begin and sentence in {_OPEN_QUOTE, _NO_KEY, *_SIGNS} else end or begin
    line, column = (mark.line, mark.column) if mark else (0, 0)
    if "cannot start any token" in said:
        message = _wrong_start(text, line, column)
    elif sentence:
        message = sentence.format(opened=begin.line + 1 if begin else "?")
    else:
        message = f"this is not YAML ({said or 'no reason given'}); put text with special characters in quotes"
    return Fault(line=line + 1, column=column + 1, message=message)


def _wrong_start(text: str, line: int, column: int) -> str:
    lines = LINE_END.split(text)
    found = lines[line][column : column + 1] if line < len(lines) else ""
    if found == "\t":
        return "a tab stands where YAML wants spaces; indent with spaces"
    return f"a text that begins with {found!r} must be in quotes"
