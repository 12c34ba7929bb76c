"""Whatever a contract says, an implementation rendered from it keeps it, and one change of it does not."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checks import CONTRACT, WORK, Files, check, class_text

BY_PLACE, EITHER, REST, NAMED, NAMED_REST = range(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg:
    name: str
    sort: int
    default: int | None = None

    def __str__(self) -> str:
        stars = {REST: "*", NAMED_REST: "**"}.get(self.sort, "")
        return f"{stars}{self.name}" + ("" if self.default is None else f"={self.default}")


END = Arg(name="", sort=9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    args: tuple[Arg, ...]
    is_async: bool
    static: bool = False
    body: str = "return 1"

    def __str__(self) -> str:
        words = [] if self.static else ["self"]
        for arg, after in zip(self.args, (*self.args[1:], END), strict=False):
            if arg.sort == NAMED and not any(str(a) in words for a in self.args if a.sort in {REST, NAMED}):
                words.append("*")
            words.append(str(arg))
            if arg.sort == BY_PLACE != after.sort:
                words.append("/")
        mark = "@staticmethod\n" if self.static else ""
        return f"{mark}{'async ' * self.is_async}def run({', '.join(words)})"

    def changed(self, place: int, *args: Arg) -> Spec:
        return replace(self, args=(*self.args[:place], *args, *self.args[place + 1 :]))


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    sorts = sorted(draw(st.lists(st.sampled_from([BY_PLACE, EITHER, NAMED]), max_size=5)))
    sorts = sorted([*sorts, *draw(st.sets(st.sampled_from([REST, NAMED_REST])))])
    names = draw(st.permutations("abcdefgh"))
    optional = draw(st.integers(0, len(sorts)))  # from here on, parameters by place have a default
    args = []
    for place, (name, sort) in enumerate(zip(names, sorts, strict=False)):
        has_default = draw(st.booleans()) if sort == NAMED else sort < REST and place >= optional
        args.append(Arg(name=name, sort=sort, default=place if has_default else None))
    return Spec(args=tuple(args), is_async=draw(st.booleans()))


def mutations(spec: Spec) -> list[tuple[str, Spec | None]]:
    """Every way to break a promise once, with the kind it must be found as."""
    found: list[tuple[str, Spec | None]] = [
        ("missing-method", None),
        ("async", replace(spec, is_async=not spec.is_async)),
        ("method-kind", replace(spec, static=True)),
        ("stub-body", replace(spec, body="...")),
    ]
    end = len([a for a in spec.args if a.sort < NAMED_REST])
    new = (*spec.args[:end], Arg(name="z", sort=NAMED), *spec.args[end:])
    found.append(("param-extra-required", replace(spec, args=new)))
    seen_default = False
    for place, arg in enumerate(spec.args):
        after = spec.args[place + 1] if place + 1 < len(spec.args) else END
        found.append(("param-missing", spec.changed(place)))
        if arg.sort in {EITHER, NAMED}:
            found.append(("param-missing", spec.changed(place, replace(arg, name="z"))))
        if arg.default is not None:
            found.append(("param-default", spec.changed(place, replace(arg, default=99))))
            if arg.sort == NAMED or not seen_default:
                found.append(("param-default", spec.changed(place, replace(arg, default=None))))
            seen_default = True
        if arg.sort == after.sort == EITHER and arg.default is after.default is None:
            found.append(("param-order", spec.changed(place, after, arg).changed(place + 2)))
        if arg.sort == EITHER and after.sort >= NAMED:
            found.append(("param-kind", spec.changed(place, replace(arg, sort=NAMED))))
    return found


@given(specs(), st.data())
@settings(max_examples=80, deadline=None)
def test_one_change_of_a_rendered_implementation_is_found(spec: Spec, data: st.DataObject) -> None:
    def files(work: Spec | None) -> Files:
        given = class_text("class Store:", str(work), work.body) if work else "class Store: ..."
        return {CONTRACT: class_text("class IStore:", str(spec), "..."), WORK: given}

    assert check(files(spec)) == ()
    kind, broken = data.draw(st.sampled_from(mutations(spec)))
    found = check(files(broken))
    assert kind in {v.kind for v in found}
    assert all(v.message.endswith(f"; the contract says {spec}") for v in found)
