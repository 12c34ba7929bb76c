"""What is wrong with a single value, in a sentence that says what to write instead."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from orchestrator.model.plan_values import CLASS_REFERENCE, NAME, PLAN_NAME, described

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pydantic_core import ErrorDetails

    from orchestrator.planfile.schema import Shape
    from orchestrator.planfile.yaml_tree import Node

__all__ = ["PATTERNS", "missing_key", "nearest", "unknown_key", "unknown_step", "wrong_value"]

PATTERNS = {
    NAME: "use letters, digits, '.', '_' and '-', with a letter or digit in front, such as A-001",
    PLAN_NAME: "use lower-case letters, digits and '-', with a letter or digit in front, such as user-management",
    CLASS_REFERENCE: "write package.module:Class, such as src.auth.service:AuthService",
}
"""What to write where a text must have a certain form."""

_SHOWN = 60
_TEXT, _LIST, _MAPPING, _NUMBER, _WHOLE = "text", "a list", "a mapping", "a number", "a whole number"
_WANTED = {
    "string_type": _TEXT,
    "tuple_type": _LIST,
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "float_type": _NUMBER,
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
}


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant, if one is near."""
    by_form = {other.lower(): other for other in known}
    found = difflib.get_close_matches(name.lower(), by_form, n=3)
    swapped = [
        form for form in found if sorted(form) == sorted(name.lower())
    ]  # letters in another order: a slip of the fingers
    return by_form[(swapped or found)[0]] if found else None


def unknown_key(key: str, around: Shape | None, taken: Collection[str]) -> str:
    """Return the sentence about a key that has no meaning where it stands, beside those that are taken."""
    known = around.keys if around else ()
    if around and around.one_key_each:
        remedy = f"make {key!r} a step of its own" if key in known else "take it out"
        return f"a step has one key, and {described(key)} is one too many; {remedy}"
    near = nearest(key, known)
    if near is not None and near in taken:
        return f"the key {described(key)} is not known here, and {near!r} stands there already; take one out"
    if near is not None:
        return f"the key {described(key)} is not known here; did you mean {near!r}?"
    return f"the key {described(key)} is not known here; take it out (known: {', '.join(known)})"


def missing_key(key: str, shape: Shape | None) -> str:
    """Return the sentence about a key that must be there and is not."""
    meaning = f" ({shape.description})" if shape and shape.description else ""
    return f"the key {key!r} is missing; add it{meaning}"


def unknown_step(node: Node | None, steps: Iterable[str]) -> str:
    """Return the sentence about a step of which nobody knows what it is."""
    steps = tuple(steps)
    known = f"write a mapping with one of the keys {', '.join(steps)}"
    if node is None or not isinstance(node.content, dict):
        return f"{_shown(node)} is no step; {known}"
    if not node.content:
        return f"this step is empty; {known}"
    key = next(iter(node.content))
    if near := nearest(key, steps):
        return f"no step is called {described(key)}; did you mean {near!r}?"
    return f"no step is called {described(key)}; {known}"


def wrong_value(error: ErrorDetails, node: Node | None, shape: Shape | None) -> str:
    """Return the sentence about a value that cannot stand where it does."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _WANTED:
        return _wrong_type(_WANTED[kind], node, shape)
    shown = _shown(node)
    match kind:
        case "value_error":
            return str(context["error"])
        case "literal_error":
            words = shape.words if shape else ()
            near = nearest(str(node.content), words) if node else None
            remedy = f"did you mean {near!r}?" if near else f"write {' or '.join(words)}"
            return f"{shown} is not known here; {remedy}"
        case "string_pattern_mismatch":
            return f"{shown} has not the form that is wanted here; {PATTERNS[context['pattern']]}"
        case "string_too_short":
            return "the text is empty; write one, or leave the key out"
        case "string_too_long":
            return f"the text is too long; write at most {context['max_length']} characters"
        case "too_short":
            return "the list is empty; write at least one entry"
        case "greater_than_equal":
            return f"{shown} is too small; write {context['ge']:g} or more"
        case "less_than_equal":
            return f"{shown} is too large; write {context['le']:g} or less"
        case "finite_number":
            return f"{shown} is no amount; write a number such as 2.5, or leave the key out"
    return f"{shown} cannot stand here; see docs/plan.md for what can"


def _shown(node: Node | None) -> str:
    if node is None or isinstance(node.content, str):
        return described(node.content if node else None)
    return node.written[:_SHOWN] or described(node.content)


def _wrong_type(wanted: str, node: Node | None, shape: Shape | None) -> str:
    content = node.content if node else None
    if content is None:
        return f"nothing stands here, where {wanted} is wanted; write it, or leave the key out"
    if isinstance(content, (dict, tuple)):
        return f"{described(content)} stands here, where {wanted} is wanted; {_other_form(wanted, content)}"
    found = _TEXT if isinstance(content, str) else "true or false" if isinstance(content, bool) else _NUMBER
    return f"{_shown(node)} is {found}, where {wanted} is wanted; {_other_scalar(wanted, node, shape)}"


def _other_form(wanted: str, content: object) -> str:
    if wanted == _LIST:
        return "begin each entry with '- '"
    if wanted == _MAPPING:
        return "write 'key: value' lines without '- '"
    if wanted == _TEXT and isinstance(content, dict):
        return "if it is meant as one text, put it in quotes"
    return "write a single value"


def _other_scalar(wanted: str, node: Node | None, shape: Shape | None) -> str:
    shown = _shown(node)
    if wanted == _TEXT:
        return f"put it in quotes: '{shown}'"
    if wanted == _LIST:
        return f"write [{shown}]"
    if wanted == _MAPPING:
        return "write 'key: value' lines" + (f" (known keys: {', '.join(shape.keys)})" if shape and shape.keys else "")
    if node and isinstance(node.content, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?", node.content):
        return "write it without quotes"
    return f"write one such as {'3' if wanted == _WHOLE else '2.5'}"
