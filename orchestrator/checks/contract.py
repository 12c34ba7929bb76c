"""Whether the classes that a plan names offer what their interfaces promise, without running their code."""

from __future__ import annotations

import ast
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from orchestrator.model.contract import Method, MethodKind, Parameter, ParameterKind, Value, compare
from orchestrator.model.finding import ConflictKind, Severity, Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import griffe

    from orchestrator.checks.surface import Thing, Tree
    from orchestrator.model.plan import Implementation

__all__ = ["check_implementations"]

_Def = ast.FunctionDef | ast.AsyncFunctionDef
_ABSTRACT = frozenset(f"abc.abstract{name}" for name in ("method", "property", "classmethod", "staticmethod"))
_MANAGERS = frozenset({"contextlib.contextmanager", "contextlib.asynccontextmanager"})
_OVERLOAD = frozenset({"typing.overload"})
_ENDINGS = {
    "property": MethodKind.PROPERTY,
    "staticmethod": MethodKind.STATIC,
    "classmethod": MethodKind.CLASS,
}
_CONSTRUCTION = frozenset({"__init__", "__new__", "__init_subclass__", "__class_getitem__"})


def check_implementations(
    entries: Sequence[Implementation], read: Callable[[str], bytes | None]
) -> tuple[Violation, ...]:
    """Return where implementations break their interfaces; nothing if all of them keep their promise.

    `read` gives the content of a path in the tree to judge, or None where there is no such file; each path is
    asked for at most once. Nothing of the tree is imported or run, and no file is read in another way.
    Whatever the files hold, this returns: a file that cannot be read as Python is a violation.
    """
    if not entries:
        return ()
    from orchestrator.checks.surface import Tree  # here, because it imports griffe, which takes 80 ms

    tree = Tree(read)
    found: list[Violation] = []
    for entry in entries:
        try:
            found.extend(_check(tree, entry))
        except RecursionError:
            path = tree.path_of(entry.by.partition(":")[0]) or ""
            found.append(_syntax(path, "it, or what it builds on, is nested too deeply", None))
    found.extend(_syntax(path, fault.why, fault.line) for path, fault in tree.faults.items())
    return tuple(dict.fromkeys(found))


def _missing(kind: str, path: str, line: int | None, message: str, *, warning: bool = False) -> Violation:
    return Violation(
        kind=kind,
        path=path,
        line=line,
        message=message,
        severity=Severity.WARNING if warning else Severity.ERROR,
        conflict=ConflictKind.STRUCTURAL,
    )


def _syntax(path: str, why: str, line: int | None) -> Violation:
    version = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    return _missing("syntax", path, line, f"{path} cannot be read as {version}: {why}; correct it")


def _check(tree: Tree, entry: Implementation) -> Iterator[Violation]:
    promise = f"{entry.by} was to implement {entry.interface}"
    interface = _class(tree, entry.interface, "missing-interface", "missing-interface", promise)
    cls = _class(tree, entry.by, "missing-module", "missing-class", promise)
    yield from (found for found in (interface, cls) if isinstance(found, Violation))
    if isinstance(interface, Violation) or isinstance(cls, Violation) or interface is None or cls is None:
        return
    inherits = any(above is interface for above in tree.lineage(cls))
    if not inherits and _is_abc(tree, interface):
        text = f"{cls.name} does not inherit from {interface.name}; write class {cls.name}({interface.name})"
        yield _missing("not-declared", tree.file_of(cls), tree.line_of(cls), text, warning=True)
    for contract in _promises(tree, interface):
        yield from _offer(tree, cls, interface, contract, inherits=inherits)


def _class(tree: Tree, reference: str, no_module: str, no_class: str, promise: str) -> griffe.Class | Violation | None:
    """Return the class that a reference of the plan names, or why not; None if its file cannot be read."""
    name, _, qualified = reference.partition(":")
    path = tree.path_of(name)
    if path is None:
        path = f"{name.replace('.', '/')}.py"
        text = f"there is no module {name}: {promise}; write {qualified} in {path}"
        return _missing(no_module, path, None, text)
    module = tree.module(name)
    if module is None:
        return None
    found: Thing = module
    for part in qualified.split("."):
        found = tree.step(found, part)
    if not isinstance(found, str) and found.is_class and found.runtime:
        return cast("griffe.Class", found)
    line = tree.line_of(module, qualified.partition(".")[0])
    text = f"{path} has no class {qualified}: {promise}; write the class there"
    return _missing(no_class, path, line, text)


def _is_abc(tree: Tree, interface: griffe.Class) -> bool:
    classes = [above for above in tree.lineage(interface) if not isinstance(above, str)]
    names = {name for above in classes for name in tree.bases(above)}
    return "abc.ABC" in names or any("ABCMeta" in str(above.keywords.get("metaclass")) for above in classes)


def _promises(tree: Tree, interface: griffe.Class) -> Iterator[Method]:
    """Yield the methods that callers of an interface may use, and those that it leaves to others to write."""
    seen: set[str] = set()
    for cls in tree.lineage(interface):
        if isinstance(cls, str):
            continue
        protocol = "typing.Protocol" in tree.bases(cls)
        for name in (*cls.members, *cls.overloads):
            method = None if name in seen else _member(tree, cls, name)
            seen.add(name)
            if not isinstance(method, Method):
                continue
            special = name.startswith("__") and name.endswith("__") and name not in _CONSTRUCTION
            if not name.startswith("_") or method.abstract or (protocol and special and method.stub):
                yield method


def _offer(
    tree: Tree, cls: griffe.Class, interface: griffe.Class, contract: Method, *, inherits: bool
) -> Iterator[Violation]:
    """Yield what is wrong with what a class offers for one method of its interface."""
    who = f"{cls.name}.{contract.name}"
    promised = tree.lineage(interface)
    where, line = tree.file_of(cls), tree.line_of(cls)
    unseen = ""  # the first base outside the tree that Python would ask before what was found
    for owner in tree.lineage(cls):
        if isinstance(owner, str):
            unseen = unseen or owner
            continue
        offered = _member(tree, owner, contract.name, running=True)
        if offered is None:
            continue
        of_interface = any(owner is above for above in promised)
        bare = isinstance(offered, Method) and (offered.abstract or (offered.stub and of_interface))
        if bare and owner is not cls:
            if _is_hook(tree, owner, contract.name):
                text = f"{who}: it stays empty as {owner.name} has it; write it if it has work to do"
                yield _missing("missing-method", where, line, text, warning=True)
                return
            break
        if not of_interface or owner is cls:  # else it is the interface's own, inherited with its body
            via = "" if owner is cls else f" (written in {owner.name})"
            yield from compare(contract, offered, who=who + via, inherits=inherits)
        return
    if cls.decorators and contract.name.startswith("__"):  # as `@dataclass` adds some
        unseen = unseen or "a decorator of the class"
    how = f"could not be seen; {unseen} would have to add it" if unseen else "is missing"
    text = f"{who}: the method {how}; the contract says {contract}"
    yield _missing("missing-method", where, line, text, warning=bool(unseen))


def _is_hook(tree: Tree, owner: griffe.Class, name: str) -> bool:
    """Tell whether a method without a body may stay so: others of its class are abstract and it is not."""
    methods = {each: _member(tree, owner, each) for each in owner.members}
    abstract = {each for each, method in methods.items() if isinstance(method, Method) and method.abstract}
    member = owner.members.get(name)
    node = None if member is None or member.is_alias else tree.node_of(cast("griffe.Object", member))
    raises = isinstance(node, _Def) and any(isinstance(statement, ast.Raise) for statement in node.body)
    return bool(abstract) and name not in abstract and not raises


def _member(tree: Tree, owner: griffe.Class, name: str, *, running: bool = False) -> Method | Value | None:
    """Return what a class itself has under a name; `running`: leave out what only type checkers see."""
    if name not in owner.members:
        overloads = tuple(_method(tree, each) for each in owner.overloads.get(name) or ())
        return replace(overloads[-1], overloads=overloads) if overloads else None
    thing = tree.step(owner, name)
    if isinstance(thing, str):
        path, line = tree.file_of(owner), tree.line_of(owner, name)
        return Value(name=name, owner=owner.name, path=path, line=line, opaque=True)
    if running and not thing.runtime:
        return None
    node = tree.node_of(thing)
    if isinstance(node, _Def):
        return _method(tree, thing)
    return _assigned(tree, owner, thing)


def _assigned(tree: Tree, owner: griffe.Class, thing: griffe.Object) -> Method | Value:
    """Return what a class has under a name that was given to something else than a definition there."""
    node = tree.node_of(thing)
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    if isinstance(value, ast.Lambda):
        receiver, parameters = _received(_parameters(tree, value.args, owner, frozenset()))
        return Method(
            name=thing.name, owner=owner.name, path=tree.file_of(thing), line=tree.line_of(thing),
            receiver=receiver, parameters=parameters, overloaded=True,
        )  # fmt: skip
    if isinstance(value, ast.Call) and (kind := _ENDINGS.get(tree.dotted(value.func) or "")) and value.args:
        wrapped = tree.lookup(owner, tree.dotted(value.args[0]) or "")
        if not isinstance(wrapped, str) and isinstance(tree.node_of(wrapped), _Def):
            return replace(_method(tree, wrapped, kind), writable=len(value.args) > 1)
    annotation = node.annotation if isinstance(node, ast.AnnAssign) else None
    scope = thing.parent or owner
    return Value(
        name=thing.name,
        owner=owner.name,
        path=tree.file_of(thing),
        line=tree.line_of(thing),
        on_class=thing.labels != {"instance-attribute"},
        opaque=isinstance(value, ast.Call | ast.Name | ast.Attribute | ast.IfExp | ast.Subscript),
        annotation=_written(annotation),
        type=None if annotation is None else tree.type_of(annotation, scope, frozenset()),
    )


def _method(tree: Tree, function: griffe.Object, kind: MethodKind | None = None) -> Method:
    """Return a definition as a method; `kind`: what a call such as `staticmethod(function)` makes of it."""
    node, scope = tree.node_of(function), function.parent
    assert isinstance(node, _Def)
    assert scope is not None
    names = set(_decorators(tree, node, scope))
    kind = kind or _kind(names)
    free = frozenset(t.name for t in (*scope.type_parameters, *getattr(node, "type_params", ())))
    written = _parameters(tree, node.args, scope, free)
    receiver, parameters = (None, tuple(written)) if kind is MethodKind.STATIC else _received(written)
    returns = node.returns
    head = returns.value if isinstance(returns, ast.Subscript) else returns
    return Method(
        name=function.name,
        owner=scope.name,
        path=tree.file_of(function),
        line=node.lineno,
        kind=kind,
        receiver=receiver,
        parameters=parameters,
        annotation=_written(returns),
        type=None if returns is None else tree.type_of(returns, scope, free),
        gives="" if head is None else (tree.type_of(head, scope, free) or "").partition("[")[0],
        is_async=isinstance(node, ast.AsyncFunctionDef),
        yields=_yields(node),
        manager=bool(names & _MANAGERS),
        abstract=bool(names & _ABSTRACT),
        stub=all(_is_nothing(statement) for statement in node.body),
        writable=getattr(function, "setter", None) is not None or any("cached" in name for name in names),
        overloaded=bool(names & _OVERLOAD or getattr(function, "overloads", None)),
    )


def _received(written: list[Parameter]) -> tuple[str | None, tuple[Parameter, ...]]:
    """Return the name of the parameter that takes self or cls, and what callers see behind it."""
    if not written or written[0].kind in {ParameterKind.KEYWORD_ONLY, ParameterKind.KEYWORD_REST}:
        return None, tuple(written)
    if written[0].kind is ParameterKind.REST:  # `def get(*args)` finds self among the rest
        return "", tuple(written)
    return written[0].name, tuple(written[1:])


def _written(node: ast.expr | None) -> str | None:
    if node is None:
        return None
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ast.unparse(node)


def _decorators(tree: Tree, node: _Def, scope: griffe.Module | griffe.Class) -> Iterator[str]:
    for decorator in node.decorator_list:
        name = tree.dotted(decorator.func if isinstance(decorator, ast.Call) else decorator) or ""
        if name.endswith((".setter", ".getter", ".deleter")):
            yield "property"
        elif name:
            yield tree.name_of(tree.lookup(scope, name))


def _kind(decorators: set[str]) -> MethodKind:
    """Return what decorators make of a method; a library's are known by their endings (`cached_property`)."""
    for ending, kind in _ENDINGS.items():
        if any(name.endswith(ending) for name in decorators):
            return kind
    return MethodKind.METHOD


def _parameters(
    tree: Tree, args: ast.arguments, scope: griffe.Module | griffe.Class, free: frozenset[str]
) -> list[Parameter]:
    positional = [*args.posonlyargs, *args.args]
    rows: list[tuple[ast.arg | None, ParameterKind, ast.expr | None]] = []
    for place, arg in enumerate(positional):
        kind = ParameterKind.POSITIONAL_ONLY if place < len(args.posonlyargs) else ParameterKind.EITHER
        behind = place - len(positional) + len(args.defaults)  # defaults belong to the last ones
        rows.append((arg, kind, args.defaults[behind] if behind >= 0 else None))
    rows.append((args.vararg, ParameterKind.REST, None))
    named = zip(args.kwonlyargs, args.kw_defaults, strict=True)
    rows += [(arg, ParameterKind.KEYWORD_ONLY, default) for arg, default in named]
    rows.append((args.kwarg, ParameterKind.KEYWORD_REST, None))
    return [
        Parameter(
            name=arg.arg,
            kind=kind,
            default=None if default is None else ast.unparse(default),
            value=None if default is None else tree.value_of(default, scope),
            annotation=_written(arg.annotation),
            type=None if arg.annotation is None else tree.type_of(arg.annotation, scope, free),
        )
        for arg, kind, default in rows
        if arg is not None
    ]


def _yields(node: _Def) -> bool:
    """Tell whether a function is a generator; what is defined inside of it does not count."""
    waiting: list[ast.AST] = [*node.body]
    while waiting:  # a loop: long sums are nested too deeply for a recursion
        inner = waiting.pop()
        if isinstance(inner, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(inner, _Def | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(inner))
    return False


def _is_nothing(statement: ast.stmt) -> bool:
    """Tell whether a statement does no work: a docstring, `...`, `pass`, or `raise NotImplementedError`."""
    if isinstance(statement, ast.Raise):
        raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
        return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"
    plain = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return plain or isinstance(statement, ast.Pass)
