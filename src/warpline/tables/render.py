"""A table as CSV, Markdown, LaTeX and HTML; the published value stands beside ours in each."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from warpline.files import write_text
from warpline.tables.build import Table

SIGNIFICANT = 0.05
ABSENT = "–"
IDENTITY_METHOD = "identity"


@dataclass(frozen=True)
class Cell:
    """One cell, ready to be set in any format: numbers as text, `ABSENT` where there is none."""

    ours: str
    interval: str
    published: list[str]
    """What the paper prints; empty in a column for which it prints nothing at all."""
    best: bool
    significant: bool
    short_of: int | None
    """Number of pairs with a value, where fewer than the row's."""


def to_csv(table: Table) -> str:
    """Every column of the frame, in full precision; UTF-8, empty where there is no value."""
    return table.frame.to_csv(index=False, lineterminator="\n")


def to_markdown(table: Table) -> str:
    """A table for a page on the web; ours and published are columns of their own."""
    header = ["Set", "Method", "n"]
    for name, column in table.shown.items():
        header += [f"{_with_direction(column)}, ours [95 %]", *_published_heading(table, name)]
    lines = [_pipe(header), _pipe(["---", "---", *["---:"] * (len(header) - 2)])]
    for row, cells in _rows(table):
        line = [row["set"], _row_title(row), _n(row)]
        for cell in cells:
            ours = f"**{cell.ours}**" if cell.best else cell.ours
            ours += "\\*" if cell.significant else ""
            if cell.interval:
                ours += f" [{cell.interval}]"
            if cell.short_of is not None:
                ours += f" (n = {cell.short_of})"
            line += [ours, *cell.published]
        lines.append(_pipe(line))
    notes = [f"{note}\n" for note in _notes(table, significant="\\*")]
    return "\n".join([f"**{table.title}.** {table.caption}", "", *lines, "", *notes])


def to_latex(table: Table) -> str:
    """A `table` environment for `booktabs`; ours and published share a column's heading."""
    headings = {name: ["ours", *_published_heading(table, name)] for name in table.shown}
    groups = " & ".join(
        rf"\multicolumn{{{len(headings[name])}}}{{c}}"
        rf"{{{_tex(_title_with_unit(column))} {_tex_direction(column)}}}"
        for name, column in table.shown.items()
    )
    below = [word for words in headings.values() for word in words]
    rules, first = [], 4
    for words in headings.values():
        rules.append(rf"\cmidrule(lr){{{first}-{first + len(words) - 1}}}")
        first += len(words)
    body: list[str] = []
    previous = None
    for row, cells in _rows(table):
        if previous is not None and row["set"] != previous:
            body.append(r"\midrule")
        previous = row["set"]
        parts = [_tex(row["set"]), _tex(_row_title(row)), _tex(_n(row))]
        for cell in cells:
            ours = rf"\textbf{{{_tex(cell.ours)}}}" if cell.best else _tex(cell.ours)
            ours += "$^{*}$" if cell.significant else ""
            if cell.interval:
                ours += rf" {{\scriptsize [{_tex(cell.interval)}]}}"
            if cell.short_of is not None:
                ours += rf" {{\scriptsize ($n = {cell.short_of}$)}}"
            parts += [ours, *map(_tex, cell.published)]
        body.append(" & ".join(parts) + r" \\")
    notes = " ".join(_tex(note).replace("@", "$^{*}$") for note in _notes(table, significant="@"))
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_tex(table.title)}. {_tex(table.caption)}}}",
            rf"\begin{{tabular}}{{llr{'r' * len(below)}}}",
            r"\toprule",
            rf" & & & {groups} \\",
            " ".join(rules),
            "Set & Method & $n$ & " + " & ".join(below) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\par\smallskip {{\footnotesize {notes}\par}}",
            r"\end{table}",
            "",
        ]
    )


def to_html(table: Table) -> str:
    """A `<figure>` with the table, its caption and notes; styled by ``report.css``."""
    headings = {name: ["ours", *_published_heading(table, name)] for name in table.shown}
    head = "".join(
        f'<th scope="colgroup" colspan="{len(headings[name])}">'
        f"{_escape(_title_with_unit(column))} {_html_direction(column)}</th>"
        for name, column in table.shown.items()
    )
    words = [word for group in headings.values() for word in group]
    below = "".join(f'<th scope="col">{word}</th>' for word in words)
    head = (
        f'<tr><th scope="col" rowspan="2">Method</th><th scope="col" rowspan="2">n</th>{head}</tr>'
        f"<tr>{below}</tr>"
    )
    bodies: list[str] = []
    previous = None
    for row, cells in _rows(table):
        if row["set"] != previous:
            bodies.append(
                f'<tr class="set"><th scope="rowgroup" colspan="{2 + len(words)}">'
                f"{_escape(row['set'])}</th></tr>"
                if row["set"]
                else ""
            )
            previous = row["set"]
        only = row["n"] == 0
        marks = ' class="published-only"' if only else ""
        line = f'<th scope="row">{_escape(str(row["title"]))}'
        line += ' <span class="tag">as published</span>' if only else ""
        line += f'</th><td class="n">{_n(row)}</td>'
        line += "".join(_html_cell(cell) for cell in cells)
        bodies.append(f"<tr{marks}>{line}</tr>")
    notes = "".join(
        f"<p>{_escape(note).replace('@', '<sup>*</sup>')}</p>"
        for note in _notes(table, significant="@")
    )
    caption = f"<strong>{_escape(table.title)}.</strong> {_escape(table.caption)}"
    return (
        f'<figure class="table"><figcaption>{caption}</figcaption>'
        f'<div class="scroll" role="region" tabindex="0" aria-label="{_escape(table.title)}">'
        f'<table aria-label="{_escape(table.title)}">'
        f"<thead>{head}</thead><tbody>{''.join(bodies)}</tbody></table></div>"
        f'<div class="notes">{notes}</div></figure>\n'
    )


def write_all(table: Table, folder: str | Path, stem: str) -> list[Path]:
    """Write ``<stem>.csv``, ``.md``, ``.tex`` and ``.html`` into `folder`, each atomically."""
    texts = {
        ".csv": to_csv(table),
        ".md": to_markdown(table),
        ".tex": to_latex(table),
        ".html": to_html(table),
    }
    paths = []
    for suffix, text in texts.items():
        path = Path(folder) / f"{stem}{suffix}"
        write_text(path, text)
        paths.append(path)
    return paths


def _rows(table: Table) -> Iterator[tuple[Mapping[str, Any], list[Cell]]]:
    best = {name: _best(table, name, column) for name, column in table.shown.items()}
    digits = {name: _published_decimals(table, name) for name in table.shown}
    for position, row in enumerate(table.frame.to_dict("records")):
        yield (
            row,
            [
                _format(row, name, column, position in best[name], digits[name])
                for name, column in table.shown.items()
            ],
        )


def _best(table: Table, name: str, column: Mapping[str, Any]) -> set[int]:
    """Positions of the best of our values in each set: equal as printed is equal.

    The identity takes no part: doing nothing is always smoothest and fastest.
    """
    better = column.get("better")
    frame = table.frame[table.frame["method"] != IDENTITY_METHOD]
    values = frame[name].round(column.get("decimals", 3))
    found: set[int] = set()
    for _, group in values.groupby(frame["set"]):
        group = group.dropna()
        if better in ("higher", "lower") and len(group) > 1:
            extreme = group.max() if better == "higher" else group.min()
            found.update(group.index[group == extreme])
    return found


def _format(
    row: Mapping[str, Any],
    name: str,
    column: Mapping[str, Any],
    best: bool,
    digits: Mapping[str, int],
) -> Cell:
    decimals = column.get("decimals", 3)
    places = digits.get(row["set"], 0)
    ours, published = _number(row[name], decimals), _number(row[f"{name}_published"], places)
    spread = column.get("spread")
    if spread is not None:
        ours = _with_spread(ours, row.get(spread), decimals)
        published = _with_spread(published, row.get(f"{spread}_published"), places)
    low, high = row[f"{name}_ci_low"], row[f"{name}_ci_high"]
    p, n = row[f"{name}_p"], row[f"{name}_n"]
    return Cell(
        ours=ours,
        interval=""
        if math.isnan(low) or low == high
        else f"{low:.{decimals}f}, {high:.{decimals}f}",
        published=[published] if digits else [],
        best=best,
        significant=not math.isnan(p) and p < SIGNIFICANT,
        short_of=int(n) if 0 < n < row["n"] else None,
    )


def _number(value: float, decimals: int) -> str:
    return ABSENT if pd.isna(value) else f"{value:.{decimals}f}"


def _with_spread(text: str, spread: float | None, decimals: int) -> str:
    return text if text == ABSENT or pd.isna(spread) else f"{text} ± {spread:.{decimals}f}"


def _published_heading(table: Table, name: str) -> list[str]:
    """The heading of a column's published values, if there are any."""
    return ["published"] if _published_decimals(table, name) else []


def _published_decimals(table: Table, name: str) -> dict[str, int]:
    """Set → digits after the point that the paper prints in this column (and in its spread's).

    A number in a configuration file has lost its last zeros: 0.80 beside 0.83 is 0.8.
    """
    decimals: dict[str, int] = {}
    spread = table.spec["columns"][name].get("spread")
    least = table.spec["columns"][name].get("published_decimals", 0)
    for column in [name, spread] if spread in table.columns else [name]:
        values = table.frame[f"{column}_published"]
        for place, value in zip(table.frame["set"], values, strict=True):
            if pd.isna(value):
                continue
            printed = np.format_float_positional(value, trim="-").partition(".")[2]
            decimals[place] = max(decimals.get(place, least), len(printed))
    return decimals


def _row_title(row: Mapping[str, Any]) -> str:
    return f"{row['title']} (as published)" if row["n"] == 0 else str(row["title"])


def _n(row: Mapping[str, Any]) -> str:
    return str(row["n"]) if row["n"] else ABSENT


def _title_with_unit(column: Mapping[str, Any]) -> str:
    unit = column.get("unit")
    return f"{column['title']} ({unit})" if unit else str(column["title"])


def _with_direction(column: Mapping[str, Any]) -> str:
    arrow = {"higher": " ↑", "lower": " ↓"}.get(column.get("better", ""), "")
    return _title_with_unit(column) + arrow


def _tex_direction(column: Mapping[str, Any]) -> str:
    return {"higher": r"$\uparrow$", "lower": r"$\downarrow$"}.get(column.get("better", ""), "")


def _html_direction(column: Mapping[str, Any]) -> str:
    words = {"higher": ("↑", "higher is better"), "lower": ("↓", "lower is better")}
    if column.get("better") not in words:
        return ""
    arrow, meaning = words[column["better"]]
    return f'<abbr title="{meaning}">{arrow}</abbr>'


def _notes(table: Table, significant: str) -> list[str]:
    notes = [
        "Brackets: 95 % bootstrap interval over pairs. n: pairs. Bold: best of our values in a set."
    ]
    reference = table.spec.get("reference")
    if reference is not None:
        title = next(r.get("title", r["id"]) for r in table.spec["rows"] if r["id"] == reference)
        notes.append(
            f"{significant} differs from “{title}” with p < {SIGNIFICANT} "
            "(Wilcoxon signed-rank test over common pairs)."
        )
    if (table.frame["n"] == 0).any():
        notes.append("Rows marked “as published” were not run here.")
    return notes


def _html_cell(cell: Cell) -> str:
    ours = f"<strong>{cell.ours}</strong>" if cell.best else cell.ours
    ours += "<sup>*</sup>" if cell.significant else ""
    if cell.interval:
        ours += f' <span class="interval">[{cell.interval}]</span>'
    if cell.short_of is not None:
        ours += f' <span class="interval">n = {cell.short_of}</span>'
    published = "".join(f'<td class="published">{text}</td>' for text in cell.published)
    return f'<td class="ours">{ours}</td>{published}'


def _pipe(parts: list[str]) -> str:
    return "| " + " | ".join(str(p).replace("|", "\\|") for p in parts) + " |"


def _escape(text: Any) -> str:
    return html.escape(str(text), quote=True)


_TEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "“": "``",
    "”": "''",
    "±": r"$\pm$",
    "′": r"$'$",
    "×": r"$\times$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "λ": r"$\lambda$",
    "≤": r"$\leq$",
    "²": r"$^2$",
    "³": r"$^3$",
}


def _tex(text: Any) -> str:
    return "".join(_TEX.get(character, character) for character in str(text))
