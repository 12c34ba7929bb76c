"""What a report is made of: sections of paragraphs, lists, tables and figures, before they are HTML or Markdown."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.compare.statistics import Effect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "Block",
    "Column",
    "Figure",
    "Items",
    "Paragraph",
    "Section",
    "Table",
    "Value",
    "count",
    "number",
    "p_value",
    "percent",
    "plain",
    "signed_percent",
]

_MINUS = "\N{MINUS SIGN}"

Value = str | int | float | Effect | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its key in CSV and JSON, its title, and how a number of it is shown."""

    key: str
    title: str
    show: Callable[[float], str] = str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table; `name` is that of its CSV file. An `Effect` takes three columns there, and one with an interval on the page.

    `folded`: shown on the page only when it is opened, since it is long; Markdown leaves it to the CSV file.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    folded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A plot as SVG; `name` is that of its file, `alt` says in words what it shows."""

    name: str
    alt: str
    svg: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph; `code` makes it a line to be typed."""

    text: str
    code: bool = False


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    texts: tuple[str, ...]


Block = Paragraph | Items | Table | Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A headed part of the report."""

    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)


def number(digits: int) -> Callable[[float], str]:
    """Return what shows numbers with so many digits after the point."""

    def show(value: float) -> str:
        text = f"{value:,.{digits}f}"
        return text.replace("-", _MINUS) if float(text.replace(",", "")) else f"{0:.{digits}f}"

    return show


def count(value: float) -> str:
    """Show a whole number."""
    return f"{value:,.0f}"


def percent(value: float) -> str:
    """Show a share in percent; nothing but one itself is shown as 100 %, and nothing but zero as 0 %."""
    whole = round(100 * value)
    if value in {0, 1} or 1 <= whole < 100:
        return f"{whole} %"
    return f"{min(max(100 * value, 0.1), 99.9):.1f} %"


def signed_percent(value: float) -> str:
    """Show a change in percent, with its sign."""
    digits = 0 if abs(value) >= 0.995 else 1
    sign = "+" if round(100 * value, digits) > 0 else _MINUS if round(100 * value, digits) < 0 else "±"
    return f"{sign}{abs(100 * value):,.{digits}f} %"


def p_value(value: float) -> str:
    """Show a p value: never as zero."""
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}" if value < 0.1 else f"{value:.2f}"


def plain(value: Value, show: Callable[[float], str]) -> str:
    """Return a value as text; what is not there is a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "\N{EN DASH}"
    if isinstance(value, Effect):
        return f"{show(value.estimate)} [{show(value.low)}, {show(value.high)}]"
    return value if isinstance(value, str) else show(value)
