"""Tables: records aggregated beside the published numbers, in four formats."""

from warpline.tables.build import build, pair_values
from warpline.tables.entry import TableEntry
from warpline.tables.render import to_csv, to_html, to_latex, to_markdown, write_all
from warpline.tables.table import Table

__all__ = [
    "Table",
    "TableEntry",
    "build",
    "pair_values",
    "to_csv",
    "to_html",
    "to_latex",
    "to_markdown",
    "write_all",
]
