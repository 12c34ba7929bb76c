"""Templates of presets: texts, lists and mappings with `{names}` in them, filled with what is known of one attempt. Pure.

* `{name}` stands for a value. A text with a list's name becomes several texts, one for each of the list's.
* `{NAME|text}` stands for `text` if the value is missing.
* `{?name}` stands for nothing if the value is there; if it is not, it is a missing value. `{!name}` is the opposite.
* A text with a value that is missing, or with a list that is empty, is left out: an item of a list, an entry of a mapping, and in
  arguments the whole group that it belongs to, which is a list in the list.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Json", "Values", "arguments", "as_text", "fill", "names_in"]

Json: TypeAlias = Any
"""What can stand in a JSON text."""
Values: TypeAlias = "Mapping[str, str | tuple[str, ...]]"
"""What names stand for."""
_NAME = re.compile(r"\{([?!]?)([A-Za-z_]+)(?:\|([^{}]*))?\}")


class _MissingValue(Exception):
    """A text names a value that is not there."""


def names_in(template: object) -> Iterator[str]:
    """Yield every name that a template uses."""
    if isinstance(template, str):
        yield from (match[2] for match in _NAME.finditer(template))
    elif isinstance(template, dict):
        for key, value in template.items():
            yield from (*names_in(key), *names_in(value))
    elif isinstance(template, (list, tuple)):
        for item in template:
            yield from names_in(item)


def fill(template: Json, values: Values) -> Json:
    """Return a mapping or list with all its texts filled in."""
    if isinstance(template, dict):
        return dict(_entries(template, values))
    if isinstance(template, list):
        return [filled for item in template for filled in _items(item, values)]
    return template


def arguments(template: Json, values: Values) -> list[str]:
    """Return the words of a command line; groups are flattened, those with a missing value left out."""
    words: list[str] = []
    for item in template:
        if isinstance(item, str):
            words += _items(item, values)
        elif all(_texts_or_none(text, values) is not None for text in item if isinstance(text, str)):
            words += arguments(item, values)
    return words


def _entries(template: Mapping[str, Json], values: Values) -> Iterator[tuple[str, Json]]:
    for key, value in template.items():
        for name in _items(key, values):
            for filled in _items(value, values):
                yield name, filled


def _items(item: Json, values: Values) -> list[Json]:
    return (_texts_or_none(item, values) or []) if isinstance(item, str) else [fill(item, values)]


def _texts_or_none(text: str, values: Values) -> list[str] | None:
    """Return what a text stands for; None if it names a value that is not there."""
    lists = [match[2] for match in _NAME.finditer(text) if isinstance(values.get(match[2]), tuple)]
    try:
        if not lists:
            return [_text(text, values)]
        return [_text(text, {**values, lists[0]: one}) for one in values[lists[0]]] or None
    except _MissingValue:
        return None


def _text(text: str, values: Values) -> str:
    def one(match: re.Match[str]) -> str:
        value = values.get(match[2])
        if (value is None and match[3] is None) != (match[1] == "!"):
            raise _MissingValue
        if match[1]:
            return ""
        return match[3] if value is None else str(value)

    return _NAME.sub(one, text)


def as_text(name: str, content: Json) -> str:
    """Return a file's content: TOML or JSON for values, as its name ends, and a text as it is."""
    if isinstance(content, str):
        return content
    if name.endswith(".toml"):
        return "".join(f"{json.dumps(key)} = {_toml(value)}\n" for key, value in content.items())
    return json.dumps(content, indent=2) + "\n"


def _toml(value: Json) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(str(key))} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)  # texts, numbers and truth are written alike in both
