"""The files that trials wrote: whether they parse, what is wrong in them, and how many are the same file again.

They come as JSON lines, plain or gzipped: `{"task", "mode", "run", "content", "path"}`. The language goes by the path's ending;
without a path a file is taken for one component in TSX, as published collections of such files hold them.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.compare.blocks import Column, Items, Section, Table, count, percent
from orchestrator.errors import UsageError
from orchestrator.syntax.faults import error_nodes
from orchestrator.syntax.figures import ALL_TASKS, RULES, Output, figures

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.compare.blocks import Value
    from orchestrator.compare.trials import Trial
    from orchestrator.syntax.fault import Rule

__all__ = ["Written", "outputs_part", "read_outputs", "with_parses"]

_GZIP = b"\x1f\x8b"
_HINT = 'It needs a line of JSON for each file: {"task": …, "mode": …, "run": …, "content": …}.'
_TITLES: dict[Rule, str] = {
    "syntax": "Syntax errors",
    "protocol-leak": "Leaked tool markup",
    "duplicate-import": "Duplicate imports",
    "duplicate-declaration": "Duplicate declarations",
    "nested-import": "Imports out of place",
    "todo": "Leftover TODOs",
    "unresolved": "Broken references",
}


class Written(BaseModel):
    """One file that a trial wrote."""

    model_config = ConfigDict(frozen=True)

    task: Annotated[str, Field(min_length=1)]
    mode: Annotated[str, Field(min_length=1)]
    run: Annotated[int, Field(ge=0)]
    content: str
    path: str = ""

    @property
    def name(self) -> str:
        """The path by which the language is told."""
        return self.path or f"{self.task}.tsx"


def read_outputs(path: Path) -> tuple[Written, ...]:
    """Return the files that trials wrote.

    Raises:
        UsageError: they cannot be read; the message names the line.
    """
    try:
        content = path.read_bytes()
        lines = (gzip.decompress(content) if content.startswith(_GZIP) else content).splitlines()
    except (OSError, EOFError) as error:
        raise UsageError(f"{path} cannot be read: {error}.", hint=_HINT) from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(Written.model_validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "it"
            raise UsageError(f"{path}:{number}: {where}: {first['msg']}.", hint=_HINT) from error
    if not found:
        raise UsageError(f"{path} holds no file.", hint=_HINT)
    return tuple(found)


def with_parses(trials: Sequence[Trial], written: Sequence[Written]) -> tuple[Trial, ...]:
    """Return the trials, each told whether all it wrote parses, where that was not recorded and its files are there."""
    parses: dict[tuple[str, str, int], bool] = {}
    for each in written:
        key = each.task, each.mode, each.run
        parses[key] = parses.get(key, True) and error_nodes(each.name, each.content) == 0
    return tuple(
        trial.model_copy(update={"parses": parses.get((trial.task, trial.mode, trial.run))})
        if trial.parses is None
        else trial
        for trial in trials
    )


def outputs_part(written: Sequence[Written]) -> Section:
    """Return what is wrong in the files, by task and mode, and how many of them are distinct."""
    rows: list[tuple[Value, ...]] = []
    for row in figures(Output(task=w.task, mode=w.mode, path=w.name, text=w.content) for w in written):
        task = "all tasks" if row.task == ALL_TASKS else row.task
        distinct = len({w.content for w in written if w.mode == row.mode and row.task in {w.task, ALL_TASKS}})
        rows.append((
            task, row.mode, row.files, distinct, row.characters / row.files, *(row.share(rule) for rule in RULES),
            row.with_any / row.files,
        ))  # fmt: skip
    columns = (
        Column(key="task", title="Task"),
        Column(key="mode", title="Mode"),
        Column(key="files", title="Files", show=count),
        Column(key="distinct", title="Distinct", show=count),
        Column(key="characters", title="Characters, mean", show=count),
        *(Column(key=rule.replace("-", "_"), title=_TITLES[rule], show=percent) for rule in RULES),
        Column(key="any", title="Any of these", show=percent),
    )
    caption = (
        "Share of files with at least one. References are judged only where a file parses: there are at least so many."
    )
    table = Table(name="outputs", caption=caption, columns=columns, rows=tuple(rows))
    return Section(title="What the files hold", blocks=(Items(tuple(_said(written, rows))), table))


def _said(written: Sequence[Written], rows: Sequence[tuple[Value, ...]]) -> list[str]:
    said = []
    for mode in sorted({w.mode for w in written}):
        these = [w for w in written if w.mode == mode]
        by_task = {task: {w.content for w in these if w.task == task} for task in sorted({w.task for w in these})}
        distinct = sum(len(texts) for texts in by_task.values())
        wrong = next(row[-1] for row in rows if row[:2] == ("all tasks", mode))
        assert isinstance(wrong, float)
        said.append(f"{mode}: {percent(wrong)} of {len(these)} files have at least one of these faults.")
        if distinct < len(these):
            least = min(by_task, key=lambda task: len(by_task[task]))
            of = sum(w.task == least for w in these)
            text = (
                f"{mode}: only {distinct} of {len(these)} files are distinct ({least}: {len(by_task[least])} of {of}). "
            )
            text += "Identical files repeat, so these trials are not independent: tests that count "
            text += "each of them say more than they know."
            said.append(text)
    return said
