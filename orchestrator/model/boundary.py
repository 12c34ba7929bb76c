"""Which paths a task may touch, and what of a change is out of bounds.

Judged on tree entries, so that renames, modes, links and submodules count, and nothing an agent does to its index,
its attributes or its `.gitmodules` can hide a path.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.model.finding import Severity, Violation
from orchestrator.model.globs import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.model.plan import Plan, Task

__all__ = [
    "Boundary",
    "Entry",
    "PathChange",
    "boundary_of",
    "control_part",
    "declared_entries",
    "forms_of",
    "twins_of",
    "violations_of",
]

_ABSENT, _LINK, _SUBMODULE = "000000", "120000", "160000"

_CONTROL_NAMES = frozenset(
    {
        ".gitattributes", ".gitmodules", ".mailmap", ".lfsconfig", ".git-blame-ignore-revs", "codeowners",
        ".gitlab-ci.yml", ".travis.yml", "jenkinsfile", "azure-pipelines.yml", ".pre-commit-config.yaml",
    }
)  # fmt: skip
_CONTROL_FOLDERS = frozenset(
    {".github", ".gitlab", ".circleci", ".buildkite", ".husky", ".githooks", ".ci", ".forgejo", ".gitea"}
)


class Entry(NamedTuple):
    """A tree entry that is no ordinary file: its path, its mode, and the name of what it holds."""

    path: str
    mode: str
    blob: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PathChange:
    """One path that differs from the base: modes and blobs on both sides, and where it points if it is a link now."""

    path: str
    old_mode: str
    new_mode: str
    new_blob: str
    link_target: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """What one task may write: its scope, less the contracts and the shared paths.

    `declared` are the links and submodules that the plan itself spells out, byte for byte, in a patch of a script task.
    """

    scope: Scope
    contracts: Scope
    shared: Scope
    declared: frozenset[Entry] = field(default=frozenset())

    def allows(self, path: str) -> bool:
        """Tell whether the task may write this path as an ordinary file."""
        return not self.against(path)

    def against(self, path: str) -> str:
        """Return why the task may not write this path as an ordinary file; empty if it may."""
        fault = _out_of_bounds(path, self)
        return fault[1] if fault else ""


def boundary_of(plan: Plan, task: Task, patches: Iterable[bytes] = ()) -> Boundary:
    """Return the boundary of a task; `patches` are those that its own steps apply."""
    return Boundary(
        scope=Scope(plan.owned(task)),
        contracts=Scope(plan.protected()[: len(plan.contracts.files)]),
        shared=Scope(plan.shared),
        declared=frozenset(entry for patch in patches for entry in declared_entries(patch)),
    )


def control_part(path: str) -> str | None:
    """Return the part of a path, at any depth, that makes git, a forge or a CI system take orders from it; else None."""
    *folders, name = path.lower().split("/")
    if name in _CONTROL_NAMES:
        return name
    return next((folder for folder in folders if folder in _CONTROL_FOLDERS), None)


def _named(path: str, part: str, scope: Scope) -> bool:
    """Tell whether a glob that matches the path spells the part out, so that the plan's author has thought of it."""
    patterns = (p for p in scope.patterns if not p.startswith("!"))
    return any(part in p.lower().replace("\\", "").split("/") and Scope((p,)).matches(path) for p in patterns)


def violations_of(changes: Iterable[PathChange], boundary: Boundary, *, where: str = "") -> tuple[Violation, ...]:
    """Return everything in a change that the task may not do; `where` is added to each message."""
    found = []
    for change in changes:
        for kind, message in _faults(change, boundary):
            found.append(Violation(kind=kind, path=change.path, message=message + where))
    return tuple(found)


def _faults(change: PathChange, boundary: Boundary) -> Iterable[tuple[str, str]]:
    if fault := _out_of_bounds(change.path, boundary):
        yield fault[0], f"{_deed(change)}, but {fault[1]}"
        return
    if Entry(change.path, change.new_mode, change.new_blob) in boundary.declared:
        return
    if _SUBMODULE in (change.old_mode, change.new_mode):
        if not (change.new_mode == _ABSENT and boundary.scope.names(change.path)):
            yield (
                "submodule",
                "a submodule (a commit of another repository) may not be added, moved or removed by an agent",
            )
    elif change.new_mode == _LINK and (why := _bad_link(change, boundary)):
        yield "symlink", why


def _out_of_bounds(path: str, boundary: Boundary) -> tuple[str, str] | None:
    if any(part.lower() == ".git" for part in path.split("/")):
        return "git-folder", "git's own folder is never part of a task's work"
    if boundary.contracts.matches(path):
        return "contract", "contracts are read-only for every task"
    if boundary.shared.matches(path):
        return "shared", "shared paths may be read by all and written by no task"
    if not boundary.scope.matches(path):
        allowed = ", ".join(boundary.scope.patterns) or "nothing"
        return "out-of-scope", f"the task may write {allowed}"
    if (part := control_part(path)) and not _named(path, part, boundary.scope):
        return "control-file", f"git or CI takes orders from it, so the scope must name {part} literally"
    return None


def _deed(change: PathChange) -> str:
    if change.old_mode == _ABSENT:
        return "adds this path"
    if change.new_mode == _ABSENT:
        return "deletes this path"
    if change.old_mode != change.new_mode:
        return f"changes this path's mode from {change.old_mode} to {change.new_mode}"
    return "edits this path"


def _bad_link(change: PathChange, boundary: Boundary) -> str:
    target = change.link_target or ""
    if target.startswith("/") or re.match(r"[A-Za-z]:", target):
        return f"links to the absolute path {target!r}, outside the repository"
    if ".." in target.lstrip("./").split("/"):
        return f"links to {target!r}: '..' after a folder may lead anywhere if that folder is a link"
    resolved = posixpath.normpath(posixpath.join(posixpath.dirname(change.path), target))
    if resolved == ".." or resolved.startswith("../"):
        return f"links to {target!r}, outside the repository"
    if not (boundary.scope.matches(resolved) or boundary.scope.matches(resolved + "/x")):
        return f"links to {target!r}, outside the task's scope"
    return (
        ""
        if boundary.allows(resolved) or boundary.allows(resolved + "/x")
        else f"links to {target!r}, which is protected"
    )


def forms_of(paths: Iterable[str]) -> dict[str, str]:
    """Return the form that all systems tell apart → path, for `twins_of`."""
    forms: dict[str, str] = {}
    for path in paths:
        forms.setdefault(_form(path), path)
    return forms


def twins_of(paths: Iterable[str], existing: Mapping[str, str]) -> tuple[Violation, ...]:
    """Warn of new paths that differ from an existing one only in letter case or Unicode form: some systems keep just one."""
    pairs = ((path, existing.get(_form(path), path)) for path in paths)
    return tuple(
        Violation(
            kind="twin-path",
            path=path,
            severity=Severity.WARNING,
            message=f"differs from {other} only in letter case or Unicode form; some file systems keep only one",
        )
        for path, other in pairs
        if path != other
    )


def _form(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


# `git diff --full-index --binary`: "new file mode 120000" (or "old mode"/"new mode", or the mode on the index line).
_NEW_MODE = re.compile(rb"(?:new file mode|new mode) (\d{6})")
_GONE_MODE = re.compile(rb"deleted file mode (\d{6})")
_INDEX = re.compile(rb"index [0-9a-f]+\.\.([0-9a-f]{40,64})(?: (\d{6}))?")


def declared_entries(patch: bytes) -> Iterable[Entry]:
    """Yield the links that a patch with full object names makes, and what it leaves where a submodule is or was."""
    path, mode, submodules = "", b"", set[str]()
    for line in patch.split(b"\n"):
        if line.startswith(b"diff --git "):
            path, mode = _patched_path(line), b""
        elif match := _NEW_MODE.fullmatch(line):
            mode = match[1]
        elif match := _GONE_MODE.fullmatch(line):
            mode = _ABSENT.encode("ascii")
            if match[1].decode("ascii") == _SUBMODULE:
                submodules.add(path)  # what replaces it is the next part of the patch
        elif match := _INDEX.fullmatch(line):
            final = (match[2] or mode).decode("ascii")
            if path and (final in (_LINK, _SUBMODULE) or path in submodules):
                yield Entry(path, final, match[1].decode("ascii"))


def _patched_path(line: bytes) -> str:
    """Return the path of a `diff --git a/P b/P` line without renames: both halves say the same."""
    rest = line.removeprefix(b"diff --git ")
    half = rest[: (len(rest) - 1) // 2]
    if half.startswith(b'"'):
        half = _unquote(half[1:-1])
    return half.removeprefix(b"a/").decode("utf-8", "surrogateescape")


_ESCAPES: Mapping[bytes, bytes] = {
    b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r", b'"': b'"', b"\\": b"\\",
}  # fmt: skip


def _unquote(quoted: bytes) -> bytes:
    """Undo git's C-style quoting of a path."""

    def one(match: re.Match[bytes]) -> bytes:
        return bytes([int(match[1], 8)]) if match[1] else _ESCAPES.get(match[2], match[2])

    return re.sub(rb"\\(?:([0-7]{3})|(.))", one, quoted)
