"""A real history as a plan: the first-parent commits of a range, one task a commit, each with one patch.

Running the plan on a clone at the range's start ends with exactly the tree of its end, however many agents work at once:
commits that touch a common path are ordered by `needs`, all others may run side by side.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import TypeAdapter, ValidationError

from orchestrator.errors import GitError, UsageError
from orchestrator.git import change, query
from orchestrator.model import globs
from orchestrator.model.plan_values import GlobText
from orchestrator.model.text import clean_text
from orchestrator.planfile.sources import MAX_SOURCE_BYTES
from orchestrator.planfile.yaml_text import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchestrator.git.command import Git
    from orchestrator.git.parse import CommitRecord

__all__ = ["plan_from_history"]

_GLOB_TEXT: TypeAdapter[str] = TypeAdapter(GlobText)
_UNUSUAL = re.compile(r"[^\w./-]")


class _Quoted(str):
    """Text that is always written in quotes, so that no reader takes a name such as `1e3` or `no` for something else."""

    __slots__ = ()


yaml.SafeDumper.add_representer(
    _Quoted, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"')
)


@dataclass(slots=True)
class _Touched:
    """Which task touched a path last, and which tasks touched something below a folder."""

    last: dict[str, str] = field(default_factory=dict)
    below: dict[str, set[str]] = field(default_factory=dict)

    def needs(self, paths: Iterable[str]) -> set[str]:
        """Return the earlier tasks that a change of these paths builds on: same path, or file where the other has a folder."""
        found = set()
        for path in paths:
            places = [path, *_folders(path)]
            found |= {self.last[place] for place in places if place in self.last}
            found |= self.below.get(path, set())
        return found

    def add(self, task: str, paths: Iterable[str]) -> None:
        """Remember that a task touches these paths."""
        for path in paths:
            self.last[path] = task
            for folder in _folders(path):
                self.below.setdefault(folder, set()).add(task)


def _folders(path: str) -> Iterator[str]:
    parts = path.split("/")
    return ("/".join(parts[:n]) for n in range(1, len(parts)))


def plan_from_history(git: Git, name: str, revisions: str, out: Path) -> int:
    """Write `plan.yaml` and its patches into a new folder, and return the number of tasks.

    The folder appears whole or not at all.

    Raises:
        UsageError: the range is no `A..B` of first-parent commits, no run could end with its tree, it is too large for a
            plan, or the folder is not empty or cannot be written.
    """
    base, records = _range(git, revisions)
    out = out.absolute()
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UsageError(f"{out} is not an empty folder.", hint="Name a new one with --out.")
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name[:50]}-", dir=out.parent) as staging:
            folder = Path(staging) / "plan"  # a folder of its own, for the usual permissions
            _write(git, name, base, records, folder)
            folder.replace(out.resolve())
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written: {error.strerror or error}.", hint="Name another one with --out."
        ) from error
    return len(records)


def _range(git: Git, revisions: str) -> tuple[str, tuple[CommitRecord, ...]]:
    older, dots, newer = revisions.partition("..")
    if not (older and dots and newer) or newer.startswith("."):
        raise UsageError(f"{revisions!r} is no range.", hint="Write it as A..B, such as v1.0..v1.1.")
    ends = [query.resolve(git, end) for end in (older, newer)]
    for text, commit in zip((older, newer), ends, strict=True):
        if commit is None:
            raise UsageError(f"There is no revision {text} in this repository.")
    base, head = (str(end) for end in ends)
    records = query.first_parents(git, base, head)
    if not records:
        raise UsageError(f"{revisions} holds no commit.", hint="Write the older end first.")
    if records[0].parents[:1] != (base,):
        raise UsageError(
            f"{older} is not among the first parents of {newer}, so the commits between them do not lead from one to the other.",
            hint=f"Use `git log --first-parent {newer}` to find a start.",
        )
    for text, end in ((older, base), (newer, head)):
        if not _is_plain(git, end):
            raise UsageError(
                f"The tree of {text} is not written as git writes it, so no run can end with exactly this range's tree.",
                hint="Another tool has left file modes or empty folders in it that git does not keep.",
            )
    return base, records


def _is_plain(git: Git, commit: str) -> bool:
    """Tell whether a tree, written anew from what it holds, is the same tree (a mode 100664 or an empty folder is lost)."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return change.rewritten_tree(git.at(index=Path(folder) / "index"), commit) == query.tree_of(git, commit)
        except GitError:  # it refuses a name such as `.git`
            return False


def _write(git: Git, name: str, base: str, records: tuple[CommitRecord, ...], folder: Path) -> None:
    (folder / "patches").mkdir(parents=True)
    touched, tasks = _Touched(), []
    for position, record in enumerate(records, start=1):
        before = record.parents[0]
        task_id = f"c{position}-{record.id[:12]}"
        paths = [c.path for c in query.changed_paths(git, before, record.id)]
        patch = query.patch_between(git, before, record.id)
        _refuse_more_than(MAX_SOURCE_BYTES, len(patch), f"The patch of {record.id[:12]}")
        (folder / "patches" / f"{task_id}.patch").write_bytes(patch)
        tasks.append(_task(task_id, record, paths, sorted(touched.needs(paths), key=_position)))
        touched.add(task_id, paths)
    _order_what_globs_confuse(tasks)
    plan: dict[str, Any] = {"version": 1, "name": name, "tasks": tasks}
    header = f"# {len(tasks)} first-parent commits as tasks; run it on a clone at {base}.\n"
    text = (header + yaml.dump(plan, Dumper=yaml.SafeDumper, allow_unicode=True, sort_keys=False, width=4096)).encode()
    _refuse_more_than(MAX_BYTES, len(text), "The plan of this range")
    (folder / "plan.yaml").write_bytes(text)


def _refuse_more_than(limit: int, size: int, what: str) -> None:
    if size > limit:
        raise UsageError(
            f"{what} would be {size / (1 << 20):.1f} MiB long; the limit is {limit >> 20} MiB.",
            hint="Choose a shorter range.",
        )


def _task(task_id: str, record: CommitRecord, paths: list[str], needs: list[str]) -> dict[str, Any]:
    subject = clean_text(record.message.partition("\n")[0])[:200]
    return {
        "id": _Quoted(task_id),
        "title": _Quoted(subject),
        "writes": [_Quoted(_glob(path)) for path in paths],
        "needs": [_Quoted(need) for need in needs],
        "attempts": 1,
        "steps": [{"patch": _Quoted(f"patches/{task_id}.patch")}],
    }


def _glob(path: str) -> str:
    """Return a glob for one path: its own if a plan can hold it, else one with `?` for some characters, else its folder's."""
    loose = _UNUSUAL.sub("?", path)
    for glob in (globs.escape(path), loose, *(f"{folder}/**" for folder in reversed([*_folders(loose)]))):
        try:
            return _GLOB_TEXT.validate_python(glob)
        except ValidationError:
            continue
    raise UsageError(f"No file system takes the name {path[:100]!r}…, so no run can write this file.")


def _position(task_id: str) -> int:
    return int(task_id[1:].partition("-")[0])


def _order_what_globs_confuse(tasks: list[dict[str, Any]]) -> None:
    """Order tasks whose globs meet although their paths do not: a `?` may match another task's path."""
    scopes = {str(t["id"]): globs.Scope([str(g) for g in t["writes"]]) for t in tasks}
    unsure = {name for name, scope in scopes.items() if scope.included.wild}
    if not unsure:
        return
    by_id = {str(t["id"]): t for t in tasks}
    for earlier, later, _ in globs.overlapping_pairs(scopes):
        if {earlier, later} & unsure and earlier not in by_id[later]["needs"]:
            by_id[later]["needs"].append(_Quoted(earlier))
