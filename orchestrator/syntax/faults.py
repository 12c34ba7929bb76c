"""What is wrong in one file, told from its text alone, fast enough to be asked while it is written.

The syntax of Python, JavaScript and TypeScript with JSX is known; of all other files only leaked markup and open markers are
found. No type is checked here: a gate does that.

The grammars do not know every rare form, such as the `in` and `out` of type parameters: of 1,235 sound files of libraries in
JavaScript and TypeScript ten have an error here. Whoever judges an edit therefore asks whether it is `worse`.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from orchestrator.model.todo_markers import markers
from orchestrator.syntax import ecmascript, python
from orchestrator.syntax.fault import Fault
from orchestrator.syntax.leak import leaks
from orchestrator.syntax.parse import inside, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from orchestrator.syntax.parse import Parsed

__all__ = ["error_nodes", "faults_of", "worse"]

_WRONG: Final = {  # what a grammar takes and the language does not
    "block": "a body without a statement",
    "jsx_element": "an element whose closing tag has another name",
}
_LITERALS: Final = {"string", "template_string", "regex"}
_MARKUP_FILES: Final = (".xml", ".html", ".htm", ".xhtml", ".svg", ".md", ".rst", ".xsd", ".xsl", ".vue", ".svelte")
_OURS: Final = ("xcrdt_", "antml:", "<|", "function_calls")  # what no document has a use for


def faults_of(path: str, text: str) -> tuple[Fault, ...]:
    """Return the faults of a file in the order of its text.

    References are judged only where the file has no error of syntax: what a parser skips may be a declaration.
    """
    parsed = parse(path, text)
    found = chain(_leaked(path, text, parsed), _unfinished(text))
    if parsed is not None:
        found = chain(found, _of_syntax(parsed), _of_names(parsed))
    return tuple(sorted(found))


def error_nodes(path: str, text: str) -> int:
    """Return how many places do not fit the syntax of the file, 0 for a language that is not known here."""
    parsed = parse(path, text)
    return sum(1 for _ in _misfits(parsed)) if parsed is not None else 0


def worse(path: str, before: str, after: str) -> bool:
    """Tell whether a file has more errors of syntax after an edit than before it."""
    return error_nodes(path, after) > error_nodes(path, before)


def _misfits(parsed: Parsed) -> Iterator[Node]:
    is_wrong = python.is_wrong if parsed.language == "python" else ecmascript.is_wrong
    for node in inside(parsed.root):
        if node.is_error or node.is_missing or is_wrong(node):
            yield node


def _of_syntax(parsed: Parsed) -> Iterator[Fault]:
    for node in _misfits(parsed):
        if node.is_missing:
            message = f"here {node.type} is missing"
        elif not node.is_error:
            message = _WRONG.get(node.type, "a statement of Python 2")
        else:
            message = f"this does not fit: {parsed.excerpt(node)}"
        yield Fault.at("syntax", parsed.place(node), message)


def _of_names(parsed: Parsed) -> Iterator[Fault]:
    sound = next(_misfits(parsed), None) is None
    if parsed.language == "python":
        yield from python.duplicates(parsed)
        if sound:
            yield from python.unresolved(parsed, python.names_of(parsed))
        return
    names = ecmascript.names_of(parsed)
    yield from ecmascript.duplicates(parsed, names)
    yield from ecmascript.misplaced_imports(parsed)
    if sound:
        yield from ecmascript.unresolved(parsed, names)


def _unfinished(text: str) -> Iterator[Fault]:
    for marker in markers(text):
        yield Fault.at("todo", _place(text, marker.start), f"TODO:{marker.name} is not done")


def _leaked(path: str, text: str, parsed: Parsed | None) -> Iterator[Fault]:
    """Yield the leaked markup; in a literal of a file that fits its syntax it is meant, and so are elements of documents."""
    document = path.lower().endswith(_MARKUP_FILES)
    for start, tag in leaks(text):
        if parsed is not None and _in_literal(parsed, len(text[:start].encode(errors="replace"))):
            continue
        if not document or any(name in tag for name in _OURS):
            yield Fault.at("protocol-leak", _place(text, start), f"markup of a tool call: {' '.join(tag.split())[:60]}")


def _in_literal(parsed: Parsed, at: int) -> bool:
    if next(_misfits(parsed), None) is not None:
        return False
    node = parsed.root.descendant_for_byte_range(at, at + 1)
    while node is not None and node.type not in _LITERALS:
        node = node.parent
    return node is not None


def _place(text: str, at: int) -> tuple[int, int]:
    line_start = text.rfind("\n", 0, at) + 1
    return text.count("\n", 0, line_start) + 1, at - line_start + 1
