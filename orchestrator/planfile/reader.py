"""From `plan.yaml` to a loaded plan, or to all of its problems at once."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from orchestrator.errors import PlanError, UsageError
from orchestrator.model import plan_rules
from orchestrator.planfile.repair import Finding, Repair
from orchestrator.planfile.sources import named_sources, read_regular, read_source
from orchestrator.planfile.yaml_text import MAX_BYTES
from orchestrator.planfile.yaml_tree import Tree, read_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from orchestrator.model.plan import Plan
    from orchestrator.model.plan_problem import Problem, Where
    from orchestrator.model.together import Group
    from orchestrator.planfile import yaml_text

__all__ = ["LoadedPlan", "load_plan"]

_LISTED = 200
_SIMPLE_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPlan:
    """A valid plan with everything that it names, as it was when it was read.

    `sources` has the content of every file that a `from` or `patch` names, by the path as the plan writes it; `sha256`
    is 64 hex digits over the plan's text and all sources; `warnings` are sentences that name file, line and remedy;
    `groups` are tasks of the author's plan that the run works on together, as one.
    """

    plan: Plan
    path: Path
    text: bytes
    sources: Mapping[str, bytes]
    sha256: str
    warnings: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()


def load_plan(path: Path) -> LoadedPlan:
    """Read a plan and the files it names.

    Args:
        path: the plan file; the files it names lie in the same folder or below.

    Raises:
        UsageError: there is no such file, or it cannot be read.
        PlanError: the plan is invalid; `problems` has every fault, in the order of the file, as
            `plan.yaml:12:5: tasks[2] (A-003).writes[0]: what is wrong; what to write`.
    """
    try:
        data = read_regular(path, MAX_BYTES + 1)  # one more, so that the reader of the text sees that it is too large
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"The plan {path} cannot be read: {reason}.", hint="Name the plan's file.") from None
    tree = read_tree(data)
    if tree.root is None:
        raise PlanError(str(path), _printed(path, tree, (_finding_of(fault) for fault in tree.faults)))
    repair = Repair(tree)
    repair.run()
    findings, sources = list(repair.findings), dict[str, bytes]()
    if repair.plan is not None:
        sources, missing = _sources(path.parent, repair.plan)
        problems = plan_rules.problems_of(repair.plan, gaps=repair.gaps())
        findings += _Places(repair).findings((*missing, *problems))
    if findings or repair.plan is None:
        raise PlanError(str(path), _printed(path, tree, findings))
    warnings = _Places(repair).findings(plan_rules.warnings_of(repair.plan))
    return LoadedPlan(
        plan=repair.plan, path=path.absolute(), text=data, sources=MappingProxyType(sources), sha256=_digest(data, sources),
        warnings=_printed(path, tree, warnings),
    )  # fmt: skip


def _sources(folder: Path, plan: Plan) -> tuple[dict[str, bytes], list[Problem]]:
    """Return the content of the files that the plan names, and what is wrong with those that have none."""
    sources: dict[str, bytes] = {}
    problems: list[Problem] = []
    for where, name in named_sources(plan):
        if name in sources:
            continue
        try:
            sources[name] = read_source(folder, name)
        except ValueError as error:
            problems.append(plan_rules.Problem(where=where, message=str(error)))
    return sources, problems


def _digest(data: bytes, sources: Mapping[str, bytes]) -> str:
    parts = {name: hashlib.sha256(content).hexdigest() for name, content in sources.items()}
    whole = json.dumps([hashlib.sha256(data).hexdigest(), parts], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()


class _Places:
    """Where in the file the parts of a repaired plan stand."""

    def __init__(self, repair: Repair) -> None:
        self._repair = repair
        self._touched = repair.draft.touched

    def findings(self, problems: Iterable[Problem]) -> Iterator[Finding]:
        """Yield each problem with its place, but none about a part that was replaced."""
        for problem in problems:
            path = self._repair.draft.origin(problem.where)
            if any(path[:end] in self._touched for end in range(len(path) + 1)):
                continue
            line, column = self._place(path)
            message = problem.message
            if problem.other is not None:
                message += f" (see line {self._place(self._repair.draft.origin(problem.other))[0]})"
            yield Finding(line=line, column=column, path=path, message=message)

    def _place(self, path: Where) -> tuple[int, int]:
        tree = self._repair.tree
        is_path = path[:2] == ("contracts", "files") and len(path) == 3
        return tree.key_place(path) if is_path else tree.value_place(path)


def _finding_of(fault: yaml_text.Fault) -> Finding:
    return Finding(line=fault.line, column=fault.column, path=fault.path, message=fault.message)


def _printed(path: Path, tree: Tree, findings: Iterable[Finding]) -> tuple[str, ...]:
    """Return the findings as sentences in the order of the file; of very many, the first ones and a count."""
    ordered = sorted(findings, key=lambda finding: (finding.line, finding.column))
    lines = []
    for finding in ordered[:_LISTED]:
        where = _key_path(tree, finding.path)
        lines.append(f"{path}:{finding.line}:{finding.column}: {where}{': ' if where else ''}{finding.message}")
    if len(ordered) > _LISTED:
        lines.append(f"{path}: {len(ordered) - _LISTED} more problems are not listed; solve these first")
    return tuple(lines)


def _key_path(tree: Tree, path: Where) -> str:
    """Return keys and indices as `tasks[2] (A-003).writes[0]`."""
    shown = ""
    for end, part in enumerate(path, 1):
        if isinstance(part, int):
            shown += f"[{part}]"
            task_id = tree.node((*path[:end], "id")) if path[: end - 1] == ("tasks",) else None
            if task_id is not None and isinstance(task_id.content, str) and _SIMPLE_KEY.fullmatch(task_id.content):
                shown += f" ({task_id.content})"
        elif _SIMPLE_KEY.fullmatch(part):
            shown += f".{part}" if shown else part
        else:
            shown += f"[{json.dumps(part[:100], ensure_ascii=False)}]"
    return shown
