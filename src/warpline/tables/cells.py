"""A table's cells as text, ready to be set in any format."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from warpline.plan.kinds import UNREGISTERED
from warpline.tables.build import is_judged
from warpline.tables.entry import Column
from warpline.tables.table import Table

SIGNIFICANT = 0.05
ABSENT = "–"
FEW = 10  # independent cases
# Splits whose names are no words, as a set that is named by its split is shown.
SETS = {"val": "validation", "train": "training"}
OVERLAPS = ("dice", "hd95", "hausdorff", "hd95_voxels", "hausdorff_voxels")


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


@dataclass(frozen=True)
class Heading:
    """What stands above a column: `better` is ``higher``, ``lower`` or ``none``."""

    title: str
    better: str
    words: list[str]
    """``ours``, and ``published`` if the paper prints anything."""


@dataclass(frozen=True)
class Row:
    """One row; `published_only` if it was not run here."""

    set: str
    title: str
    n: str
    cells: list[Cell]
    published_only: bool


@dataclass(frozen=True)
class Note:
    """A sentence below the table; `starred` if it explains the asterisk."""

    text: str
    starred: bool = False


def headings(table: Table) -> list[Heading]:
    """The headings of the columns that are shown."""
    return [
        Heading(
            _title_with_unit(column),
            column.better,
            ["ours", *(["published"] if _published_decimals(table, name) else [])],
        )
        for name, column in table.shown.items()
    ]


def rows(table: Table) -> Iterator[Row]:
    """The rows in their order."""
    best = {name: _best(table, name, column) for name, column in table.shown.items()}
    digits = {name: _published_decimals(table, name) for name in table.shown}
    for position, row in enumerate(table.frame.to_dict("records")):
        yield Row(
            set=SETS.get(str(row["set"]), str(row["set"])),
            title=str(row["title"]),
            n=_counts(row),
            cells=[
                _format(row, name, column, position in best[name], digits[name])
                for name, column in table.shown.items()
            ],
            published_only=row["n"] == 0,
        )


def notes(table: Table) -> list[Note]:
    """What a reader has to know of the numbers."""
    run = table.frame[table.frame["n"] > 0]
    several = ", seeds" if (run["seeds"] > 1).any() else ""
    found = [
        Note(
            f"Brackets: 95 % bootstrap interval that draws cases. n: pairs (cases{several}). "
            "Bold: best of our values in a set, where all labels are counted."
        )
    ]
    few = run["independent"].between(1, FEW - 1)
    if few.any():
        where = "" if few.all() else " in some rows"
        found.append(
            Note(f"Fewer than ten independent cases{where}: intervals tend to be too short.")
        )
    found += _tested(table)
    found += _uncounted(table, run)
    if (table.frame["n"] == 0).any():
        found.append(Note("Rows marked “as published” were not run here."))
    return found


def _counts(row: Mapping[str, Any]) -> str:
    """Pairs, and in brackets cases and seeds; without brackets in the row of a single pair."""
    if not row["n"]:
        return ABSENT
    if not row["independent"]:
        return str(row["n"])
    seeds = f", {row['seeds']}" if row["seeds"] > 1 else ""
    return f"{row['n']} ({row['cases']}{seeds})"


def _tested(table: Table) -> list[Note]:
    """What an asterisk says, if there is a row to compare with."""
    entry = table.entry
    judged = [column for name, column in table.shown.items() if is_judged(name, column, entry.rows)]
    if entry.reference is None or not judged:
        return []
    title = next(row.title for row in entry.rows if row.id == entry.reference)
    columns = ", ".join(column.title for column in judged)
    return [
        Note(
            f"differs from “{title}” with p < {SIGNIFICANT} (paired t test over common pairs that "
            f"draws cases; Holm’s correction over the tests of {columns}).",
            starred=True,
        )
    ]


def _uncounted(table: Table, run: pd.DataFrame) -> list[Note]:
    """Labels that warping lost, and pairs that lack a label from the start."""
    found = []
    lost = [f"{row.title} {int(row.vanished)}" for row in run.itertuples() if row.vanished > 0]
    if lost:
        found.append(
            Note(
                "Labels that warping lost count with a Dice of 0 and the image's diagonal as "
                f"distance; their number: {', '.join(lost)}."
            )
        )
    missing = {
        column.title: int(run[f"{name}_left_out"].max())
        for name, column in table.shown.items()
        if column.metric in OVERLAPS and (run[f"{name}_left_out"] > 0).any()
    }
    if missing:
        parts = ", ".join(f"{title} {count}" for title, count in missing.items())
        found.append(
            Note(
                "Labels that the fixed or the moving map lacks are left out; "
                f"pairs that this concerns: {parts}."
            )
        )
    return found


def _best(table: Table, name: str, column: Column) -> set[int]:
    """Positions of the best of our values in each set: equal as printed is equal.

    The identity takes no part: doing nothing is always smoothest and fastest. Nor does a row that
    counts fewer pairs or labels than another of its set: leaving out is no merit. What prints as 0
    where less is better is as good as doing nothing, and no best either.
    """
    frame = table.frame[(table.frame["method"] != UNREGISTERED) & (table.frame["n"] > 0)]
    by_set = frame.groupby("set")
    whole = frame[f"{name}_n"] == by_set[f"{name}_n"].transform("max")
    least = frame[f"{name}_left_out"] == by_set[f"{name}_left_out"].transform("min")
    frame = frame[whole & least]
    values = frame[name].round(column.decimals)
    found: set[int] = set()
    for _, group in values.groupby(frame["set"]):
        group = group.dropna()
        if column.better in ("higher", "lower") and len(group) > 1:
            extreme = group.max() if column.better == "higher" else group.min()
            if column.better == "higher" or extreme != 0:
                found.update(group.index[group == extreme])
    return found


def _format(
    row: Mapping[str, Any],
    name: str,
    column: Column,
    best: bool,
    digits: Mapping[str, int],
) -> Cell:
    decimals = column.decimals
    places = digits.get(row["set"], 0)
    ours, published = _number(row[name], decimals), _number(row[f"{name}_published"], places)
    if column.spread is not None:
        ours = _with_spread(ours, row.get(column.spread), decimals)
        published = _with_spread(published, row.get(f"{column.spread}_published"), places)
    low, high = row[f"{name}_ci_low"], row[f"{name}_ci_high"]
    p, n = row[f"{name}_p_holm"], row[f"{name}_n"]
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


def _published_decimals(table: Table, name: str) -> dict[str, int]:
    """Set → digits after the point that the paper prints in this column (and in its spread's).

    A number in a configuration file has lost its last zeros: 0.80 beside 0.83 is 0.8.
    """
    decimals: dict[str, int] = {}
    own = table.entry.columns[name]
    for column in [name, own.spread] if own.spread in table.columns else [name]:
        values = table.frame[f"{column}_published"]
        for place, value in zip(table.frame["set"], values, strict=True):
            if pd.isna(value):
                continue
            printed = np.format_float_positional(value, trim="-").partition(".")[2]
            decimals[place] = max(decimals.get(place, own.published_decimals), len(printed))
    return decimals


def _title_with_unit(column: Column) -> str:
    return f"{column.title} ({column.unit})" if column.unit else column.title
