"""A paper's tables as the explorer shows them: each value with the pairs behind it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import pandas as pd

from warpline.evaluation.records import SEED
from warpline.plan.pairs import Pair
from warpline.tables.build import PAIR, pair_values
from warpline.tables.cells import Cell, headings, notes, rows
from warpline.tables.entry import Column, RowEntry, TableEntry
from warpline.tables.table import Table

TEXTS = ("row", "title", "set", "dataset", "method", "split")


def place_of(row: RowEntry) -> str:
    """What a row's pairs are kept under."""
    return f"{row.dataset}/{row.split}"


def read_table(
    path: str | os.PathLike, spec: Mapping[str, Any], values: Mapping[str, str]
) -> Table:
    """A table as it was written: its numbers are read, not computed again."""
    frame = pd.read_csv(path, keep_default_na=False, na_values={}, dtype=str)
    for name in frame.columns:
        if name not in TEXTS:
            frame[name] = pd.to_numeric(frame[name])
    return Table(frame, TableEntry.of(spec), values)


def table_content(
    table: Table, records: pd.DataFrame, pairs: Mapping[str, list[Pair]]
) -> dict[str, Any]:
    """What the page shows of a table.

    Parameters
    ----------
    records
        Of the paper.
    pairs
        Of every dataset and split (`place_of`), in the order by which values refer to them.

    Returns
    -------
    dict
        ``title``, ``caption``, ``notes``, ``columns``, ``rows``; a row's ``cells`` have the text,
        the number and its interval. The values of its pairs are the means of the column's metric,
        which the paper's ``scores`` have; of columns that count some labels alone they stand here
        under ``pairs``, None for none.
    """
    shown = table.shown
    content = []
    frame = table.frame.to_dict("records")
    for row, entry, numbers in zip(rows(table), table.entry.rows, frame, strict=True):
        cells = []
        for (name, column), cell in zip(shown.items(), row.cells, strict=True):
            found = _cell(cell, name, numbers)
            if entry.method is not None and (column.label or column.within):
                known = pairs.get(place_of(entry), [])
                found["pairs"] = _by_pair(records, entry, column, known)
            cells.append(found)
        content.append(
            {
                "id": entry.id,
                "title": row.title,
                "set": row.set,
                "n": row.n,
                "place": "" if entry.method is None else place_of(entry),
                "method": entry.method or "",
                "pair": [entry.fixed, entry.moving] if entry.single else None,
                "cells": cells,
            }
        )
    return {
        "title": table.title,
        "caption": table.caption,
        "notes": [("* " if note.starred else "") + note.text for note in notes(table)],
        "columns": [
            {
                "id": name,
                "title": heading.title,
                "metric": shown[name].metric,
                "better": heading.better,
                "decimals": shown[name].decimals,
                "published": len(heading.words) > 1,
                "says": _says(shown[name]),
            }
            for name, heading in zip(shown, headings(table), strict=True)
        ],
        "rows": content,
    }


def _cell(cell: Cell, name: str, numbers: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "text": cell.ours,
        "value": finite(numbers[name]),
        "interval": cell.interval,
        "published": cell.published[0] if cell.published else "",
        "best": cell.best,
        "star": cell.significant,
        "p": finite(numbers[f"{name}_p_holm"]),
        "short": cell.short_of,
    }


def _by_pair(
    records: pd.DataFrame, row: RowEntry, column: Column, pairs: list[Pair]
) -> list[float | None]:
    """The mean of each pair over its labels and over seeds."""
    values = pair_values(records, row, column).dropna()
    means = values.groupby(level=[*PAIR, SEED]).mean().groupby(level=["fixed", "moving"]).mean()
    known = means.to_dict()
    return [finite(known.get(pair)) for pair in pairs]


def _says(column: Column) -> str:
    """What a column aggregates, in words."""
    what = f"{column.q} quantile" if column.statistic == "quantile" else column.statistic
    what = {"std": "standard deviation"}.get(what, what)
    of = f"{column.metric} of {column.label}" if column.label else column.metric
    some = ", some landmarks only" if column.within else ""
    return f"{what} of {of} over {column.over}{some}"


def finite(value: float | None, digits: int = 6) -> float | None:
    """To so many significant digits; None for what is no number."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")
