"""A table as CSV, Markdown, LaTeX and HTML; the published value stands by ours in each."""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.ext import Extension

from warpline.files import write_text
from warpline.tables import latex
from warpline.tables.cells import ABSENT, Cell, headings, notes, rows
from warpline.tables.table import Table

TEMPLATES = Path(__file__).resolve().parents[3] / "workflow" / "report"
ARROWS = {"higher": " ↑", "lower": " ↓"}


def to_csv(table: Table) -> str:
    """Every column of the frame, in full precision; UTF-8, empty where there is no value."""
    return table.frame.to_csv(index=False, lineterminator="\n")


def to_markdown(table: Table) -> str:
    """A table for a page on the web; ours and published are columns of their own."""
    header = ["Set", "Method", "n"]
    for heading in headings(table):
        ours = f"{heading.title}{ARROWS.get(heading.better, '')}, ours [95 %]"
        header += [ours, *heading.words[1:]]
    lines = [_pipe(header), _pipe(["---", "---", *["---:"] * (len(header) - 2)])]
    for row in rows(table):
        title = f"{row.title} (as published)" if row.published_only else row.title
        line = [row.set, title, row.n]
        for cell in row.cells:
            line += [_markdown_cell(cell), *cell.published]
        lines.append(_pipe(line))
    below = [("\\* " if note.starred else "") + f"{note.text}\n" for note in notes(table)]
    return "\n".join([f"**{table.title}.** {table.caption}", "", *lines, "", *below])


def to_latex(table: Table, templates: str | Path = TEMPLATES) -> str:
    """A `table` environment for `booktabs`; ours and published share a column's heading.

    `templates` is the folder with ``table.tex.j2``. Every value is escaped.
    """
    environment = Environment(
        loader=FileSystemLoader(templates),
        undefined=StrictUndefined,
        finalize=latex.escape,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    return _render(environment, "table.tex.j2", table)


def to_html(table: Table, templates: str | Path = TEMPLATES) -> str:
    """A `<figure>` with the table, its caption and notes; styled by ``report.css``.

    `templates` is the folder with ``table.html.j2``. Every value is escaped.
    """
    environment = Environment(
        loader=FileSystemLoader(templates),
        undefined=StrictUndefined,
        autoescape=True,
        extensions=[Joined],
    )
    return _render(environment, "table.html.j2", table) + "\n"


class Joined(Extension):
    """Leaves out a template's own line breaks, with the space about them, and no value's."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        return re.sub(r"\s*\n\s*", "", source)


def write_all(
    table: Table, folder: str | Path, stem: str, templates: str | Path = TEMPLATES
) -> list[Path]:
    """Write ``<stem>.csv``, ``.md``, ``.tex`` and ``.html`` into `folder`, each atomically."""
    texts = {
        ".csv": to_csv(table),
        ".md": to_markdown(table),
        ".tex": to_latex(table, templates),
        ".html": to_html(table, templates),
    }
    paths = []
    for suffix, text in texts.items():
        path = Path(folder) / f"{stem}{suffix}"
        write_text(path, text)
        paths.append(path)
    return paths


def _render(environment: Environment, name: str, table: Table) -> str:
    return environment.get_template(name).render(
        title=table.title,
        caption=table.caption,
        headings=headings(table),
        rows=list(rows(table)),
        notes=notes(table),
        absent=ABSENT,
    )


def _markdown_cell(cell: Cell) -> str:
    ours = f"**{cell.ours}**" if cell.best else cell.ours
    ours += "\\*" if cell.significant else ""
    if cell.interval:
        ours += f" [{cell.interval}]"
    if cell.short_of is not None:
        ours += f" (n = {cell.short_of})"
    return ours


def _pipe(parts: list[str]) -> str:
    return "| " + " | ".join(str(p).replace("|", "\\|") for p in parts) + " |"
