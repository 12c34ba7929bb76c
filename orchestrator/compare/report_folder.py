"""The report's folder: `report.html`, `report.md`, `report.json`, `plots/`, `tables/`; the same trials give the same bytes."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from orchestrator.compare.blocks import Figure, Items, Paragraph, Section, Table
from orchestrator.compare.measures import score_names
from orchestrator.compare.page import html_page, markdown_page
from orchestrator.compare.statistics import Effect
from orchestrator.compare.story_pooled import pooled_part, published_part, scaling_part, trials_needed_part
from orchestrator.compare.story_time import advice_part, time_part, trials_part, volume_part
from orchestrator.compare.story_work import conflicts_part, errors_part, every_measure_part, overhead_part, quality_part
from orchestrator.compare.trials import trials_text
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.compare.analysis import Analysis
    from orchestrator.compare.blocks import Block, Column, Value

__all__ = ["SIMULATED", "Origin", "sections_of", "write_report"]

SIMULATED = "Simulation: some or all of these trials are of a simulated model. They say nothing about a real one."
_PACKAGES = ("orch", "scipy", "numpy", "statsmodels", "matplotlib")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a report comes from: the command that makes it again, and the files that were read."""

    command: str
    files: tuple[Path, ...]


def sections_of(analysis: Analysis, origin: Origin, outputs: Section | None) -> tuple[Section, ...]:
    """Return the report, part by part; `outputs` is the part about the files that trials wrote."""
    parts = (
        advice_part(analysis),
        trials_part(analysis),
        time_part(analysis),
        volume_part(analysis),
        quality_part(analysis),
        errors_part(analysis),
        outputs,
        conflicts_part(analysis),
        overhead_part(analysis),
        pooled_part(analysis),
        published_part(analysis),
        scaling_part(analysis),
        trials_needed_part(analysis),
        every_measure_part(analysis),
        _limits(analysis),
        _origin(origin),
    )
    return tuple(_labelled(part) if analysis.simulated else part for part in parts if part)


def _labelled(section: Section) -> Section:
    """Say of every table and in every plot that it is of simulated trials: they are shown without the page, too."""
    blocks: list[Block] = []
    for block in section.blocks:
        if isinstance(block, Table):
            blocks.append(replace(block, caption=f"Simulated trials. {block.caption}"))
        elif isinstance(block, Figure):
            label = '<text x="4" y="12" style="font: 11px sans-serif; fill: #a33">simulated</text>'
            svg = f"{block.svg.rstrip().removesuffix('</svg>')}{label}\n</svg>\n"
            blocks.append(replace(block, alt=f"Simulated trials. {block.alt}", svg=svg))
        else:
            blocks.append(block)
    return replace(section, blocks=blocks)


def write_report(analysis: Analysis, origin: Origin, outputs: Section | None, folder: Path) -> dict[str, Any]:
    """Write the report into a folder, which is made, and return what `report.json` holds.

    Raises:
        UsageError: the folder cannot be written.
    """
    sections = sections_of(analysis, origin, outputs)
    title = "Sequential and parallel modes compared"
    notice = SIMULATED if analysis.simulated else ""
    report = _as_json(analysis, origin, sections)
    files = {
        "report.html": html_page(title, notice, sections),
        "report.md": markdown_page(title, notice, sections),
        "report.json": json.dumps(report, indent=1, ensure_ascii=False) + "\n",
        "tables/trials.csv": trials_text(analysis.trials),
    }
    for block in (block for section in sections for block in section.blocks):
        if isinstance(block, Table):
            files[f"tables/{block.name}.csv"] = _csv(block)
        elif isinstance(block, Figure):
            files[f"plots/{block.name}.svg"] = f"{block.svg.rstrip()}\n"
    try:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
    except OSError as error:
        raise UsageError(
            f"{error.filename or folder} cannot be written: {error.strerror}.", hint="Name another --out."
        ) from error
    return report


def _as_json(analysis: Analysis, origin: Origin, sections: Sequence[Section]) -> dict[str, Any]:
    tables = [block for section in sections for block in section.blocks if isinstance(block, Table)]
    return {
        "version": 1,
        "command": origin.command,
        "simulated": analysis.simulated,
        "trials": len(analysis.trials),
        "failed": sum(analysis.failed.values()),
        "outliers_removed": analysis.outliers_removed,
        "said": {
            section.title: [text for block in section.blocks if isinstance(block, Items) for text in block.texts]
            + [block.text for block in section.blocks if isinstance(block, Paragraph) and not block.code]
            for section in sections
        },
        "tables": {table.name: [_record(table.columns, row) for row in table.rows] for table in tables},
    }


def _record(columns: Sequence[Column], row: Sequence[Value]) -> dict[str, Any]:
    return {column.key: _json_value(value) for column, value in zip(columns, row, strict=True)}


def _json_value(value: Value) -> Any:  # noqa: ANN401 - what JSON holds
    if isinstance(value, Effect):
        return {"estimate": value.estimate, "low": value.low, "high": value.high}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _csv(table: Table) -> str:
    wide = [any(isinstance(row[i], Effect) for row in table.rows) for i in range(len(table.columns))]
    header: list[str] = []
    for column, is_wide in zip(table.columns, wide, strict=True):
        header += [column.key, f"{column.key}_low", f"{column.key}_high"] if is_wide else [column.key]
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    for row in table.rows:
        cells: list[object] = []
        for value, is_wide in zip(row, wide, strict=True):
            if isinstance(value, Effect):
                cells += [value.estimate, value.low, value.high]
            else:
                cells += [value, None, None] if is_wide else [value]
        writer.writerow(cells)
    return out.getvalue()


def _limits(analysis: Analysis) -> Section:
    said = [
        "These are the tasks and models of these trials. Others may differ from them as far as these differ among themselves.",
        "“Clear” is about chance alone: it knows nothing of a mistake that all trials share.",
    ]
    if not all(t.seed is not None for t in analysis.trials):
        said.append(
            "Without a seed no trial can be run again as it was, and pairs have nothing in common but their number."
        )
    if not any(t.position is not None for t in analysis.trials):
        said.append(
            "The order of the trials was not recorded: what changed with time (load, versions) cannot be told from the mode."
        )
    if score_names(analysis.trials):
        said.append("Scores are those of a judge. How far they agree with people is not known from these trials.")
    return Section(title="What this cannot say", blocks=(Items(tuple(said)),))


def _origin(origin: Origin) -> Section:
    read = [f"{path}: SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in origin.files]
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    text = "This command makes the report again, byte for byte with the same versions, from the raw rows:"
    blocks = (Paragraph(text), Paragraph(origin.command, code=True), Items((*read, f"Made with {versions}.")))
    return Section(title="Where this comes from", blocks=blocks)
