"""What a file of JavaScript or TypeScript declares and uses, and what it declares twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.syntax.fault import Fault
from orchestrator.syntax.globals import in_ecmascript
from orchestrator.syntax.parse import inside, text_of
from orchestrator.syntax.scopes import Names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from orchestrator.syntax.parse import Parsed
    from orchestrator.syntax.scopes import Binding, Scope

__all__ = ["duplicates", "is_wrong", "misplaced_imports", "names_of", "unresolved"]

_FUNCTIONS: Final = frozenset(
    [
        "function_declaration",
        "generator_function_declaration",
        "function_expression",
        "generator_function",
        "arrow_function",
        "method_definition",
        "function_signature",
        "method_signature",
        "abstract_method_signature",
        "call_signature",
        "construct_signature",
        "function_type",
        "constructor_type",
        "class_static_block",
    ]
)
_BLOCKS: Final = frozenset(
    [
        "statement_block",
        "class_body",
        "switch_body",
        "for_statement",
        "for_in_statement",
        "catch_clause",
        "enum_body",
        "class",
        "type_alias_declaration",
        "interface_declaration",
    ]
)
_NAMED: Final = {
    "function_declaration": "function",
    "generator_function_declaration": "function",
    "function_signature": "signature",
    "class_declaration": "class",
    "abstract_class_declaration": "class",
    "interface_declaration": "interface",
    "type_alias_declaration": "type",
    "enum_declaration": "enum",
    "internal_module": "namespace",
    "module": "namespace",
}
_SELF_NAMED: Final = {"function_expression", "generator_function", "class"}  # the name holds within it only
_JSX: Final = {"jsx_opening_element", "jsx_self_closing_element", "jsx_closing_element"}
_TYPES: Final = {"interface", "type"}
_VALUES: Final = {
    "variable",
    "var",
    "function",
    "signature",
    "parameter",
    "namespace",
}  # no types: they may share a name
_MERGING: Final = (
    {"var"}, {"var", "parameter"}, {"function", "parameter"}, {"signature"}, {"signature", "function"}, {"enum"},
    {"namespace"}, {"namespace", "function"}, {"namespace", "class"}, {"namespace", "enum"}, {"namespace", "signature"},
    {"interface", "class"}, {"interface"},
)  # fmt: skip
_IMPORT_PLACES: Final = {"statement_block", "class_body", "switch_case", "switch_default"}


def is_wrong(node: Node) -> bool:
    """Tell whether the grammar takes a node that the language refuses: an element closed by another one's name."""
    if node.type != "jsx_element":
        return False
    opening, closing = node.child_by_field_name("open_tag"), node.child_by_field_name("close_tag")
    if opening is None or closing is None:
        return False
    return text_of(opening.child_by_field_name("name")) != text_of(closing.child_by_field_name("name"))


def names_of(parsed: Parsed) -> Names:
    """Return the scopes, declarations and uses of a file."""
    names = Names()
    left: list[tuple[Node, Scope]] = [(parsed.root, names.scopes[0])]
    while left:
        node, scope = left.pop()
        inner = _scope_of(node, scope, names)
        _declare(node, scope, inner, names)
        if _is_use(node, names):
            names.uses.append((text_of(node), scope, node))
        left.extend((child, inner) for child in reversed(node.named_children))
    return names


def unresolved(parsed: Parsed, names: Names) -> Iterator[Fault]:
    """Yield a fault for each value that nothing declares. Of types only those are known that stand before a dot.

    A file without imports and exports is no module: what it uses may come from other scripts, so nothing is said.
    """
    if not any(child.type in {"import_statement", "export_statement"} for child in parsed.root.named_children):
        return
    for name, node in names.unresolved(in_ecmascript):
        yield Fault.at("unresolved", parsed.place(node), f"{name} is used here and declared nowhere in reach")


def duplicates(parsed: Parsed, names: Names) -> Iterator[Fault]:
    """Yield a fault for each name declared again where that is an error, or where interfaces merge without a word."""
    for scope in names.scopes:
        for name, bindings in scope.names.items():
            for index, binding in enumerate(bindings):
                if index and (fault := _clash(parsed, name, bindings[:index], binding)):
                    yield fault
    for node in inside(parsed.root):
        if node.type == "class_body":
            yield from _twice_in_class(parsed, node)
    defaults = [child for child in parsed.root.named_children if _is_default_export(child)]
    for node in defaults[1:]:
        yield Fault.at("duplicate-declaration", parsed.place(node), "a second default export")


def misplaced_imports(parsed: Parsed) -> Iterator[Fault]:
    """Yield a fault for each import statement inside of something."""
    for node in inside(parsed.root):
        if node.type == "import_statement" and node.parent is not None and node.parent.type in _IMPORT_PLACES:
            around = node.parent.parent
            if around is None or around.type not in {"module", "internal_module"}:
                yield Fault.at(
                    "nested-import", parsed.place(node), "an import inside of a block; it belongs to the top"
                )


def _scope_of(node: Node, scope: Scope, names: Names) -> Scope:
    """Return the scope of what is in a node."""
    parent = node.parent.type if node.parent is not None else ""
    if node.type in _FUNCTIONS:
        return names.within(scope, function=True)
    if node.type == "statement_block" and (parent in _FUNCTIONS or parent == "ambient_declaration"):
        return scope  # a body shares the scope of its parameters; `declare global` speaks of the file
    return names.within(scope) if node.type in _BLOCKS else scope


def _declare(node: Node, scope: Scope, inner: Scope, names: Names) -> None:
    """Take what this node declares, and mark the identifiers that are no uses."""
    kind = node.type
    if kind in _NAMED:
        _bind(node.child_by_field_name("name"), _NAMED[kind], scope, names)
    elif kind in _SELF_NAMED:
        _bind(node.child_by_field_name("name"), "own name", inner, names)
    elif kind == "variable_declarator":
        variable = node.parent is not None and node.parent.type == "variable_declaration"
        where = scope.of_function() if variable else scope
        _bind(node.child_by_field_name("name"), "var" if variable else "variable", where, names)
    elif kind in {"required_parameter", "optional_parameter"}:
        _bind(node.child_by_field_name("pattern") or node.child_by_field_name("name"), "parameter", scope, names)
    elif kind == "formal_parameters":
        for child in node.named_children:  # JavaScript has no node around a parameter
            _bind(child, "parameter", scope, names)
    elif kind in {"arrow_function", "catch_clause"}:
        _bind(node.child_by_field_name("parameter"), "parameter", inner, names)
    elif kind == "for_in_statement" and node.child_by_field_name("kind") is not None:
        variable = text_of(node.child_by_field_name("kind")) == "var"
        where = inner.of_function() if variable else inner
        _bind(node.child_by_field_name("left"), "var" if variable else "variable", where, names)
    elif kind in {"import_clause", "namespace_import", "import_specifier", "import_require_clause", "import_alias"}:
        _declare_import(node, scope, names)
    elif kind == "enum_body":
        for member in node.named_children:
            name = member.child_by_field_name("name") if member.type == "enum_assignment" else member
            inner.declare(text_of(name), "member", member)
    elif kind in {"index_signature", "tuple_parameter", "optional_tuple_parameter"}:
        names.handled.update(child.id for child in node.children_by_field_name("name"))


def _declare_import(node: Node, scope: Scope, names: Names) -> None:
    if node.type == "import_specifier":
        names.handled.update(child.id for child in node.named_children)
        _bind(node.child_by_field_name("alias") or node.child_by_field_name("name"), "import", scope, names)
        return
    first = next((child for child in node.named_children if child.type == "identifier"), None)
    _bind(first, "import", scope, names)


def _bind(pattern: Node | None, kind: str, scope: Scope, names: Names) -> None:
    """Declare all names of a pattern; the defaults in it are uses."""
    left = [pattern] if pattern is not None else []
    while left:
        node = left.pop()
        match node.type:
            case "identifier" | "type_identifier" | "shorthand_property_identifier_pattern":
                names.handled.add(node.id)
                if not node.is_missing:
                    scope.declare(text_of(node), kind, node)
            case "object_pattern" | "array_pattern" | "rest_pattern":
                left.extend(reversed(node.named_children))
            case "assignment_pattern" | "object_assignment_pattern":
                left.extend(node.children_by_field_name("left"))
            case "pair_pattern":
                left.extend(node.children_by_field_name("value"))


def _is_use(node: Node, names: Names) -> bool:
    if node.type not in {"identifier", "shorthand_property_identifier"} or node.id in names.handled or node.is_missing:
        return False
    parent = node.parent
    if parent is None:
        return False
    if parent.type in _JSX:
        return not text_of(node)[:1].islower() and "-" not in text_of(node)
    if parent.type == "export_specifier":
        statement = parent.parent.parent if parent.parent is not None else None
        elsewhere = statement is not None and statement.child_by_field_name("source") is not None
        return not elsewhere and node == parent.child_by_field_name("name")
    if parent.type == "export_statement":  # `export as namespace A` declares what scripts see
        return all(child.type != "namespace" for child in parent.children)
    return parent.type != "namespace_export"


def _clash(parsed: Parsed, name: str, before: list[Binding], binding: Binding) -> Fault | None:
    """Return what is wrong with one more declaration of a name; one earlier one that forbids it is enough."""
    place = parsed.place(binding.node)
    for other in before:
        kinds = {other.kind, binding.kind}
        if kinds in _MERGING or (kinds & _TYPES and kinds & _VALUES):
            continue
        line = parsed.place(other.node)[0]
        if kinds == {"import"}:
            return Fault.at("duplicate-import", place, f"{name} is imported already in line {line}")
        return Fault.at("duplicate-declaration", place, f"{name} is declared already in line {line}")
    merged = next((other for other in before if other.kind == binding.kind == "interface"), None)
    if merged is None:
        return None
    line = parsed.place(merged.node)[0]
    return Fault.at("duplicate-declaration", place, f"the interface {name} merges silently with the one in line {line}")


def _twice_in_class(parsed: Parsed, body: Node) -> Iterator[Fault]:
    seen: dict[tuple[bool, str], str] = {}
    for member in body.named_children:
        name = member.child_by_field_name("name") or member.child_by_field_name("property")
        if member.type not in {"method_definition", "public_field_definition", "field_definition"} or name is None:
            continue
        if name.type == "computed_property_name":
            continue
        words = {child.type for child in member.children}
        accessor = next(iter(words & {"get", "set"}), "")
        key = ("static" in words, text_of(name))
        if key in seen and {seen[key], accessor} != {"get", "set"}:
            yield Fault.at("duplicate-declaration", parsed.place(name), f"the class has {key[1]} already")
        seen[key] = accessor


def _is_default_export(node: Node) -> bool:
    declared = node.child_by_field_name("declaration")
    return (
        node.type == "export_statement"
        and any(child.type == "default" for child in node.children)
        and (declared is None or declared.type not in {"function_signature", "interface_declaration"})
    )
