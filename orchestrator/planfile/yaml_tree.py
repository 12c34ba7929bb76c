"""YAML text as values of which each knows where it stands.

PyYAML only tells the events (it speaks YAML 1.1, where `on` is true and `2026-11-22` a date); the tree is built here,
by the core rules of YAML 1.2, in one pass without recursion, and with limits on all that a small file could blow up.
A fault that leaves the rest readable (a key written twice, a tag) is noted, and reading goes on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import yaml

from orchestrator.model.plan_values import described
from orchestrator.planfile.yaml_syntax import explained
from orchestrator.planfile.yaml_text import Fault, Path, Unreadable, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Entry", "Node", "Scalar", "Tree", "read_tree"]

Scalar: TypeAlias = str | int | float | bool | None

MAX_DEPTH = 40
MAX_NODES = 500_000
MAX_ALIASES = 100
_MAX_DIGITS = 100

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a PyYAML built without libyaml has only the slow one

_CORE = "tag:yaml.org,2002:"
_TYPES: dict[str, type] = {f"{_CORE}null": type(None), f"{_CORE}bool": bool, f"{_CORE}int": int, f"{_CORE}float": float}
_STRING_TAGS = {f"{_CORE}str", "!"}

_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER_BEGINS = frozenset("+-.0123456789")
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_TEXT = re.compile("[\0\ud800-\udfff]")  # only escapes make them: no argument, path or file can hold them
_SPECIAL_FLOAT = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A value and where it begins; lines and columns count from 1.

    `written` is a plain (unquoted) scalar as it stands in the file. `size` counts this node and those below, with
    every alias written out; `height` the levels below.
    """

    line: int
    column: int
    content: Scalar | dict[str, Entry] | tuple[Node, ...]
    written: str = ""
    size: int = 1
    height: int = 0

    def value(self) -> object:
        """Return the plain value: a dict, a tuple or a scalar."""
        if isinstance(self.content, dict):
            return {key: entry.node.value() for key, entry in self.content.items()}
        if isinstance(self.content, tuple):
            return tuple(node.value() for node in self.content)
        return self.content


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key of a mapping, where the key begins, and its value."""

    line: int
    column: int
    node: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """What a text holds: `root` is None if it cannot be read to its end, and then the last fault says why."""

    root: Node | None
    faults: tuple[Fault, ...]

    def node(self, path: Path) -> Node | None:
        """Return the node that these keys and indices lead to."""
        node = self.root
        for part in path:
            match node.content if node else None:
                case dict() as entries if part in entries:
                    node = entries[str(part)].node
                case tuple() as items if isinstance(part, int) and 0 <= part < len(items):
                    node = items[part]
                case _:
                    return None
        return node

    def value_place(self, path: Path) -> tuple[int, int]:
        """Return line and column of the value, or of the nearest value around it that exists."""
        while path and self.node(path) is None:
            path = path[:-1]
        node = self.node(path)
        return (node.line, node.column) if node else (1, 1)

    def key_place(self, path: Path) -> tuple[int, int]:
        """Return line and column of the key (in a list: of the value), or of the nearest value around that exists."""
        around = self.node(path[:-1]) if path else None
        if around and isinstance(around.content, dict) and path[-1] in around.content:
            entry = around.content[str(path[-1])]
            return entry.line, entry.column
        return self.value_place(path)


def read_tree(data: bytes, *, loader: type = _LOADER) -> Tree:
    """Return what the bytes of one YAML document hold, with every fault found; no input makes this raise."""
    builder = _Builder()
    try:
        text = text_of(data)
        for event in _events(text, loader):
            builder.take(event)
    except Unreadable as stopped:
        return Tree(root=None, faults=(*builder.faults, stopped.fault))
    if builder.root is None:
        nothing = Fault(line=1, column=1, message="the file is empty; write a plan, beginning with 'version: 1'")
        return Tree(root=None, faults=(nothing,))
    return Tree(root=builder.root, faults=tuple(builder.faults))


def _events(text: str, loader: type) -> Iterator[yaml.Event]:
    """Yield the parser's events.

    Raises:
        Unreadable: the text is not YAML; the fault says where and what to do.
    """
    try:
        yield from yaml.parse(text, Loader=loader)
    except yaml.YAMLError as error:
        raise Unreadable(explained(error, text)) from None
    except (ValueError, OverflowError):  # the pure parser, at an escape or a version number beyond all bounds
        raise Unreadable(Fault(line=1, column=1, message="a number in this file is too long to be read")) from None


@dataclass(slots=True, kw_only=True)
class _Open:
    """A collection whose end has not been read; `entries` is None for a list."""

    line: int
    column: int
    anchor: str | None
    entries: dict[str, Entry] | None
    items: list[Node] = field(default_factory=list)
    key: Node | None = None
    size: int = 1
    height: int = 0


class _Builder:
    """Takes events and builds the tree from the leaves up."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.faults: list[Fault] = []
        self._open: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}  # None while what it names is still open
        self._nodes = 0
        self._aliases = 0
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        """Take the next event.

        Raises:
            Unreadable: a limit is passed; the rest is not worth reading.
        """
        mark = event.start_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        match event:
            case yaml.ScalarEvent():
                self._count(1, line, column)
                self._finish(self._scalar(event, line, column), event.anchor)
            case yaml.CollectionStartEvent():
                self._count(1, line, column)
                self._begin(event, line, column)
            case yaml.CollectionEndEvent():
                self._close()
            case yaml.AliasEvent():
                self._alias(event.anchor or "", line, column)
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise self._stop(line, column, "a second document begins here; keep one, without '---' after it")

    # --- leaves -------------------------------------------------------------------------------------------------------

    def _scalar(self, event: yaml.ScalarEvent, line: int, column: int) -> Node:
        text, tag = event.value, event.tag
        written = "" if event.style else text
        if _NO_TEXT.search(text):
            message = "a text holds a NUL or half a character; put such content in a file of its own"
            self._lose(line, column, message)
            text = _NO_TEXT.sub("?", text)
        if tag in _STRING_TAGS or (tag is None and event.style):
            return Node(line=line, column=column, content=text)
        value = self._plain(text, line, column)
        if tag is not None:
            value, written = self._tagged(value, text, tag, line, column), ""
        return Node(line=line, column=column, content=value, written=written)

    def _plain(self, text: str, line: int, column: int) -> Scalar:
        """Return what a plain scalar means by the core rules."""
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if text[0] not in _NUMBER_BEGINS:
            return text
        if _DECIMAL.fullmatch(text) or _BASED.fullmatch(text):
            if len(text) > _MAX_DIGITS:
                self._lose(line, column, f"a number of {len(text)} digits is too long; if it is text, quote it")
                return text
            return int(text, 0) if text[1:2] in {"o", "x"} else int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
        return float(text.replace(".", "")) if _SPECIAL_FLOAT.fullmatch(text) else text

    def _tagged(self, value: Scalar, text: str, tag: str, line: int, column: int) -> Scalar:
        wanted = _TYPES.get(tag)
        if wanted is None:
            self._refuse_tag(tag, line, column)
            return value
        if wanted is float and type(value) is int:
            return float(value)
        if type(value) is not wanted:
            shown = f"!!{tag.removeprefix(_CORE)}"
            self._lose(line, column, f"{described(text)} does not fit its tag {shown}; take the tag out")
        return value

    def _refuse_tag(self, tag: str, line: int, column: int) -> None:
        shown = described(tag.replace(_CORE, "!!"))
        message = f"{shown} is read as a tag, and a plan has none; take it out, or put the text in quotes"
        self._lose(line, column, message)

    # --- collections --------------------------------------------------------------------------------------------------

    def _begin(self, event: yaml.CollectionStartEvent, line: int, column: int) -> None:
        mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in {None, "!", f"{_CORE}map" if mapping else f"{_CORE}seq"}:
            self._refuse_tag(event.tag, line, column)
        if len(self._open) >= MAX_DEPTH:
            raise self._stop(line, column, f"more than {MAX_DEPTH} levels inside each other; no plan needs that many")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._open.append(_Open(line=line, column=column, anchor=event.anchor, entries={} if mapping else None))

    def _close(self) -> None:
        done = self._open.pop()
        content = tuple(done.items) if done.entries is None else done.entries
        node = Node(line=done.line, column=done.column, content=content, size=done.size, height=done.height)
        self._finish(node, done.anchor)

    def _alias(self, name: str, line: int, column: int) -> None:
        shown = described(f"*{name}")
        if name not in self._anchors:
            raise self._stop(line, column, f"{shown} is read as an alias and names nothing; put the text in quotes")
        node = self._anchors[name]
        if node is None:
            raise self._stop(line, column, f"the alias {shown} stands inside what it names; write the value out")
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            raise self._stop(line, column, f"more than {MAX_ALIASES} aliases; write some of the values out")
        if len(self._open) + node.height > MAX_DEPTH:
            raise self._stop(line, column, f"more than {MAX_DEPTH} levels inside each other, with aliases written out")
        self._count(node.size, line, column)
        self._finish(node, None, at=(line, column))

    def _finish(self, node: Node, anchor: str | None, at: tuple[int, int] | None = None) -> None:
        """Put a finished node where it belongs; `at` is where it is mentioned, if that is not where it stands."""
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._open:
            self.root = node
            return
        around = self._open[-1]
        around.size += node.size
        around.height = max(around.height, node.height + 1)
        if around.entries is None:
            around.items.append(node)
        elif around.key is None:
            line, column = at or (node.line, node.column)
            around.key = Node(line=line, column=column, content=node.content, written=node.written)
        else:
            key, around.key = around.key, None
            self._enter(around.entries, key, node)

    def _enter(self, entries: dict[str, Entry], key: Node, node: Node) -> None:
        name = key.content
        path = self._path(len(self._open) - 1)
        if isinstance(name, (dict, tuple)):
            self._note(key.line, key.column, path, f"{described(key.value())} stands as a key; write text there")
            return
        if not isinstance(name, str):
            message = f"{described(name)} stands as a key; write it in quotes"
            name = key.written
            self._note(key.line, key.column, (*path, name), message)
        if key.written == "<<":
            message = "'<<' merges no keys in here; write them out, or use an alias for a whole value"
            self._note(key.line, key.column, (*path, name), message, lost=path)
        elif name in entries:
            first = entries[name].line
            message = f"the key {described(name)} is already written in line {first}; keep one of the two"
            self._note(key.line, key.column, (*path, name), message)
        else:
            entries[name] = Entry(line=key.line, column=key.column, node=node)

    # --- limits and faults --------------------------------------------------------------------------------------------

    def _count(self, nodes: int, line: int, column: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise self._stop(line, column, f"more than {MAX_NODES} values, with aliases written out; split the plan")

    def _path(self, depth: int) -> Path:
        """Return the path to the open collection at this depth."""
        path: list[str | int] = []
        for around in self._open[:depth]:
            if around.entries is None:
                path.append(len(around.items))
            elif around.key is None:
                break  # what comes now stands as a key itself
            else:
                path.append(str(around.key.content))
        return tuple(path)

    def _note(self, line: int, column: int, path: Path, message: str, lost: Path | None = None) -> None:
        self.faults.append(Fault(line=line, column=column, path=path, message=message, lost=lost))

    def _lose(self, line: int, column: int, message: str) -> None:
        """Note that the value which begins here does not mean what it says."""
        path = self._path(len(self._open))
        self._note(line, column, path, message, lost=path)

    def _stop(self, line: int, column: int, message: str) -> Unreadable:
        return Unreadable(Fault(line=line, column=column, path=self._path(len(self._open)), message=message))
