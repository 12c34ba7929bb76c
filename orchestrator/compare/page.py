"""The report as one HTML page that refers to nothing outside itself, and as Markdown."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING

from orchestrator.compare.blocks import Figure, Items, Paragraph, Table, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.compare.blocks import Block, Section, Value

__all__ = ["html_page", "markdown_page"]

_STYLE = """
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #1d2129; background: #fff; margin: 0 auto;
  padding: 0 24px 48px; max-width: 1180px; }
h1 { font-size: 1.6em; margin: 1em 0 .3em; } h2 { font-size: 1.2em; margin: 2em 0 .5em; border-bottom: 1px solid #d8dce2; }
p, li { max-width: 62em; } li { margin: .3em 0; }
.notice { background: #fff3d6; border: 1px solid #e2c26b; padding: .5em .8em; font-weight: 600; }
figure { margin: 1em 0; } figure svg { max-width: 100%; height: auto; }
.table { overflow-x: auto; margin: 1em 0; }
table { border-collapse: collapse; font-size: .86em; font-variant-numeric: tabular-nums; }
caption, figcaption { text-align: left; color: #545b66; font-size: .93em; padding: 0 0 .4em; }
th { text-align: left; vertical-align: bottom; font-weight: 600; background: #f3f5f8; }
th, td { padding: .25em .6em; border-bottom: 1px solid #e4e7ec; } td { vertical-align: top; }
td.n { text-align: right; white-space: nowrap; } summary { cursor: pointer; margin: 1em 0; color: #34506f; }
pre { background: #f3f5f8; padding: .6em .8em; overflow-x: auto; }
"""


def html_page(title: str, notice: str, sections: Sequence[Section]) -> str:
    """Return the page; `notice` stands above everything, if it says anything."""
    head = f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{_shown(title)}</title>\n'
    head += '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    body = [f"{head}<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{_shown(title)}</h1>"]
    if notice:
        body.append(f'<p class="notice">{_shown(notice)}</p>')
    for section in sections:
        body.append(f"<h2>{_shown(section.title)}</h2>")
        body += [_html(block) for block in section.blocks]
    return "\n".join([*body, "</body>\n</html>\n"])


def markdown_page(title: str, notice: str, sections: Sequence[Section]) -> str:
    """Return the report as Markdown; figures are links to `plots/NAME.svg`."""
    parts = [f"# {title}"]
    if notice:
        parts.append(f"> **{_cell(notice)}**")
    for section in sections:
        parts.append(f"## {section.title}")
        parts += [_markdown(block) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def _html(block: Block) -> str:
    match block:
        case Paragraph(text=text, code=True):
            return f"<pre>{_shown(text)}</pre>"
        case Paragraph(text=text):
            return f"<p>{_shown(text)}</p>"
        case Items(texts=texts):
            return "<ul>\n" + "\n".join(f"<li>{_shown(text)}</li>" for text in texts) + "\n</ul>"
        case Figure(alt=alt, svg=svg):
            return f"<figure>\n{svg}\n<figcaption>{_shown(alt)}</figcaption>\n</figure>"
        case Table():
            table = _html_table(block)
            return (
                f"<details><summary>{_shown(block.caption)}</summary>\n{table}\n</details>" if block.folded else table
            )


def _shown(text: str) -> str:
    """Return text for HTML; a number stays with its percent sign."""
    return escape(text).replace(" %", "&nbsp;%")


def _narrowed(table: Table) -> Table:
    """Return a table without the column that says who is compared, if that is the same in all rows; the caption then says it."""
    at = next((i for i, column in enumerate(table.columns) if column.key == "pair"), None)
    if at is None or len(pairs := {row[at] for row in table.rows}) != 1:
        return table
    return replace(
        table,
        caption=f"{table.caption.rstrip('.')}. Compared: {pairs.pop()}.",
        columns=(*table.columns[:at], *table.columns[at + 1 :]),
        rows=tuple((*row[:at], *row[at + 1 :]) for row in table.rows),
    )


def _html_table(table: Table) -> str:
    table = _narrowed(table)
    caption = "" if table.folded else f"<caption>{_shown(table.caption)}</caption>"
    heads = "".join(f"<th>{_shown(column.title)}</th>" for column in table.columns)
    rows = "\n".join(
        f"<tr>{''.join(_html_cell(plain(v, c.show), v) for c, v in zip(table.columns, row, strict=True))}</tr>"
        for row in table.rows
    )
    return (
        f'<div class="table"><table>{caption}\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>'
    )


def _html_cell(text: str, value: Value) -> str:
    return f"<td>{_shown(text)}</td>" if isinstance(value, str) else f'<td class="n">{_shown(text)}</td>'


def _markdown(block: Block) -> str:
    match block:
        case Paragraph(text=text, code=True):
            return f"```console\n{text}\n```"
        case Paragraph(text=text):
            return _escaped(text)
        case Items(texts=texts):
            return "\n".join(f"- {_escaped(text)}" for text in texts)
        case Figure(name=name, alt=alt):
            return f"![{_escaped(alt)}](plots/{name}.svg)"
        case Table() if block.folded:
            return f"{_escaped(block.caption)}: [{block.name}.csv](tables/{block.name}.csv)."
        case Table():
            return _markdown_table(block)


def _markdown_table(table: Table) -> str:
    table = _narrowed(table)
    heads = [_cell(column.title) for column in table.columns]
    lines = [_escaped(table.caption), "", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in table.rows:
        cells = [_cell(plain(v, c.show)) for c, v in zip(table.columns, row, strict=True)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _escaped(text: str) -> str:
    """Keep what others have named (tasks, modes) from being markup."""
    for sign in ("\\", "`", "*", "_", "<", "[", "]"):
        text = text.replace(sign, f"\\{sign}")
    return text


def _cell(text: str) -> str:
    return _escaped(text).replace("|", "\\|").replace("\n", " ")
