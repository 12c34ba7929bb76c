"""One row for each trial: what it is, and how rows are read from CSV and written to it.

A trial is one run of one task (or of one whole plan) in one mode. The same row serves trials that `orch compare` runs and
trials that others have published: their names of columns are known, and mean what `_PUBLISHED` says.
"""

from __future__ import annotations

import csv
import difflib
import io
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from pydantic_core import ErrorDetails

__all__ = ["Trial", "column_names", "read_trials", "trials_text"]

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(min_length=1)]

_SHOWN = 5  # mistakes named at once; whoever sees these knows what is wrong with the file


class Trial(BaseModel):
    """One trial. What was not measured is None (or left out of a mapping): it is never a zero.

    `mode` is `sequential`, `worktree`, `crdt`, or another name. `run` pairs trials: the sequential and the worktree trial of
    one task with one `run` belong together (and share `seed`, where there is one). `agents` is how many worked at once.
    `overhead` is in seconds by phase; `conflicts` counts by kind; `scores` are a judge's, `score_sd` the spread between
    repeated judgements of the same work. `parses` says whether every file written parses: where it is false, a count of
    type errors is worth nothing. `reported_errors` are errors as some compiler counted them, whatever they are.
    `judge` is the model that gave the scores, `judgements` how often it judged each trial, `judging_usd` what that has cost,
    which is no part of `cost_usd`; `remark` is why it gave none.
    `error` is why the trial failed: such a trial is kept, counted, and left out of every mean.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Name
    mode: Name
    run: Count
    agents: Annotated[int, Field(ge=1)] | None = None
    seed: int | None = None
    position: Count | None = None
    simulated: bool = False
    coupling: Annotated[float, Field(ge=0, le=1)] | None = None
    error: str = ""
    wall_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    agent_seconds: Amount | None = None
    overhead: dict[str, Amount] = Field(default_factory=dict)
    tokens: Count | None = None
    cost_usd: Amount | None = None
    lines: Count | None = None
    characters: Count | None = None
    gates_passed: Count | None = None
    gates_run: Count | None = None
    parses: bool | None = None
    syntax_errors: Count | None = None
    type_errors: Count | None = None
    reported_errors: Count | None = None
    lint_errors: Count | None = None
    lint_warnings: Count | None = None
    conflicts: dict[str, Count] = Field(default_factory=dict)
    merge_conflicts: Count | None = None
    rework: Amount | None = None
    interventions: Count | None = None
    judge: str = ""
    judgements: Annotated[int, Field(ge=1)] | None = None
    judging_usd: Amount | None = None
    remark: str = ""
    scores: dict[str, Amount] = Field(default_factory=dict)
    score_sd: dict[str, Amount] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_a_time_or_a_reason(self) -> Trial:
        if self.wall_seconds is None and not self.error:
            raise ValueError("a trial without `error` needs `wall_seconds`")
        return self


_GROUPS = {"overhead": "overhead", "conflicts": "conflicts", "score": "scores", "score_sd": "score_sd"}
_SINGLE = tuple(name for name in Trial.model_fields if name not in _GROUPS.values())
_REQUIRED = ("task", "mode", "run", "wall_seconds")
_PUBLISHED: dict[str, str | None] = {  # None: nothing that other columns do not say
    "run_number": "run",
    "response_time": "wall_seconds",
    "has_error": "error",
    "code_length": "characters",
    "llm_overall_score": "score.overall",
    "llm_code_quality": "score.code_quality",
    "llm_architecture": "score.architecture",
    "llm_performance": "score.performance",
    "llm_accessibility": "score.accessibility",
    "llm_functionality": "score.functionality",
    "ts_error_count": "reported_errors",
    "compile_success": None,
    "lint_error_count": "lint_errors",
    "lint_warning_count": "lint_warnings",
    "lint_total_count": None,
}
_FAILED = {"true": "it ended with an error that was not recorded", "false": ""}  # what `has_error` says


def read_trials(path: Path) -> tuple[Trial, ...]:
    """Return the trials of a CSV file, in the order in which they stand there.

    Raises:
        UsageError: it cannot be read or is not such a table; the message names line, column and remedy.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"{path} cannot be read: {reason}.", hint="Name a CSV file of trials.") from error
    rows = _numbered(text, path)
    line, header = next(rows, (1, []))
    columns = _columns(header, f"{path}:{line}")
    trials, mistakes = [], []
    seen: dict[tuple[object, ...], int] = {}
    for line, row in rows:
        place = f"{path}:{line}"
        if len(row) != len(columns):
            mistakes.append(f"{place}: has {len(row)} values, the header has {len(columns)}; give one for each column.")
            continue
        read = _trial(dict(zip(columns, row, strict=True)), dict(zip(columns, header, strict=True)), place)
        if isinstance(read, Trial):
            key = (read.task, read.mode, read.agents, read.run)
            if key in seen:
                mistakes.append(
                    f"{place}: the same task, mode, agents and run as in line {seen[key]}; number them apart."
                )
            seen.setdefault(key, line)
            trials.append(read)
        else:
            mistakes += read
    _refuse(mistakes)
    if not trials:
        raise UsageError(
            f"{path} holds no trial.", hint=f"It needs a row for each trial; columns: {', '.join(_REQUIRED)}, …"
        )
    return tuple(trials)


def trials_text(trials: Sequence[Trial]) -> str:
    """Return trials as CSV, with the columns that at least one of them fills; `read_trials` reads it back unchanged."""
    rows = [_cells(trial) for trial in trials]
    used = {name for row in rows for name, value in row.items() if value}
    columns = [name for name in column_names(trials) if name in used or name in _REQUIRED]
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def column_names(trials: Iterable[Trial]) -> list[str]:
    """Return all columns that a table of these trials can have, in order."""
    trials = list(trials)
    groups = [
        f"{prefix}.{key}"
        for prefix, field in _GROUPS.items()
        for key in sorted({key for trial in trials for key in getattr(trial, field)})
    ]
    return [*_SINGLE, *groups]


def _numbered(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that hold anything, each with the line in which it ends."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise UsageError(
            f"{path}:{reader.line_num}: no CSV: {error}.", hint="Quote values with commas or quotes."
        ) from error


def _columns(header: list[str], place: str) -> list[str]:
    columns, mistakes = [], []
    for name in (cell.strip() for cell in header):
        prefix, dot, rest = name.partition(".")
        if name in _SINGLE or (dot and rest and prefix in _GROUPS):
            columns.append(name)
        elif name in _PUBLISHED:
            columns.append(_PUBLISHED[name] or f"({name})")
        else:
            mistakes.append(f"{place}: column {name!r} is unknown; {_nearest(name)}")
    doubled = sorted({name for name in columns if columns.count(name) > 1})
    mistakes += [f"{place}: column {name!r} is there twice; keep one of them." for name in doubled]
    if not mistakes:
        missing = [name for name in _REQUIRED if name not in columns]
        mistakes += [f"{place}: column {name!r} is missing; add it." for name in missing]
    _refuse(mistakes)
    return columns


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, [*_SINGLE, *_PUBLISHED], n=1)
    return (
        f"did you mean {near[0]!r}?"
        if near
        else f"known: {', '.join(_SINGLE)}, and {', '.join(f'{p}.…' for p in _GROUPS)}."
    )


def _trial(row: dict[str, str], titles: dict[str, str], place: str) -> Trial | list[str]:
    fields: dict[str, Any] = {}
    for column, value in ((name, cell.strip()) for name, cell in row.items()):
        prefix, dot, key = column.partition(".")
        if not value or column.startswith("("):
            continue
        if dot:
            fields.setdefault(_GROUPS[prefix], {})[key] = value
        elif titles[column].strip() == "has_error":
            fields[column] = _FAILED.get(value.lower(), value)
        else:
            fields[column] = value
    try:
        return Trial.model_validate(fields)
    except ValidationError as error:
        return [_sentence(each, titles, place) for each in error.errors()]


def _sentence(problem: ErrorDetails, titles: dict[str, str], place: str) -> str:
    where = [str(part) for part in problem["loc"]]
    if not where:
        return f"{place}: {problem['msg'].removeprefix('Value error, ')}; give one of them."
    prefixes = {field: prefix for prefix, field in _GROUPS.items()}
    column = ".".join([prefixes.get(where[0], where[0]), *where[1:]])
    title = titles.get(column, column).strip()
    if problem["type"] == "missing":
        return f"{place}: column {title!r} is empty; every trial needs it."
    wanted = problem["msg"].removeprefix("Input should be ").split(", unable")[0]
    return f"{place}: column {title!r} holds {problem['input']!r}; write {wanted}, or leave it empty if it was not measured."


def _refuse(mistakes: list[str]) -> None:
    if mistakes:
        more = len(mistakes) - _SHOWN
        shown = [*mistakes[:_SHOWN], *([f"… and {more} more like these."] if more > 0 else [])]
        raise UsageError("\n".join(shown), hint="Nothing was written.")


def _cells(trial: Trial) -> dict[str, str]:
    cells = {name: _cell(getattr(trial, name)) for name in _SINGLE}
    for prefix, field in _GROUPS.items():
        cells |= {f"{prefix}.{key}": _cell(value) for key, value in getattr(trial, field).items()}
    return cells


def _cell(value: object) -> str:
    if value is None or value is False:
        return "" if value is None else "false"
    return "true" if value is True else str(value)
