"""The one door to tree-sitter: a file's text to its tree, in the language its name tells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    import tree_sitter

__all__ = ["Language", "Parsed", "inside", "language_of", "parse", "text_of"]

Language = Literal["python", "javascript", "typescript", "tsx"]

_LANGUAGES: Final[dict[str, Language]] = {
    ".py": "python",
    ".pyi": "python",
    ".js": "javascript",
    ".jsx": "javascript",
    ".mjs": "javascript",
    ".cjs": "javascript",
    ".ts": "typescript",
    ".mts": "typescript",
    ".cts": "typescript",
    ".tsx": "tsx",
}


def language_of(path: str) -> Language | None:
    """Return the language of a file by its name; None if its syntax is not known here."""
    return _LANGUAGES.get(PurePosixPath(path).suffix.lower())


@dataclass(frozen=True, slots=True)
class Parsed:
    """A text and its tree. A tree there always is; what does not fit is in it as ERROR and MISSING nodes."""

    language: Language
    root: tree_sitter.Node
    source: bytes

    def excerpt(self, node: tree_sitter.Node) -> str:
        """Return the first words of a node's text on one line, as they stand in the file."""
        return " ".join(self.source[node.start_byte : node.end_byte].decode(errors="replace")[:200].split())[:60]

    def place(self, node: tree_sitter.Node) -> tuple[int, int]:
        """Return where a node begins: line and column from 1, columns in code points."""
        line_start = self.source.rfind(b"\n", 0, node.start_byte) + 1
        before = self.source[line_start : node.start_byte].decode(errors="replace")
        return self.source.count(b"\n", 0, line_start) + 1, len(before) + 1


def parse(path: str, text: str) -> Parsed | None:
    """Return a file's tree, or None if its language is not known here."""
    language = language_of(path)
    if language is None:
        return None
    import tree_sitter

    source = text.encode(errors="replace")  # half a surrogate pair is no character of any language
    # The grammars with JSX take no plain & in the text of an element, though the language does. With | in its place the text
    # is text, and an expression or a type is still one.
    readable = source.replace(b"&", b"|") if language in {"tsx", "javascript"} else source
    return Parsed(language, tree_sitter.Parser(_grammar(language)).parse(readable).root_node, source)


def inside(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    """Yield a node and all below it, in the order of the text."""
    left = [node]
    while left:
        node = left.pop()
        yield node
        left.extend(reversed(node.children))


def text_of(node: tree_sitter.Node | None) -> str:
    """Return the text of a node, empty if there is none."""
    return node.text.decode(errors="replace") if node is not None and node.text is not None else ""


@cache
def _grammar(language: Language) -> tree_sitter.Language:
    import tree_sitter

    match language:
        case "python":
            import tree_sitter_python

            grammar = tree_sitter_python.language()
        case "javascript":
            import tree_sitter_javascript

            grammar = tree_sitter_javascript.language()
        case "typescript":
            import tree_sitter_typescript

            grammar = tree_sitter_typescript.language_typescript()
        case "tsx":
            import tree_sitter_typescript

            grammar = tree_sitter_typescript.language_tsx()
    return tree_sitter.Language(grammar)
