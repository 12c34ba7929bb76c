"""How many of many written files have which faults, by task and mode."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, get_args

from orchestrator.syntax.fault import Rule
from orchestrator.syntax.faults import faults_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["ALL_TASKS", "RULES", "FaultRow", "Output", "figures"]

RULES: Final[tuple[Rule, ...]] = get_args(Rule)
ALL_TASKS: Final = "all"
"""Stands for the task in the row that sums up a mode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A file that was written for a task, in a mode; the language goes by the name at the end of the path."""

    task: str
    mode: str
    path: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRow:
    """The figures of one task in one mode; each file counts once a rule."""

    task: str
    mode: str
    files: int
    characters: int
    """Of all files together."""
    with_rule: Mapping[Rule, int]
    with_any: int

    def share(self, rule: Rule) -> float:
        """Return the share of files with a fault of this rule, 0 to 1."""
        return self.with_rule[rule] / self.files


def figures(outputs: Iterable[Output]) -> tuple[FaultRow, ...]:
    """Return a row for each task and mode, in the order of their names, then one for each mode over all of its tasks."""
    groups: dict[tuple[str, str], list[tuple[int, frozenset[Rule]]]] = defaultdict(list)
    modes: dict[tuple[str, str], list[tuple[int, frozenset[Rule]]]] = defaultdict(list)
    for output in outputs:
        found = len(output.text), frozenset(fault.rule for fault in faults_of(output.path, output.text))
        groups[output.task, output.mode].append(found)
        modes[ALL_TASKS, output.mode].append(found)
    return tuple(_row(*key, found) for by_key in (groups, modes) for key, found in sorted(by_key.items()))


def _row(task: str, mode: str, found: list[tuple[int, frozenset[Rule]]]) -> FaultRow:
    counts = Counter(rule for _, rules in found for rule in rules)
    return FaultRow(
        task=task,
        mode=mode,
        files=len(found),
        characters=sum(size for size, _ in found),
        with_rule={rule: counts[rule] for rule in RULES},
        with_any=sum(1 for _, rules in found if rules),
    )
