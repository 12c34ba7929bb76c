"""What a file of Python declares and uses, what it declares twice, and what its grammar lets through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.model.todo_markers import markers
from orchestrator.syntax.fault import Fault
from orchestrator.syntax.globals import in_python
from orchestrator.syntax.parse import inside, text_of
from orchestrator.syntax.scopes import Names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tree_sitter import Node

    from orchestrator.syntax.parse import Parsed
    from orchestrator.syntax.scopes import Scope

__all__ = ["duplicates", "is_wrong", "names_of", "unresolved"]

_FUNCTIONS: Final = {"function_definition", "lambda"}
_COMPREHENSIONS: Final = {
    "list_comprehension",
    "set_comprehension",
    "dictionary_comprehension",
    "generator_expression",
}
_IMPORTS: Final = {"import_statement", "import_from_statement", "future_import_statement"}
_TARGETS: Final = {  # what binds names, and the field they are in
    "assignment": "left",
    "augmented_assignment": "left",
    "for_statement": "left",
    "for_in_clause": "left",
    "as_pattern": "alias",
    "typed_default_parameter": "name",
    "default_parameter": "name",
    "function_definition": "name",
    "class_definition": "name",
    "aliased_import": "alias",
}
_LISTS: Final = {"parameters", "lambda_parameters", "type_parameter", "global_statement", "nonlocal_statement"}
_LABELS: Final = {"attribute": "attribute", "keyword_argument": "name"}  # identifiers that are no uses
_PATTERNS: Final = frozenset(
    [
        "pattern_list",
        "tuple_pattern",
        "list_pattern",
        "list_splat_pattern",
        "dictionary_splat_pattern",
        "list_splat",
        "tuple",
        "list",
        "parenthesized_expression",
        "as_pattern_target",
        "typed_parameter",
        "type",
        "generic_type",
        "constrained_type",
        "splat_type",
    ]
)
_FIRST_ONLY: Final = {"typed_parameter", "generic_type", "constrained_type"}  # the rest of them is no name
_PLAIN: Final = frozenset(  # decorators that do not put the function somewhere before its name is taken again
    [
        "abstractmethod",
        "asynccontextmanager",
        "cache",
        "cached_property",
        "classmethod",
        "contextmanager",
        "dataclass",
        "final",
        "fixture",
        "lru_cache",
        "override",
        "property",
        "staticmethod",
        "wraps",
    ]
)


def is_wrong(node: Node) -> bool:
    """Tell whether the grammar takes a node that Python refuses: a body without a statement, a statement of Python 2."""
    if node.type == "block":
        return not any(child.type != "comment" for child in node.named_children) and not _is_to_be_written(node)
    return node.type in {"print_statement", "exec_statement"}


def _is_to_be_written(block: Node) -> bool:
    """Tell whether a TODO stands in the place of a body: that is a fault of its own, and an outline is made of such."""
    node: Node | None = block
    while (
        node is not None and node.next_sibling is None
    ):  # the grammar puts the comment behind the statement without a body
        node = node.parent
    comment = node.next_sibling if node is not None else None
    while comment is not None and comment.type == "comment":
        if markers(text_of(comment)):
            return True
        comment = comment.next_sibling
    return False


def names_of(parsed: Parsed) -> Names:
    """Return the scopes, declarations and uses of a file."""
    names = Names()
    left: list[tuple[Node, Scope]] = [(parsed.root, names.scopes[0])]
    while left:
        node, scope = left.pop()
        inner = scope
        if node.type in _FUNCTIONS or node.type in _COMPREHENSIONS:
            inner = names.within(scope, function=node.type in _FUNCTIONS)
        elif node.type == "class_definition":
            inner = names.within(scope, hidden=True)
        _declare(node, scope, names)
        if node.type == "identifier" and node.id not in names.handled and not node.is_missing:
            names.uses.append((text_of(node), scope, node))
        outside = _evaluated_outside(node) if inner.parent is not None else ()
        where = scope if inner is not scope else inner.parent or inner
        left.extend((child, where if child in outside else inner) for child in reversed(node.named_children))
    return names


def unresolved(parsed: Parsed, names: Names) -> Iterator[Fault]:
    """Yield a fault for each name that nothing declares; none if `import *` may have brought it.

    Names in annotations that are strings are not read, and a name may be used above its declaration. A file that speaks of
    its `globals()` or calls `exec` makes names in ways that cannot be seen, so nothing is said of it.
    """
    if any(node.type == "wildcard_import" for node in inside(parsed.root)) or any(
        name in {"globals", "exec"} for name, _, _ in names.uses
    ):
        return
    for name, node in names.unresolved(in_python):
        yield Fault.at("unresolved", parsed.place(node), f"{name} is used here and declared nowhere in reach")


def duplicates(parsed: Parsed) -> Iterator[Fault]:
    """Yield a fault for each import, function or class whose name is taken again in the same block and unused till then.

    Decorators that may register what they get, such as `overload`, `x.setter` or `app.route`, make a repetition meant.
    """
    for node in inside(parsed.root):
        if node.type in {"module", "block"}:
            yield from _duplicates_among(parsed, node.named_children)


def _declare(node: Node, scope: Scope, names: Names) -> None:
    kind = node.type
    if kind in _TARGETS:
        for target in node.children_by_field_name(_TARGETS[kind]):
            _bind(target, scope, names)
    elif kind == "named_expression":
        _bind(node.child_by_field_name("name"), scope.of_function(), names)
    elif kind in _LISTS:
        where = scope.of_file() if kind == "global_statement" else scope
        if kind == "type_parameter" and scope.hidden and scope.parent is not None:
            where = scope.parent  # the methods of a class see its type parameters
        for child in node.named_children:
            _bind(child, where, names)
    elif kind in _IMPORTS:
        _declare_import(node, scope, names)
    elif kind == "type_alias_statement":
        _bind(node.child_by_field_name("left"), scope, names)
    elif kind in _LABELS:
        names.handled.update(child.id for child in node.children_by_field_name(_LABELS[kind]))
    elif kind == "case_pattern":  # what is captured and what is compared look alike, so all of it counts as declared
        for child in inside(node):
            if child.type == "identifier":
                _bind(child, scope, names)


def _evaluated_outside(node: Node) -> list[Node]:
    """Return the children that are evaluated around the function a node belongs to: defaults, and what is annotated."""
    match node.type:
        case "function_definition":
            return node.children_by_field_name("return_type")
        case "default_parameter" | "typed_parameter" | "typed_default_parameter":
            return [*node.children_by_field_name("value"), *node.children_by_field_name("type")]
    return []


def _declare_import(node: Node, scope: Scope, names: Names) -> None:
    for child in inside(node):
        if child.type == "identifier":
            names.handled.add(child.id)
    for name in node.children_by_field_name("name"):
        if name.type == "dotted_name":  # `import a.b` declares a; one with an alias is taken when that comes
            first = name.named_children[0]
            scope.declare(text_of(first), "import", first)


def _bind(pattern: Node | None, scope: Scope, names: Names) -> None:
    left = [pattern] if pattern is not None else []
    while left:
        node = left.pop()
        if node.type == "identifier":
            names.handled.add(node.id)
            if not node.is_missing:
                scope.declare(text_of(node), "name", node)
        elif node.type in _PATTERNS:
            children = node.named_children
            left.extend(children[:1] if node.type in _FIRST_ONLY else children)


def _duplicates_among(parsed: Parsed, statements: Sequence[Node]) -> Iterator[Fault]:
    last: dict[str, tuple[int, Node]] = {}
    for index, statement in enumerate(statements):
        for name, node in _definitions(statement):
            if name in last and not _is_meant(name, last[name], index, statements):
                before = last[name][1]
                both = statement.type in _IMPORTS and statements[last[name][0]].type in _IMPORTS
                verb = "imported" if both else "declared"
                yield Fault.at(
                    "duplicate-import" if both else "duplicate-declaration",
                    parsed.place(node),
                    f"{name} is {verb} already in line {parsed.place(before)[0]}",
                )
            last[name] = index, node


def _definitions(statement: Node) -> Iterator[tuple[str, Node]]:
    """Yield the names a statement imports or defines; `import a.b` is known by its whole path."""
    if statement.type in _IMPORTS:
        for name in statement.children_by_field_name("name"):
            bound = name.child_by_field_name("alias") or name
            yield text_of(bound), bound
        return
    definition = statement.child_by_field_name("definition") or statement
    taken = definition.child_by_field_name("name")
    if definition.type in {"function_definition", "class_definition"} and text_of(taken) not in {"", "_"}:
        yield text_of(taken), taken or definition


def _is_meant(name: str, before: tuple[int, Node], index: int, statements: Sequence[Node]) -> bool:
    """Tell whether the name was used in between, or a decorator may have kept one of the two."""
    first, second = statements[before[0]], statements[index]
    if _may_register(first) or _may_register(second):
        return True
    between = statements[before[0] + 1 : index + 1]
    own = {node.id for _, node in _definitions(second)}
    return any(
        node.type == "identifier" and node.id not in own and text_of(node) == name
        for statement in between
        for node in _evaluated(statement)
    )


def _may_register(statement: Node) -> bool:
    decorators = [child for child in statement.named_children if child.type == "decorator"]
    return any(_last_name(decorator) not in _PLAIN for decorator in decorators)


def _last_name(decorator: Node) -> str:
    text = text_of(decorator).removeprefix("@").split("(")[0]
    return text.split(".")[-1].strip()


def _evaluated(statement: Node) -> Iterator[Node]:
    """Yield what is evaluated where the statement stands, or in a function that may be called before the next one."""
    if statement.type in _IMPORTS:
        return
    definition = statement.child_by_field_name("definition") or statement
    body = definition.child_by_field_name("body") if definition.type == "function_definition" else None
    for node in inside(statement):
        if body is None or not body.start_byte <= node.start_byte < body.end_byte:
            yield node
