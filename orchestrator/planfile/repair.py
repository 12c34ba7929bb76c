"""Finding every wrong value at once: judge, take out the smallest faulty parts, judge the rest again.

A fault hides those around it (a task that cannot be read has no scope to compare), and it also makes others up (a key
that was taken out is missing). So what stands at or around a part that was reported is never reported again, and `Gaps`
tells the rules about the whole plan what they must leave open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from orchestrator.model.plan import Plan
from orchestrator.model.plan_problem import Gaps
from orchestrator.model.plan_steps import STEP_NAMES
from orchestrator.planfile import sentences
from orchestrator.planfile.draft import Draft
from orchestrator.planfile.schema import shape_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

    from orchestrator.planfile.yaml_text import Path
    from orchestrator.planfile.yaml_tree import Tree

__all__ = ["Finding", "Repair"]

_MAX_PASSES = 12
_MAX_ERRORS = 2000  # beyond them the file is something else than a plan, and what remains of it means nothing

# Parts that are nothing in part: with one glob gone the scope is another scope.
_WHOLE = (("tracks", None), ("agents", None), ("shared",), ("tasks", None, "writes"))
# What stands in for a part that must be there, so that the others can be judged.
_STAND_INS: dict[Path, object] = {
    ("version",): 1,
    ("name",): "unnamed",
    ("tasks",): ({"id": "unknown", "writes": (), "steps": ()},),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One wrong value; line and column count from 1, `path` leads to it in the file."""

    line: int
    column: int
    path: Path
    message: str


class Repair:
    """Judges a tree's values and keeps what is left of them.

    After `run`, `findings` are all faults, `plan` is what remains (None if nothing does), `gaps` is what was lost.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.draft = Draft(tree)
        self.plan: Plan | None = None
        self.findings: list[Finding] = []
        self._settled: set[Path] = set()  # paths at or around something reported
        self._hopeless = False

    def run(self) -> None:
        """Judge until nothing is wrong any more, or nothing can be taken out."""
        for fault in self.tree.faults:
            self.findings.append(Finding(line=fault.line, column=fault.column, path=fault.path, message=fault.message))
            if fault.lost is not None:
                self._settle(fault.path)
                self._lose(fault.lost)
        for _ in range(_MAX_PASSES):
            if self._hopeless:
                return
            edits = self.draft.edits
            try:
                self.plan = Plan.model_validate(self.draft.value())
            except ValidationError as error:
                self._take(error.errors(include_url=False, include_input=False))
            if self.plan or self.draft.edits == edits:
                return

    def gaps(self) -> Gaps:
        """Return what the file holds and the plan does not."""
        tasks, tracks, agents, fields = set[str](), set[str](), set[str](), set[tuple[str, str]]()
        protected = False
        named = self._named_by_tasks()
        for path in self.draft.touched:
            match self.draft.meant(path):
                case ("tasks", int()):
                    tasks.add(self._task_id(path))
                case ("tasks", int(), str() as key, *_):
                    fields.add((self._task_id(path[:2]), key))
                case ("tracks", *name):
                    tracks.update(map(str, name) if name else named["track"])
                case ("agents", *name):
                    agents.update(map(str, name) if name else named["agent"])
                case ("tasks",):
                    tasks |= named["task"]
                case ("shared",) | ("contracts",) | ("contracts", "files"):
                    protected = True
                case ("contracts", "files", _) if not self.draft.replaced(path):
                    protected = True
        return Gaps(
            tasks=frozenset(tasks), tracks=frozenset(tracks), agents=frozenset(agents), fields=frozenset(fields),
            protected=protected,
        )  # fmt: skip

    def _named_by_tasks(self) -> dict[str, set[str]]:
        tasks = self.plan.tasks if self.plan else ()
        promises = self.plan.contracts.implementations if self.plan else ()
        return {
            "track": {task.track for task in tasks if task.track is not None},
            "agent": {task.agent for task in tasks},
            "task": {promise.task for promise in promises},
        }

    def _task_id(self, task: Path) -> str:
        """Return the id that the author wrote, fit or not; empty if there is none."""
        node = next((self.tree.node(path) for path in self._keys(task) if self.draft.meant(path)[-1] == "id"), None)
        return (node.written or str(node.content)) if node else ""

    def _keys(self, mapping: Path) -> Iterator[Path]:
        node = self.tree.node(mapping)
        if node and isinstance(node.content, dict):
            yield from ((*mapping, key) for key in node.content)

    # --- one pass -----------------------------------------------------------------------------------------------------

    def _take(self, errors: list[ErrorDetails]) -> None:
        """Report the errors of one pass and take the faulty parts out."""
        if len(errors) > _MAX_ERRORS:
            self._hopeless = True
        located = [(self.draft.origin(_where(error)), error) for error in errors]
        around = {path[:end] for path, _ in located for end in range(len(path))}
        settled = frozenset(self._settled)
        for path, error in located:
            if _at_key(error):
                self._report(path, sentences.wrong_value(error, None, None), self.tree.key_place(path))
                self.draft.drop(path)
            elif path not in around:  # otherwise such as a list that is too short without its faulty entry
                self._judge(path, error, known=path in settled)

    def _judge(self, path: Path, error: ErrorDetails, *, known: bool) -> None:
        """Report one error unless it is known, and take the faulty part out."""
        match error["type"]:
            case "extra_forbidden":
                self._unknown_key(path, known=known)
            case "unknown_step":
                self._unknown_step(path, known=known)
            case "missing":
                if not known and not self._misspelt(path):
                    shape = shape_at(self.draft.meant(path))
                    self._report(path, sentences.missing_key(str(path[-1]), shape), self.tree.value_place(path[:-1]))
                self._lose(path)
            case _:
                if not known:
                    node, shape = self.tree.node(path), shape_at(self.draft.meant(path))
                    self._report(path, sentences.wrong_value(error, node, shape), self.tree.value_place(path))
                self._lose(path)

    def _unknown_key(self, path: Path, *, known: bool) -> None:
        key, around = str(path[-1]), shape_at(self.draft.meant(path[:-1]))
        meant = self._meant_key(path)
        if not known:
            sentence = sentences.unknown_key(key, around, self._taken(path[:-1]))
            self._report(path, sentence, self.tree.key_place(path), settle=meant is None)
        if meant:
            self.draft.rename(path, meant)
        else:
            self.draft.drop(path)

    def _unknown_step(self, path: Path, *, known: bool) -> None:
        node = self.tree.node(path)
        keys = tuple(node.content) if node and isinstance(node.content, dict) else ()
        meant = sentences.nearest(str(keys[0]), STEP_NAMES) if len(keys) == 1 else None
        if not known:
            place = self.tree.value_place(path)
            self._report(path, sentences.unknown_step(node, STEP_NAMES), place, settle=meant is None)
        if meant:
            self.draft.rename((*path, str(keys[0])), meant)
        else:
            self._lose(path)

    def _meant_key(self, path: Path) -> str | None:
        """Return the key that an unknown one was meant to be, if that one is not there itself."""
        shape = shape_at(self.draft.meant(path[:-1]))
        if shape is None or shape.one_key_each:
            return None
        near = sentences.nearest(str(path[-1]), shape.keys)
        return near if near not in self._taken(path[:-1]) else None

    def _taken(self, mapping: Path) -> frozenset[str]:
        """Return the keys that stand in a mapping, as they are read."""
        return frozenset(str(self.draft.meant(key)[-1]) for key in self._keys(mapping))

    def _misspelt(self, path: Path) -> bool:
        """Tell whether a key that is missing stands there in another spelling."""
        return any(self._meant_key(other) == path[-1] for other in self._keys(path[:-1]))

    # --- what is left -------------------------------------------------------------------------------------------------

    def _lose(self, path: Path) -> None:
        """Take out the smallest part around a fault that can be spared."""
        meant = self.draft.meant(path)
        for whole in _WHOLE:
            if len(path) >= len(whole) and all(part in {None, meant[at]} for at, part in enumerate(whole)):
                self.draft.drop(path[: len(whole)])
                return
        if meant[:2] == ("contracts", "files") and len(path) > 2:
            self.draft.put(path[:3], "")  # the path stays protected
            return
        while path:
            if self.draft.meant(path) in _STAND_INS:
                self.draft.put(path, _STAND_INS[self.draft.meant(path)])
                return
            if self._can_be_spared(path):
                self.draft.drop(path)
                return
            path = path[:-1]
        self._hopeless = True

    def _can_be_spared(self, path: Path) -> bool:
        around, shape = self.tree.node(path[:-1]), shape_at(self.draft.meant(path[:-1]))
        if around is not None and isinstance(around.content, tuple):
            return True
        return shape is not None and self.draft.meant(path)[-1] not in shape.required

    def _report(self, path: Path, message: str, place: tuple[int, int], *, settle: bool = True) -> None:
        self.findings.append(Finding(line=place[0], column=place[1], path=path, message=message))
        if settle:
            self._settle(path)

    def _settle(self, path: Path) -> None:
        self._settled.update(path[:end] for end in range(len(path) + 1))


def _where(error: ErrorDetails) -> Path:
    """Return the error's place in the plan's value: without the marks that say which step, and that it is the key."""
    where: list[str | int] = []
    for part in error["loc"]:
        is_mark = isinstance(part, str) and part.startswith("step-") and where and isinstance(where[-1], int)
        if not is_mark or where[-2] not in {"steps", "do"}:
            where.append(part)
    return tuple(where[:-1]) if _at_key(error) else tuple(where)


def _at_key(error: ErrorDetails) -> bool:
    return error["loc"][-1:] == ("[key]",) and error["type"] != "extra_forbidden"
