"""The Python of a tree, read without running it: modules, names followed through imports, bases of classes.

Importing this module imports griffe, which takes 80 ms: import it in the function that needs it.
"""

from __future__ import annotations

import ast
import io
import logging
import sys
import threading
import tokenize
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import griffe

from orchestrator.model.contract import modern_name

if TYPE_CHECKING:
    from collections.abc import Callable, Set

__all__ = ["Fault", "Thing", "Tree"]

Thing = griffe.Object | str
"""What a name means: something written in the tree, or the absolute dotted name of what is not."""

_Seen = set[tuple[str, str]]
_OURS = "orchestrator"  # the key of our facts in griffe's `extra`
_QUIET = threading.Lock()  # `warnings.catch_warnings` changes the whole process
logging.getLogger("griffe").addHandler(logging.NullHandler())  # else it writes to stderr

_LANGUAGE = frozenset({"abc", "builtins", "contextlib", "typing", "typing_extensions"})  # known here by name
_EMPTY_BASES = frozenset({"object", "abc.ABC", "typing.Protocol", "typing.Generic"})
_TYPE_VARIABLES = frozenset({"typing.TypeVar", "typing.ParamSpec", "typing.TypeVarTuple"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a file could not be read as Python, and the line, counted from 1, where that is known."""

    why: str
    line: int | None = None


class _DependsOnTypeVariable(Exception):
    """A way out of a recursion, no error."""


class _Facts(griffe.Extension):
    """Keeps each object's syntax; what runs in a body wins over what only type checkers or instances see."""

    def on_instance(self, *, node: ast.AST | griffe.ObjectNode, obj: griffe.Object, **_: object) -> None:
        """Note what griffe has just made of a node, while the nodes still know their parents."""
        obj.extra[_OURS]["node"] = node
        parent = obj.parent
        if isinstance(node, griffe.ObjectNode) or parent is None or parent.members.get(obj.name) is not obj:
            return  # an overload or a setter is no member of its own
        typed, inside = _standing(node)
        obj.runtime = not typed
        kept = parent.extra[_OURS].setdefault("kept", {})
        if not typed and not inside:
            kept[obj.name] = obj
        elif obj.name in kept:
            parent.members[obj.name] = kept[obj.name]


def _standing(node: ast.AST) -> tuple[bool, bool]:
    """Return whether a node stands where only type checkers read, and whether it stands in a function."""
    typed = inside = False
    while (above := getattr(node, "parent", None)) is not None:
        inside = inside or isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef)
        if isinstance(above, ast.If):
            inverted = isinstance(above.test, ast.UnaryOp) and isinstance(above.test.op, ast.Not)
            test = above.test.operand if isinstance(above.test, ast.UnaryOp) else above.test
            guard = (dotted(test) or "").rpartition(".")[2] == "TYPE_CHECKING"
            typed = typed or (guard and node in (above.orelse if inverted else above.body))
        node = above
    return typed, inside


def dotted(node: ast.AST | griffe.Expr | str | None) -> str | None:
    """Return `a.b.c` if a node or expression is such a chain of names."""
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            return f"{left}.{node.attr}" if (left := dotted(node.value)) else None
        case griffe.ExprName():
            return node.name
        case griffe.ExprAttribute():
            parts = [value.name if isinstance(value, griffe.ExprName) else None for value in node.values]
            return None if None in parts else ".".join(part for part in parts if part)
        case _:
            return None


def _parse(name: str, path: str, blob: bytes) -> griffe.Module:
    """Return a file as griffe sees it; raises whatever the decoder, the compiler or griffe raise."""
    encoding, _ = tokenize.detect_encoding(io.BytesIO(blob).readline)
    text = blob.decode(encoding)
    *packages, last = name.split(".")
    parent: griffe.Module | None = None
    for depth, package in enumerate(packages, 1):  # relative imports are resolved along the parents
        parent = griffe.Module(package, filepath=Path(*packages[:depth], "__init__.py"), parent=parent)
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as an invalid escape in the target's strings
        # Compiling runs nothing, and finds what parsing lets through, such as `await` outside `async def`.
        compile(text, path, "exec", dont_inherit=True)
        extensions = griffe.Extensions(_Facts())
        return griffe.visit(last, filepath=Path(path), code=text, extensions=extensions, parent=parent)


class Tree:
    """The Python files of one tree, read when they are needed and each at most once.

    `faults` holds, by path, why files that were needed could not be read.
    """

    def __init__(self, read: Callable[[str], bytes | None]) -> None:
        self.faults: dict[str, Fault] = {}
        self._read = read
        self._blobs: dict[str, bytes | None] = {}
        self._paths: dict[str, str | None] = {}
        self._modules: dict[str, griffe.Module | None] = {}
        self._lineages: dict[str, tuple[griffe.Class | str, ...]] = {}

    dotted = staticmethod(dotted)

    def node_of(self, thing: griffe.Object) -> ast.AST | None:
        """Return the syntax that a thing was written as; None for a module."""
        return cast("ast.AST | None", thing.extra[_OURS].get("node"))

    def line_of(self, owner: griffe.Object, name: str = "") -> int:
        """Return the line of a thing, or of one of its members, from 1; decorators stand above it."""
        thing = owner.members.get(name, owner)
        if isinstance(thing, griffe.Alias):
            return thing.alias_lineno or 1
        return getattr(self.node_of(thing), "lineno", None) or 1

    def path_of(self, module: str) -> str | None:
        """Return the path of a module's file: at the tree's root or below `src/`, a file before a package."""
        if module not in self._paths:
            top = module.partition(".")[0]
            # A folder without `__init__.py` never hides a module of the standard library: spare the look-ups.
            hidden = top != module and top in sys.stdlib_module_names and self.path_of(top) is None
            roots = () if hidden or top in _LANGUAGE else ("", "src/")
            stem = module.replace(".", "/")
            places = (f"{root}{stem}{end}" for root in roots for end in (".py", "/__init__.py"))
            self._paths[module] = next((place for place in places if self._blob(place) is not None), None)
        return self._paths[module]

    def _blob(self, path: str) -> bytes | None:
        if path not in self._blobs:
            self._blobs[path] = self._read(path)
        return self._blobs[path]

    def module(self, name: str) -> griffe.Module | None:
        """Return a module of the tree; None if it is not there, or cannot be read (see `faults`)."""
        path = self.path_of(name)
        if path is None:
            return None
        if path not in self._modules:
            self._modules[path] = None
            try:
                self._modules[path] = _parse(name, path, self._blob(path) or b"")
            except SyntaxError as error:
                self.faults[path] = Fault(why=error.msg, line=error.lineno or None)
            except (RecursionError, MemoryError):
                self.faults[path] = Fault(why="it is nested too deeply")
            except Exception as error:  # noqa: BLE001 -- no agent's file may stop the run, whatever it holds
                self.faults[path] = Fault(why=f"{error}")
        return self._modules[path]

    def lookup(self, scope: griffe.Object, name: str, *, types: bool = False, seen: _Seen | None = None) -> Thing:
        """Return what a dotted name means in a module or a class body; `types`: in an annotation there.

        `seen` holds what is being looked up, so that imports that go round in a circle come to an end.
        """
        seen = set() if seen is None else seen
        first, *rest = name.split(".")
        thing: Thing | None = None
        # A method called `list` changes nothing about what `list` means in the annotations beside it.
        if scope.is_class and not (types and isinstance(scope.members.get(first), griffe.Function)):
            thing = self._member(scope, first, seen)
        if thing is None:
            thing = self._member(scope.module, first, seen)
        if thing is None and scope.module.is_init_module:  # griffe leaves out `from . import first`
            thing = self.module(f"{scope.module.path}.{first}")
        if thing is None:
            return name
        for part in rest:
            thing = self.step(thing, part, seen)
        return thing

    def step(self, thing: Thing, name: str, seen: _Seen | None = None) -> Thing:
        """Return what `thing.name` means."""
        seen = set() if seen is None else seen
        if isinstance(thing, griffe.Object):
            if (member := self._member(thing, name, seen)) is not None:
                return member
            if not isinstance(thing, griffe.Module):
                return f"{self.identity(thing)}.{name}"
            thing = thing.path
        return self._absolute(f"{thing}.{name}", seen)

    def _absolute(self, name: str, seen: _Seen) -> Thing:
        """Return what `import name`, or `from the rest import the last part`, means."""
        package, _, last = name.rpartition(".")
        module = self.module(package) if package else None
        member = None if module is None else self._member(module, last, seen)
        return member or self.module(name) or name

    def _member(self, owner: griffe.Object, name: str, seen: _Seen) -> Thing | None:
        """Return what an owner's own member is, followed through imports and assignments of names."""
        key = (self.identity(owner), name)
        if key in seen:
            return None  # modules that import the name from each other
        seen.add(key)
        member = owner.members.get(name)
        if member is None:
            return self._starred(owner, name, seen)
        if isinstance(member, griffe.Alias):
            return self._absolute(member.target_path, seen)
        on_class = isinstance(member, griffe.Attribute) and member.labels != {"instance-attribute"}
        if isinstance(member, griffe.Attribute) and on_class and (source := dotted(member.value)):
            meant = self.lookup(owner, source, seen=seen)
            return meant if isinstance(meant, griffe.Object) else member
        return member

    def _starred(self, owner: griffe.Object, name: str, seen: _Seen) -> Thing | None:
        for member in reversed(owner.members.values()):  # of two `import *`, the later one counts
            if isinstance(member, griffe.Alias) and member.wildcard and not name.startswith("_"):
                module = self.module(member.wildcard)
                found = None if module is None else self._member(module, name, seen)
                if found is not None:
                    return found
                known = member.wildcard.replace("typing_extensions", "typing")
                if known in _LANGUAGE and hasattr(sys.modules.get(known), name):
                    return f"{known}.{name}"
        return None

    def file_of(self, thing: griffe.Object) -> str:
        """Return the path of the file that a thing is written in."""
        path = thing.module.filepath
        return path.as_posix() if isinstance(path, Path) else ""

    def identity(self, thing: griffe.Object) -> str:
        """Return `path:Qualified.name`: the same for one thing, whatever name it was imported by."""
        module = thing.module
        return f"{self.file_of(thing)}:{thing.path.removeprefix(module.path).removeprefix('.')}"

    def lineage(self, cls: griffe.Class) -> tuple[griffe.Class | str, ...]:
        """Return a class and its bases in the order in which Python looks for methods.

        Bases outside the tree are their names; those known to have no methods (`abc.ABC`, …) are left out.
        """
        key = self.identity(cls)
        if key not in self._lineages:
            self._lineages[key] = (cls,)  # what a class sees that is, wrongly, its own base
            above: list[griffe.Class | str] = [base for base in self.bases(cls) if base not in _EMPTY_BASES]
            lines: list[list[griffe.Class | str]] = [
                list(self.lineage(base)) if isinstance(base, griffe.Class) else [base] for base in above
            ]
            try:
                merged = griffe.c3linear_merge(*lines, above)
            except ValueError:  # no such order exists: any order serves, the code cannot run
                merged = list(dict.fromkeys(entry for line in lines for entry in line))
            self._lineages[key] = (cls, *(entry for entry in merged if entry is not cls))
        return self._lineages[key]

    def bases(self, cls: griffe.Class) -> tuple[griffe.Class | str, ...]:
        """Return the direct bases: classes of the tree, or names; a base that is computed is its text."""
        found: list[griffe.Class | str] = []
        for base in cls.bases:
            plain = base.left if isinstance(base, griffe.ExprSubscript) else base
            name = dotted(plain)
            thing = self.lookup(cls.parent or cls.module, name) if name else str(plain)
            found.append(thing if isinstance(thing, griffe.Class) else self.name_of(thing))
        return tuple(dict.fromkeys(found))

    def name_of(self, thing: Thing) -> str:
        """Return one name for a thing: where it is written, or its modern absolute name outside the tree."""
        return self.identity(thing) if isinstance(thing, griffe.Object) else modern_name(thing)

    def type_of(self, node: ast.expr, scope: griffe.Class | griffe.Module, free: Set[str]) -> str | None:
        """Return an annotation with each name replaced by what it means, unions in one order.

        None if it depends on a type variable, such as one of the names in `free`, and cannot be compared.
        """
        expr = griffe.safe_get_expression(node, scope, parse_strings=True, log_level=None)
        try:
            return self._text(expr, scope, free) if expr is not None else ast.unparse(node)
        except _DependsOnTypeVariable:
            return None

    def value_of(self, node: ast.expr, scope: griffe.Class | griffe.Module) -> str:
        """Return a default with each name replaced by what it means, a plain constant by its value."""
        expr = griffe.safe_get_expression(node, scope, parse_strings=False, log_level=None)
        return self._text(expr, scope, None) if expr is not None else ast.unparse(node)

    def _text(self, expr: griffe.Expr | str, scope: griffe.Object, free: Set[str] | None) -> str:
        """Return an expression as comparable text; without `free` it is a value, not a type."""
        if isinstance(expr, str):
            return expr
        if name := dotted(expr):
            return self._value(name, scope) if free is None else self._type(name, scope, free)
        if free is not None and (members := self._union(expr, scope, free)):
            return " | ".join(sorted(members))
        return "".join(self._text(part, scope, free) for part in expr.iterate(flat=False))

    def _union(self, expr: griffe.Expr | str, scope: griffe.Object, free: Set[str]) -> set[str]:
        """Return the members of `A | B`, `Union[A, B]` or `Optional[A]`; nothing if it is none of them."""
        parts: list[griffe.Expr | str] = []
        optional = False
        if isinstance(expr, griffe.ExprBinOp) and expr.operator == "|":
            parts = [expr.left, expr.right]
        elif isinstance(expr, griffe.ExprSubscript):
            head = self._text(expr.left, scope, free)
            optional = head == "typing.Optional"
            if optional or head == "typing.Union":
                parts = [*expr.slice.elements] if isinstance(expr.slice, griffe.ExprTuple) else [expr.slice]
        members = {"None"} if optional else set()
        for part in parts:
            members |= self._union(part, scope, free) or {self._text(part, scope, free)}
        return members

    def _value(self, name: str, scope: griffe.Object) -> str:
        thing = self.lookup(scope, name)
        constant = isinstance(thing, griffe.Attribute) and isinstance(thing.parent, griffe.Module)
        value = getattr(thing, "value", None) if constant else None  # text, unless it is an expression
        return value if isinstance(value, str) else self.name_of(thing)

    def _type(self, name: str, scope: griffe.Object, free: Set[str]) -> str:
        first = name.partition(".")[0]  # a ParamSpec is used as `P.args`
        root = self.lookup(scope, first, types=True)
        maker = ""
        if isinstance(root, griffe.Attribute) and isinstance(root.value, griffe.ExprCall):
            maker = self.name_of(self.lookup(root.module, dotted(root.value.function) or ""))
        found = self.name_of(self.lookup(scope, name, types=True))
        if first in free or maker in _TYPE_VARIABLES or found == "typing.AnyStr":
            raise _DependsOnTypeVariable
        return found
