"""What a method promises to its callers, and where another method breaks the promise.

Names in types and defaults have been replaced by what they mean before they come here, so that text decides.
"""

from __future__ import annotations

import collections.abc
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from orchestrator.model.finding import ConflictKind, Severity, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Method", "MethodKind", "Parameter", "ParameterKind", "Value", "compare", "modern_name"]

_MODERN = {f"typing.{name}": f"collections.abc.{name}" for name in collections.abc.__all__} | {
    **{f"typing.{name}": name.lower() for name in ("Dict", "FrozenSet", "List", "Set", "Tuple", "Type")},
    **{f"typing.{name}": f"collections.{name}" for name in ("ChainMap", "Counter", "OrderedDict")},
    "typing.AbstractSet": "collections.abc.Set",
    "typing.AsyncContextManager": "contextlib.AbstractAsyncContextManager",
    "typing.ContextManager": "contextlib.AbstractContextManager",
    "typing.DefaultDict": "collections.defaultdict",
    "typing.Deque": "collections.deque",
    "typing.Text": "str",
}
_AWAITABLE = {"collections.abc.Awaitable", "collections.abc.Coroutine", "asyncio.Future", "asyncio.Task"}
_STREAM = frozenset(f"collections.abc.Async{name}" for name in ("Generator", "Iterable", "Iterator"))


def modern_name(name: str) -> str:
    """Return the one name of a thing that has several: `typing.List` is `list`, `builtins.int` is `int`."""
    name = name.replace("typing_extensions.", "typing.", 1).removeprefix("builtins.")
    return _MODERN.get(name, name)


class MethodKind(StrEnum):
    """What looking the name up on an object gives, in the words of a message."""

    METHOD = "an ordinary method"
    STATIC = "a static method"
    CLASS = "a class method"
    PROPERTY = "a property"


class ParameterKind(StrEnum):
    """How an argument may be passed, in the words of a message."""

    POSITIONAL_ONLY = "positional-only"
    EITHER = "positional or keyword"
    REST = "variadic positional"
    KEYWORD_ONLY = "keyword-only"
    KEYWORD_REST = "variadic keyword"


_MARKS = dict(zip(MethodKind, ("", "@staticmethod", "@classmethod", "@property"), strict=True))
_BY_PLACE = frozenset({ParameterKind.POSITIONAL_ONLY, ParameterKind.EITHER})
_STARS = {ParameterKind.REST: "*", ParameterKind.KEYWORD_REST: "**"}
_VARIADIC = frozenset(_STARS)
_BEFORE_KEYWORDS = frozenset({ParameterKind.KEYWORD_ONLY, ParameterKind.REST})
_CATCHERS = {
    ParameterKind.POSITIONAL_ONLY: {ParameterKind.REST},
    ParameterKind.EITHER: set(_VARIADIC),  # callers may pass it either way, so both must catch it
    ParameterKind.KEYWORD_ONLY: {ParameterKind.KEYWORD_REST},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter: `default` and `annotation` as written, `value` and `type` with names made comparable.

    `type` is None where nothing can be compared: not annotated, or dependent on a type variable.
    """

    name: str
    kind: ParameterKind = ParameterKind.EITHER
    default: str | None = None
    value: str | None = None
    annotation: str | None = None
    type: str | None = None

    def __str__(self) -> str:
        """Return it as it stands in a signature."""
        text = f"{_STARS.get(self.kind, '')}{self.name}" + (f": {self.annotation}" if self.annotation else "")
        return text + ("" if self.default is None else f"{' = ' if self.annotation else '='}{self.default}")

    @property
    def label(self) -> str:
        """The words a message uses for it."""
        return f"parameter '{_STARS.get(self.kind, '')}{self.name}'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A method as written: `owner` is the class it stands in, `receiver` its self ("" if among `*args`).

    `annotation` and `type` are the result's (see `Parameter`), `gives` is `type` without its arguments.
    `manager`: contextlib makes a context manager of it. `overloaded`: its own types say too little.
    `overloads` are given only where nothing but overloads is written.
    """

    name: str
    owner: str
    path: str
    line: int
    kind: MethodKind = MethodKind.METHOD
    receiver: str | None = "self"
    parameters: tuple[Parameter, ...] = ()
    annotation: str | None = None
    type: str | None = None
    gives: str = ""
    is_async: bool = False
    yields: bool = False
    manager: bool = False
    abstract: bool = False
    stub: bool = False
    writable: bool = False
    overloaded: bool = False
    overloads: tuple[Method, ...] = ()

    def __str__(self) -> str:
        """Return the first line of its definition, without the colon."""
        manager = "@asynccontextmanager" if self.is_async else "@contextmanager"
        marks = [_MARKS[self.kind], manager if self.manager else ""]
        words = [*marks, "async" if self.is_async else "", "def"]
        parts = [self.receiver] if self.receiver else []
        kinds = [p.kind for p in self.parameters]
        for place, parameter in enumerate(self.parameters):
            before = kinds[place - 1] if place else None
            if before is ParameterKind.POSITIONAL_ONLY and parameter.kind is not before:
                parts.append("/")
            if parameter.kind is ParameterKind.KEYWORD_ONLY and before not in _BEFORE_KEYWORDS:
                parts.append("*")
            parts.append(str(parameter))
        if kinds and kinds[-1] is ParameterKind.POSITIONAL_ONLY:
            parts.append("/")
        result = f" -> {self.annotation}" if self.annotation else ""
        return f"{' '.join(filter(None, words))} {self.name}({', '.join(parts)}){result}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A name of a class that is no method; `on_class`: not only its instances'; `opaque`: may be callable."""

    name: str
    owner: str
    path: str
    line: int
    on_class: bool = True
    opaque: bool = False
    annotation: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A method of the contract, what is offered for it, and who offers it (`AuthService.login`)."""

    contract: Method
    offered: Method | Value
    who: str

    def says(
        self, kind: str, text: str, *, warning: bool = False, conflict: ConflictKind = ConflictKind.SEMANTIC
    ) -> Violation:
        return Violation(
            kind=kind,
            path=self.offered.path,
            line=self.offered.line,
            message=f"{self.who}: {text}; the contract says {self.contract}",
            severity=Severity.WARNING if warning else Severity.ERROR,
            conflict=conflict,
        )

    def annotation(
        self, what: str, wanted: Parameter | Method, given: Parameter | Method | Value
    ) -> Iterator[Violation]:
        if wanted.type in {None, given.type} or (given.annotation is not None and given.type is None):
            return
        if given.annotation is None:
            text = f"{what} is not written down; annotate it as {wanted.annotation}"
        elif given.annotation == wanted.annotation:
            text = f"{what} is another {given.annotation} ({given.type}), not the contract's ({wanted.type})"
        else:
            text = f"{what} is {given.annotation} here, in the contract {wanted.annotation}; make them agree"
        yield self.says("annotation", text, warning=True)


def compare(contract: Method, offered: Method | Value, *, who: str, inherits: bool) -> tuple[Violation, ...]:
    """Return where what is offered under the name of a contract's method breaks it, and what to do about it.

    `who` names the implementing class and the method; `inherits`: the class derives from the interface.
    Several overloads of a contract without a common definition must each be served.
    """
    found: list[Violation] = []
    for variant in contract.overloads or (contract,):
        case = _Case(contract=variant, offered=offered, who=who)
        if isinstance(offered, Method):
            found.extend(_method(case, offered))
        else:
            found.extend(_value(case, offered, inherits=inherits))
    return tuple(dict.fromkeys(found))


def _value(case: _Case, offered: Value, *, inherits: bool) -> Iterator[Violation]:
    contract = case.contract
    if contract.kind is not MethodKind.PROPERTY:
        how = "cannot be seen to be a method" if offered.opaque else "is an attribute, not a method"
        text = f"{contract.name} {how}; write it as a def"
        yield case.says("not-a-method", text, warning=offered.opaque, conflict=ConflictKind.STRUCTURAL)
    elif inherits and not offered.on_class:
        text = f"{contract.name} is only set on instances, where the inherited property stands in its way"
        yield case.says("method-kind", f"{text}; write it as a property")
    elif offered.annotation is not None:
        yield from case.annotation("the type", contract, offered)


def _method(case: _Case, offered: Method) -> Iterator[Violation]:
    contract = case.contract
    if offered.kind is not contract.kind:
        yield case.says("method-kind", f"it must be {contract.kind.value} and is {offered.kind.value}")
    elif contract.kind is MethodKind.PROPERTY:
        if contract.writable and not offered.writable:
            yield case.says("method-kind", f"the property must also be settable; add @{contract.name}.setter")
        yield from _returns(case, offered)
    elif offered.receiver is None and contract.receiver is not None:
        yield case.says("method-kind", f"it takes no {contract.receiver}; add it as the first parameter")
    else:
        yield from _async(case, offered)
        yield from _parameters(case, offered)
        yield from _returns(case, offered)
    if offered.abstract:
        text = "it is still marked abstract; write it and remove the mark"
        yield case.says("stub-body", text, conflict=ConflictKind.STRUCTURAL)
    elif offered.stub:
        text = "it has no body; write it (if doing nothing is right, with an explicit return)"
        yield case.says("stub-body", text, conflict=ConflictKind.STRUCTURAL)


def _async(case: _Case, offered: Method) -> Iterator[Violation]:
    contract = case.contract
    wanted, given = (m.is_async and not m.manager for m in (contract, offered))
    if wanted and given:
        # A bodiless `async def f() -> AsyncIterator[T]` often stands for one with yield: both will do.
        if offered.yields and not contract.yields and contract.gives not in _STREAM | {"", "typing.Any"}:
            yield case.says("async", "callers await it, so it must return its result and not yield")
        elif contract.yields and not offered.yields:
            yield case.says("async", "callers iterate over it with async for, so it must yield")
    elif wanted and offered.gives not in (_STREAM if contract.yields else _AWAITABLE):
        yield case.says("async", f"it must be async def; callers of {contract.owner} await it")
    elif given and (contract.manager or contract.gives not in (_STREAM if offered.yields else _AWAITABLE)):
        yield case.says("async", f"it must be a plain def; callers of {contract.owner} do not await it")


def _returns(case: _Case, offered: Method) -> Iterator[Violation]:
    contract = case.contract
    alike = contract.is_async is offered.is_async and not (contract.manager or offered.manager)
    if alike and not contract.overloaded and not offered.overloaded:
        yield from case.annotation("the return type", contract, offered)


def _parameters(case: _Case, offered: Method) -> Iterator[Violation]:
    contract = case.contract
    pairs, renamed, extra = _match(contract.parameters, offered.parameters)
    kinds = {p.kind for p in offered.parameters}
    for wanted in contract.parameters:
        if (new := renamed.get(wanted.name)) is not None:
            text = f"{wanted.label} of {contract.owner} is called '{new.name}' here; rename it"
            yield case.says("param-missing", text)
        elif (given := pairs.get(wanted.name)) is not None:
            yield from _pair(case, wanted, given, annotations=not (contract.overloaded or offered.overloaded))
        elif wanted.name == offered.receiver:
            yield case.says("param-missing", f"{wanted.label} stands where self belongs; add self before it")
        elif _CATCHERS.get(wanted.kind, _VARIADIC) <= kinds:
            text = f"{wanted.label} of {contract.owner} is only caught by a variadic parameter; name it"
            yield case.says("param-missing", text, warning=True)
        else:
            yield case.says("param-missing", f"{wanted.label} of {contract.owner} is missing")
    for unasked in extra:
        if unasked.default is None:
            text = f"{unasked.label} is not in {contract.owner} and has no default; give it one or remove it"
            yield case.says("param-extra-required", text)
    yield from _order(case, offered.parameters, pairs | renamed, extra)


_Pairs = dict[str, Parameter]  # by the contract's name, the parameter of the implementation


def _match(contract: Sequence[Parameter], offered: Sequence[Parameter]) -> tuple[_Pairs, _Pairs, list[Parameter]]:
    """Return the pairs, those under another name, and what else is offered (variadics aside)."""
    free = {p.name: p for p in offered if p.kind not in _VARIADIC}
    by_place = [p.name for p in offered if p.kind in _BY_PLACE]
    names = {p.name for p in contract if p.kind not in _VARIADIC}
    pairs: _Pairs = {}
    renamed: _Pairs = {}
    for place, p in enumerate(contract):
        at = by_place[place] if place < len(by_place) else ""
        if p.kind in _VARIADIC:
            pairs.update((p.name, q) for q in offered if q.kind is p.kind)
        elif p.kind is ParameterKind.POSITIONAL_ONLY and at in free and at not in names - {p.name}:
            pairs[p.name] = free.pop(at)  # callers never name it, so the implementation may choose the name
        elif p.name in free:
            pairs[p.name] = free.pop(p.name)
    for place, p in enumerate(contract):
        at = by_place[place] if place < len(by_place) else ""
        if p.name not in pairs and p.kind is ParameterKind.EITHER and at in free:
            renamed[p.name] = free.pop(at)
    lost = [p.name for p in contract if p.kind is ParameterKind.KEYWORD_ONLY and p.name not in pairs]
    new = [p.name for p in free.values() if p.kind is ParameterKind.KEYWORD_ONLY]
    if len(lost) == len(new) == 1:
        renamed[lost[0]] = free.pop(new[0])
    return pairs, renamed, list(free.values())


def _pair(case: _Case, wanted: Parameter, given: Parameter, *, annotations: bool) -> Iterator[Violation]:
    only = ParameterKind.POSITIONAL_ONLY
    if given.kind is not wanted.kind and not (wanted.kind is only and given.kind is ParameterKind.EITHER):
        yield case.says("param-kind", f"{wanted.label} must be {wanted.kind.value} and is {given.kind.value}")
    if wanted.default is not None and given.default is None:
        yield case.says("param-default", f"{wanted.label} must have the default {wanted.default}")
    elif wanted.default not in {None, "..."} and given.value != wanted.value:
        text = f"{wanted.label} must default to {wanted.default} and defaults to {given.default}"
        yield case.says("param-default", text)
    if annotations:
        yield from case.annotation(f"the type of {wanted.label}", wanted, given)


def _order(case: _Case, offered: Sequence[Parameter], pairs: _Pairs, extra: Sequence[Parameter]) -> Iterator[Violation]:
    places = {p.name: place for place, p in enumerate(offered)}
    sorts = _BY_PLACE | {ParameterKind.REST}
    wanted = [p.name for p in case.contract.parameters if p.name in pairs and pairs[p.name].kind in sorts]
    taken = [places[pairs[name].name] for name in wanted]
    if taken != sorted(taken):
        yield case.says("param-order", f"put the parameters in the order {', '.join(wanted)}")
        return
    for p in extra:
        if p.kind in _BY_PLACE and p.default is not None and places[p.name] < max(taken, default=-1):
            text = f"{p.label} stands before parameters of the contract; move it behind them"
            yield case.says("param-order", text)
