"""From tidy records to a table: one row a method and set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from warpline.errors import WarplineError
from warpline.registry import suggestion
from warpline.tables.statistics import (
    aggregate,
    bootstrap_interval,
    clustered_interval,
    paired_test,
)

PAIR = ["dataset", "split", "fixed", "moving"]
LABEL = [*PAIR, "label"]
IDENTITY = ["row", "title", "set", "dataset", "method", "split", "n"]


@dataclass(frozen=True)
class Table:
    """A built table and what its renderers need to know.

    Attributes
    ----------
    frame
        From `build`.
    spec
        The table's mapping in ``config/papers/<paper>.yaml``.
    values
        Parameters of this run that the caption may quote: ``scale``, ``seed``, ``device``, …
    """

    frame: pd.DataFrame
    spec: Mapping[str, Any]
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The table's title."""
        return str(self.spec["title"])

    @property
    def columns(self) -> Mapping[str, Mapping[str, Any]]:
        """Column id → its specification, of the columns that the frame has."""
        return {k: c for k, c in self.spec["columns"].items() if k in self.frame.columns}

    @property
    def shown(self) -> Mapping[str, Mapping[str, Any]]:
        """The columns that stand for themselves: without those that are another's `spread`."""
        spreads = {c.get("spread") for c in self.spec["columns"].values()}
        return {k: c for k, c in self.columns.items() if k not in spreads}

    @property
    def caption(self) -> str:
        """The caption, with this run's values put in.

        ``{n}`` is always known: the numbers of pairs of the run's rows (``60`` or ``45–60``).

        Raises
        ------
        WarplineError
            If the caption asks for a value that this run does not have.
        """
        whole = ["fixed" not in row for row in self.spec["rows"]]
        counts = sorted({int(n) for n in self.frame["n"][whole] if n > 0})
        known = {"n": "–".join(map(str, dict.fromkeys([*counts[:1], *counts[-1:]]))), **self.values}
        try:
            return str(self.spec.get("caption", "")).format(**known)
        except (KeyError, IndexError, ValueError) as error:
            raise WarplineError(
                f"The caption cannot be filled in ({error!s}).",
                where=self.title,
                do=f"Use the names {', '.join(sorted(known))}, and {{{{ }}}} for plain braces.",
            ) from error


def pair_values(
    records: pd.DataFrame, row: Mapping[str, Any], column: Mapping[str, Any]
) -> pd.Series:
    """The values that one cell aggregates.

    Parameters
    ----------
    records
        Tidy records.
    row
        `dataset`, `method`, `split`; with `fixed` and `moving` only this pair counts.
    column
        `metric`; optionally `label` (only this one), `within` (only labels whose value of
        another measurement, of the row's own method if none is named, is at most so much and
        above so much: ``{method: affine, metric: tre, at_most: 8}`` are the landmarks of Sokooti's
        TRE′).

    Returns
    -------
    pandas.Series
        Finite values, indexed by `dataset, split, fixed, moving` and `label`.
    """
    chosen = _of(records, row, row["method"], column["metric"])
    if column.get("label") is not None:
        chosen = chosen[chosen["label"] == column["label"]]
    values = chosen.set_index(LABEL)["value"]
    within = column.get("within")
    if within is not None:
        other = _of(records, row, within.get("method", row["method"]), within["metric"])
        other = other.set_index(LABEL)["value"]
        chosen = other[(other <= within["at_most"]) & (other > within.get("above", -np.inf))]
        values = values[values.index.isin(chosen.index)]
    return values[np.isfinite(values)]


def build(
    records: pd.DataFrame, table: Mapping[str, Any], *, seed: int = 0, resamples: int = 2000
) -> pd.DataFrame:
    """Aggregate records into a table.

    A pair's value is the mean over its labels (gaps left out); the column's `statistic` (``mean``,
    ``median``, ``std`` or ``quantile`` of order ``q``) is taken over pairs. With ``over: labels``
    every label or landmark counts for itself, as in tables of mean ± sd over landmarks; intervals
    are still drawn over pairs. In the row of a single pair, intervals and tests are of its labels.

    Parameters
    ----------
    records
        Tidy records (`warpline.evaluation.records.COLUMNS`) of all the table's experiments.
    table
        `columns`, `rows` and `reference` (row id), as in ``config/papers/<paper>.yaml``. A row
        without `method` stands as published; a column with ``optional: true`` is left out if no
        row has a value for it, of ours or published.
    seed, resamples
        Of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        In the rows' order: `row`, `title`, `set`, `dataset`, `method`, `split`, `n` (pairs; 0 for
        a row that stands as published), and for each column ``<c>``, ``<c>_published``,
        ``<c>_ci_low``, ``<c>_ci_high`` (95 % bootstrap over pairs), ``<c>_p`` (Wilcoxon signed-rank
        test of the pairs' values against the reference row's of the same set, over common pairs;
        NaN for the reference itself and for columns of standard deviations) and ``<c>_n`` (pairs
        with a value).

    Raises
    ------
    WarplineError
        If the records lack a row's experiment or no row has a column's metric, or a row publishes
        an unknown column.
    """
    columns, rows = table["columns"], table["rows"]
    references = _references(table)
    cache: dict[tuple[int, str], pd.Series] = {}

    def values_of(position: int, name: str) -> pd.Series:
        if (position, name) not in cache:
            cache[position, name] = pair_values(records, rows[position], columns[name])
        return cache[position, name]

    result = []
    for position, row in enumerate(rows):
        published = row.get("published") or {}
        _refuse_unknown(published, columns, row)
        entry: dict[str, Any] = {
            "row": row["id"],
            "title": row.get("title", row["id"]),
            "set": row.get("set", ""),
            "dataset": row.get("dataset", ""),
            "method": row.get("method", ""),
            "split": row.get("split", ""),
            "n": _count(records, row),
        }
        reference = references.get(entry["set"])
        for name, column in columns.items():
            run = row.get("method") is not None
            units = LABEL if "fixed" in row else PAIR
            cell = _empty_cell()
            if run:
                cell = _cell(values_of(position, name), column, units, seed, resamples)
            # The test is of pairs' means: nothing of it belongs beside a standard deviation.
            tested = column.get("statistic") != "std" and reference not in (None, position)
            if run and tested:
                cell["p"] = _compare(values_of(position, name), values_of(reference, name), units)
            entry[name] = cell["value"]
            entry[f"{name}_published"] = _number(published.get(name))
            for part in ("ci_low", "ci_high", "p", "n"):
                entry[f"{name}_{part}"] = cell[part]
        result.append(entry)
    frame = pd.DataFrame(result)
    unmeasured = _unmeasured(frame, columns)
    parts = ("", "_published", "_ci_low", "_ci_high", "_p", "_n")
    return frame.drop(columns=[name + part for name in unmeasured for part in parts])


def _of(records: pd.DataFrame, row: Mapping[str, Any], method: str, metric: str) -> pd.DataFrame:
    chosen = _of_method(records, row, method)
    return chosen[chosen["metric"] == metric]


def _of_method(records: pd.DataFrame, row: Mapping[str, Any], method: str) -> pd.DataFrame:
    wanted = {key: row[key] for key in PAIR if key in row} | {"method": method}
    return records[np.logical_and.reduce([records[key] == value for key, value in wanted.items()])]


def _references(table: Mapping[str, Any]) -> dict[str, int]:
    """Set → position of its reference row."""
    wanted = table.get("reference")
    if wanted is None:
        return {}
    found = {
        row.get("set", ""): position
        for position, row in enumerate(table["rows"])
        if row["id"] == wanted and row.get("method") is not None
    }
    if not found:
        ids = dict.fromkeys(row["id"] for row in table["rows"] if row.get("method") is not None)
        raise WarplineError(
            f"The reference row {wanted!r} is no row of the table that is run.",
            where=table.get("title"),
            do=f"Set reference to one of {', '.join(ids)}.",
        )
    return found


def _count(records: pd.DataFrame, row: Mapping[str, Any]) -> int:
    if row.get("method") is None:
        return 0
    chosen = _of_method(records, row, row["method"])
    if chosen.empty:
        raise WarplineError(
            f"There are no records for the row {row['id']!r}.",
            where=f"dataset {row['dataset']}, method {row['method']}, split {row['split']}",
            do="Evaluate this experiment, or leave out the row's method to show it as published.",
        )
    return len(chosen[PAIR].drop_duplicates())


def _per(units: list[str], values: pd.Series) -> pd.Series:
    return values.groupby(level=units).mean()


def _cell(
    values: pd.Series, column: Mapping[str, Any], units: list[str], seed: int, resamples: int
) -> dict[str, float]:
    cell = _empty_cell()
    if values.empty:
        return cell
    statistic = aggregate(column.get("statistic", "mean"), column.get("q"))
    options = {"seed": seed, "resamples": resamples}
    pairs = _per(PAIR, values)
    if column.get("over", "pairs") == "labels":
        groups = [group.to_numpy() for _, group in values.groupby(level=units)]
        cell["value"] = float(statistic(values.to_numpy()))
        cell["ci_low"], cell["ci_high"] = clustered_interval(groups, statistic, **options)
    else:
        cell["value"] = float(statistic(pairs.to_numpy()))
        cell["ci_low"], cell["ci_high"] = bootstrap_interval(pairs.to_numpy(), statistic, **options)
    cell["n"] = len(pairs)
    return cell


def _empty_cell() -> dict[str, float]:
    return {**dict.fromkeys(("value", "ci_low", "ci_high", "p"), float("nan")), "n": 0}


def _compare(values: pd.Series, reference: pd.Series, units: list[str]) -> float:
    both = pd.concat([_per(units, values), _per(units, reference)], axis=1, join="inner")
    return paired_test(both.iloc[:, 0].to_numpy(), both.iloc[:, 1].to_numpy())


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _refuse_unknown(published: Mapping[str, Any], columns: Mapping[str, Any], row: Any) -> None:
    for name in published:
        if name not in columns:
            raise WarplineError(
                f"The row {row['id']!r} publishes {name!r}, which is no column.",
                do=suggestion(name, columns),
            )


def _unmeasured(frame: pd.DataFrame, columns: Mapping[str, Any]) -> list[str]:
    """Optional columns without any value; another column that no run row has is an error."""
    if not (frame["n"] > 0).any():
        return []
    empty = [name for name in columns if frame[f"{name}_n"].sum() == 0]
    for name in empty:
        if not columns[name].get("optional", False):
            raise WarplineError(
                f"No record has a value for the column {name!r}.",
                where=f"metric {columns[name]['metric']}",
                do="Correct the metric's name, evaluate a dataset that has what it measures, "
                "or mark the column optional.",
            )
    return [name for name in empty if frame[f"{name}_published"].isna().all()]
