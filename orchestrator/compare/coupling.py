"""Static coupling: how much of the work reads or writes what other parts of it establish, told from texts before a run. Pure."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from orchestrator.model.globs import Scope
from orchestrator.model.plan_steps import StreamFile, WriteFile, each_step
from orchestrator.model.todo_markers import markers
from orchestrator.model.together import parts_of
from orchestrator.syntax import ecmascript, python
from orchestrator.syntax.globals import in_ecmascript, in_python
from orchestrator.syntax.parse import inside, parse, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tree_sitter import Node

    from orchestrator.model.plan import ContractFile, Plan, Task
    from orchestrator.model.plan_steps import FileText, Step
    from orchestrator.planfile import LoadedPlan
    from orchestrator.syntax.parse import Parsed
    from orchestrator.syntax.scopes import Names

__all__ = ["Link", "StaticCoupling", "coupling_in_file", "coupling_lines", "coupling_of_parts", "coupling_of_plan"]

_NEEDS = "needs"
_SHOWN = 5
_ENDINGS = (".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".cts", "/index.ts", "/index.tsx", "/index.js")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Link:
    """`part` uses or declares `name`, which `of` establishes as well; a declared `needs` where there is no text yet."""

    part: str
    of: str
    name: str

    def __str__(self) -> str:
        """What a person is told."""
        return f"{self.part} needs {self.of}" if self.name == _NEEDS else f"{self.part} uses {self.name} of {self.of}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticCoupling:
    """The parts of some work, and what of others each of them uses."""

    parts: tuple[str, ...]
    links: tuple[Link, ...]

    @property
    def coupled(self) -> tuple[str, ...]:
        """The parts that use what another one establishes, in order."""
        found = {link.part for link in self.links}
        return tuple(part for part in self.parts if part in found)

    @property
    def share(self) -> float | None:
        """The share of parts that are coupled, from 0 to 1; None for fewer than two parts."""
        return len(self.coupled) / len(self.parts) if len(self.parts) > 1 else None

    def line(self) -> str:
        """Return what a person is told; empty if there is nothing to tell."""
        if self.share is None:
            return ""
        start = f"Coupling: {len(self.coupled)} of {len(self.parts)} parts"
        if not self.links:
            return f"{start} use what another one establishes."
        shown = ", ".join(map(str, self.links[:3]))
        more = f", and {len(self.links) - 3} more" if len(self.links) > 3 else ""
        return f"{start} use what another one establishes ({shown}{more})."


def coupling_of_plan(loaded: LoadedPlan, texts: Mapping[str, str]) -> StaticCoupling:
    """Return the coupling of a plan's parts: its tasks, or their TODOs where a script says what is written for each.

    What a part writes is known if a script writes it; otherwise it is what stands in its scope now: `texts` holds the
    repository's files by path, as far as they are known. A task of which nothing is known counts by its `needs`.
    """
    plan = loaded.plan
    pieces: dict[str, dict[str, str]] = {}
    declared: list[Link] = []
    scripted = {task.id for task in plan.tasks if any(_written(task.steps, loaded.sources))}
    for part in parts_of(plan):
        if part.task in scripted and (text := _joined(_written(part.steps, loaded.sources))):
            pieces[part.id] = text
    for task in plan.tasks:
        if task.id not in scripted:
            pieces[task.id] = _in_scope(plan, task, texts)
            declared += [Link(part=task.id, of=need, name=_NEEDS) for need in task.needs if not pieces[task.id]]
    found = coupling_of_parts(pieces)
    return StaticCoupling(parts=found.parts, links=tuple(sorted({*found.links, *declared})))


def coupling_lines(loaded: LoadedPlan, texts: Mapping[str, str]) -> list[str]:
    """Return what a person is told before a run: of the plan, and of each file that has several open places."""
    begun = {path: _text(file, loaded.sources) for path, file in loaded.plan.crdt.files.items()}
    files = {path: coupling_in_file(path, text) for path, text in {**texts, **begun}.items()}
    inside = [f"{path}: {found.line()}" for path, found in sorted(files.items()) if found.line()]
    more = [f"… and {len(inside) - _SHOWN} more files with open places."] if len(inside) > _SHOWN else []
    whole = coupling_of_plan(loaded, texts).line()
    return [*([whole] if whole else []), *inside[:_SHOWN], *more]


def coupling_in_file(path: str, text: str) -> StaticCoupling:
    """Return the coupling of the places in a file that stand open, from one comment `TODO:Name …` to the next.

    A place establishes its own name and what is declared in its code; it uses what its code, or its comment, names.
    """
    found = markers(text)
    ends = [*(marker.start for marker in found[1:]), len(text)]
    sections = {m.name: (m.text, text[m.end : end]) for m, end in zip(found, ends, strict=False)}
    parsed = {name: parse(path, code) for name, (_, code) in sections.items()}
    own = {name: {name, *(_declared(code) if code else ())} for name, code in parsed.items()}
    links = set()
    for name, (told, _) in sections.items():
        code = parsed[name]
        used = {word.strip(".,:;()`'\"") for word in told.split()} | (
            {use for use, _ in _unresolved(code)} if code else set()
        )
        links |= {
            Link(part=name, of=other, name=word)
            for other, names in own.items()
            if other != name
            for word in names & used
        }
    return StaticCoupling(parts=tuple(sections), links=tuple(sorted(links)))


def coupling_of_parts(pieces: Mapping[str, Mapping[str, str]]) -> StaticCoupling:
    """Return the coupling of parts, each given by the texts that it writes, by path.

    Two parts of one file are coupled if one uses, or also declares, a name that the other declares; parts of different
    files, if one imports a file of the other. Python, JavaScript and TypeScript are read; of other languages nothing is known.
    """
    writers: dict[str, list[str]] = {}
    for part, files in pieces.items():
        for path in files:
            writers.setdefault(path, []).append(part)
    parsed = {(part, path): parse(path, text) for part, files in pieces.items() for path, text in files.items()}
    links: set[Link] = set()
    for (part, path), code in parsed.items():
        if code is not None:
            for name, target in _imported(path, code, writers.keys()):
                links |= {
                    Link(part=part, of=other, name=name) for other in writers[target] if part not in writers[target]
                }
    for path, parts in writers.items():
        codes = [(part, code) for part in parts if (code := parsed[part, path]) is not None]
        links |= set(_within(codes))
    return StaticCoupling(parts=tuple(pieces), links=tuple(sorted(links)))


def _within(codes: list[tuple[str, Parsed]]) -> Iterator[Link]:
    """Yield the links between parts of one file."""
    declared = {part: _declared(code) for part, code in codes}
    used = {part: {name for name, _ in _unresolved(code)} for part, code in codes}
    for one, other in combinations(declared, 2):
        for a, b in ((one, other), (other, one)):
            yield from (Link(part=a, of=b, name=name) for name in declared[b] & (used[a] | declared[a]))


def _declared(code: Parsed) -> set[str]:
    """Return the names that a text declares for its whole file; what it imports is somebody else's."""
    names = _names(code).scopes[0].names
    return {name for name, bindings in names.items() if any(b.kind != "import" for b in bindings)}


def _unresolved(code: Parsed) -> Iterator[tuple[str, Node]]:
    return _names(code).unresolved(in_python if code.language == "python" else in_ecmascript)


def _names(code: Parsed) -> Names:
    return python.names_of(code) if code.language == "python" else ecmascript.names_of(code)


def _imported(path: str, code: Parsed, known: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each import that leads to one of the known files, with that file."""
    files = set(known)
    for node in inside(code.root):
        targets = _python_targets(path, node) if code.language == "python" else _ecmascript_targets(path, node)
        for name, candidates in targets:
            if (target := next((c for c in candidates if c in files), None)) is not None:
                yield name, target


def _python_targets(path: str, node: Node) -> Iterator[tuple[str, list[str]]]:
    if node.type == "import_statement":
        for child in node.children_by_field_name("name"):
            module = text_of(child.child_by_field_name("name") or child)
            yield module, _module_files(module.replace(".", "/"))
    elif node.type == "import_from_statement":
        module = text_of(node.child_by_field_name("module_name"))
        dots = len(module) - len(module.lstrip("."))
        above = "/".join(path.split("/")[:-dots]) if dots else ""
        below = posixpath.join(above, module.lstrip(".").replace(".", "/")).strip("/")
        names = [text_of(child.child_by_field_name("name") or child) for child in node.children_by_field_name("name")]
        for name in names or [""]:
            inner = _module_files(f"{below}/{name}".strip("/")) if name else []
            yield module.lstrip(".") or name, [*inner, *_module_files(below)]


def _module_files(place: str) -> list[str]:
    return [f"{root}{place}{end}" for root in ("", "src/") for end in (".py", ".pyi", "/__init__.py")] if place else []


def _ecmascript_targets(path: str, node: Node) -> Iterator[tuple[str, list[str]]]:
    if node.type in {"import_statement", "export_statement"} and (source := node.child_by_field_name("source")):
        name = text_of(source).strip("'\"")
        if name.startswith("."):
            place = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
            bare = posixpath.splitext(place)[0] if place.endswith((".js", ".jsx", ".mjs", ".cjs")) else place
            yield name, [place, *(f"{bare}{end}" for end in _ENDINGS)]


def _written(steps: Iterable[Step], sources: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """Yield what a script writes: paths and texts; what several attempts write instead of each other counts once, as first."""
    seen = set()
    for where, step in each_step(tuple(steps)):
        if isinstance(step, WriteFile | StreamFile):
            file = step.write if isinstance(step, WriteFile) else step.stream
            again = "when" in where and (file.path, "when") in seen
            seen.add((file.path, "when" if "when" in where else ""))
            if not again:
                yield file.path, _text(file, sources)


def _text(file: FileText | ContractFile, sources: Mapping[str, bytes]) -> str:
    return file.text if file.text is not None else sources[file.source or ""].decode("utf-8", "replace")


def _joined(written: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path, text in written:
        found[path] = f"{found[path]}\n{text}" if path in found else text
    return found


def _in_scope(plan: Plan, task: Task, texts: Mapping[str, str]) -> dict[str, str]:
    scope = Scope(plan.owned(task))
    return {path: text for path, text in texts.items() if scope.matches(path)}
