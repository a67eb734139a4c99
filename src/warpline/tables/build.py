"""From tidy records to a table: one row a method and set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from warpline.errors import WarplineError
from warpline.evaluation.records import SEED
from warpline.registry import suggestion
from warpline.tables.intervals import Sample, case_interval, paired_test
from warpline.tables.statistics import aggregate, effect_size, holm
from warpline.tables.structure import structure_of

PAIR = ["dataset", "split", "fixed", "moving"]
LABEL = [*PAIR, "label"]
VANISHED = "vanished"  # of `warpline.evaluation.pairs`
PARTS = ("", "_published", "_ci_low", "_ci_high", "_p", "_p_holm", "_effect", "_n", "_left_out")


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
        Values, indexed by `dataset, split, fixed, moving`, `label` and `seed`; NaN where a label
        could not be measured.
    """
    chosen = _of(records, row, row["method"], column["metric"])
    if column.get("label") is not None:
        chosen = chosen[chosen["label"] == column["label"]]
    if SEED not in chosen:
        chosen = chosen.assign(**{SEED: 0})
    values = chosen.set_index([*LABEL, SEED])["value"]
    within = column.get("within")
    if within is not None:
        other = _of(records, row, within.get("method", row["method"]), within["metric"])
        other = other.groupby(LABEL)["value"].mean()
        chosen = other[(other <= within["at_most"]) & (other > within.get("above", -np.inf))]
        values = values[values.index.droplevel(SEED).isin(chosen.index)]
    return values


def build(
    records: pd.DataFrame, table: Mapping[str, Any], *, seed: int = 0, resamples: int = 2000
) -> pd.DataFrame:
    """Aggregate records into a table.

    A pair's value is the mean over its labels (gaps left out); the column's `statistic` (``mean``,
    ``median``, ``std`` or ``quantile`` of order ``q``) is taken over pairs. With ``over: labels``
    every label or landmark counts for itself, as in tables of mean ± sd over landmarks. Intervals
    and tests draw cases, not pairs; in the row of a single pair they draw its labels. Records with
    a column `seed` are of several trainings, which are pooled, and drawn besides.

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
        a row that stands as published), `cases`, `seeds`, `independent` (what is drawn: groups of
        pairs that no case links, else cases; 0 in the row of a single pair), `vanished` (labels
        that warping lost, over all pairs and seeds; NaN where that was not looked at), and for
        each column

        ``<c>``, ``<c>_published``, ``<c>_ci_low``, ``<c>_ci_high``
            The value and its 95 % interval, see `warpline.tables.intervals.case_interval`.
        ``<c>_p``, ``<c>_p_holm``, ``<c>_effect``
            Of the paired differences of pairs' means from the reference row's of the same set, over
            common pairs: p, see `warpline.tables.intervals.paired_test`; p by Holm over all tests
            of the columns that are `judged`, NaN in others; Cohen's d_z. NaN for the reference
            itself and for columns of standard deviations.
        ``<c>_n``, ``<c>_left_out``
            Pairs with a value, and pairs in which some label has none.

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
            **_counts(records, row),
        }
        reference = references.get(entry["set"])
        for name, column in columns.items():
            run = row.get("method") is not None
            single = "fixed" in row
            cell = _empty_cell()
            if run:
                cell = _cell(values_of(position, name), column, single, seed, resamples)
            # The test is of pairs' means: nothing of it belongs beside a standard deviation.
            tested = column.get("statistic") != "std" and reference not in (None, position)
            if run and tested:
                both = values_of(position, name), values_of(reference, name)
                cell["p"], cell["effect"] = _compare(*both, single)
            cell["published"] = _number(published.get(name))
            entry |= {name + part: cell[part.removeprefix("_")] for part in PARTS}
        result.append(entry)
    frame = pd.DataFrame(result)
    _adjust(frame, {name: c for name, c in columns.items() if is_judged(name, c, rows)})
    unmeasured = _unmeasured(frame, columns)
    return frame.drop(columns=[name + part for name in unmeasured for part in PARTS])


def is_judged(name: str, column: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether methods are judged by a column, so that its tests count and may have stars.

    As its key ``judged`` says; without it, if more or less of it is better and some row publishes
    it.
    """
    if column.get("judged") is not None:
        return bool(column["judged"])
    published = any(name in (row.get("published") or {}) for row in rows)
    return column.get("better", "none") != "none" and published


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


def _counts(records: pd.DataFrame, row: Mapping[str, Any]) -> dict[str, float]:
    """Of a row: pairs, cases, seeds, what is drawn, and the labels that warping lost."""
    if row.get("method") is None:
        return {"n": 0, "cases": 0, "seeds": 0, "independent": 0, "vanished": float("nan")}
    chosen = _of_method(records, row, row["method"])
    if chosen.empty:
        raise WarplineError(
            f"There are no records for the row {row['id']!r}.",
            where=f"dataset {row['dataset']}, method {row['method']}, split {row['split']}",
            do="Evaluate this experiment, or leave out the row's method to show it as published.",
        )
    pairs = chosen[PAIR].drop_duplicates()
    names = set(pairs["fixed"]) | set(pairs["moving"])
    lost = chosen.loc[chosen["metric"] == VANISHED, "value"]
    return {
        "n": len(pairs),
        "cases": len(names - {""}),
        "seeds": int(chosen[SEED].nunique()) if SEED in chosen else 1,
        "independent": 0 if "fixed" in row else structure_of(pairs["fixed"], pairs["moving"]).drawn,
        "vanished": float("nan") if lost.empty else float(lost.sum()),
    }


def _cell(
    values: pd.Series, column: Mapping[str, Any], single: bool, seed: int, resamples: int
) -> dict[str, float]:
    cell = _empty_cell()
    finite = values[np.isfinite(values)]
    gaps = values[~np.isfinite(values)]
    cell["left_out"] = len(gaps.groupby(level=PAIR).size())
    if finite.empty:
        return cell
    if column.get("over", "pairs") == "labels":
        sample = _sample(finite, single)
    else:
        sample = _sample(finite.groupby(level=[*PAIR, SEED]).mean(), False)
    statistic, q = column.get("statistic", "mean"), column.get("q")
    cell[""] = float(aggregate(statistic, q)(sample.values))
    cell["ci_low"], cell["ci_high"] = case_interval(
        sample, statistic, q, seed=seed, resamples=resamples
    )
    cell["n"] = len(finite.groupby(level=PAIR).size())
    return cell


def _empty_cell() -> dict[str, float]:
    gaps = dict.fromkeys(("", "ci_low", "ci_high", "p", "p_holm", "effect"), float("nan"))
    return {**gaps, "n": 0, "left_out": 0}


def _sample(values: pd.Series, single: bool) -> Sample:
    """Of values of pairs, or of the labels of a single one."""
    levels = ("label", "label") if single else ("fixed", "moving")
    return Sample.of(
        values.to_numpy(),
        *(values.index.get_level_values(level) for level in levels),
        values.index.get_level_values(SEED),
    )


def _compare(values: pd.Series, reference: pd.Series, single: bool) -> tuple[float, float]:
    """(p, effect) of the means of common pairs, or labels of a single one."""
    units = LABEL if single else PAIR
    means = [
        part[np.isfinite(part)].groupby(level=[*units, SEED]).mean() for part in (values, reference)
    ]
    by_unit = pd.concat([part.groupby(level=units).mean() for part in means], axis=1, join="inner")
    if by_unit.empty:
        return float("nan"), float("nan")
    common = [part[part.index.droplevel(SEED).isin(by_unit.index)] for part in means]
    p = paired_test(*(_sample(part, single) for part in common))
    return p, effect_size(by_unit.iloc[:, 0] - by_unit.iloc[:, 1])


def _adjust(frame: pd.DataFrame, judged: Mapping[str, Mapping[str, Any]]) -> None:
    """Fill in p by Holm of the columns that methods are judged by.

    Columns that aggregate the same values differently have one test, which counts once.
    """
    tests: dict[str, list[str]] = {}
    for name, column in judged.items():
        parts = [column.get(key) for key in ("metric", "label", "within")]
        tests.setdefault(repr(parts), []).append(name)
    if not tests or frame.empty:
        return
    p = frame[[f"{names[0]}_p" for names in tests.values()]].to_numpy(float)
    for names, adjusted in zip(tests.values(), holm(p.ravel()).reshape(p.shape).T, strict=True):
        for name in names:
            frame[f"{name}_p_holm"] = adjusted


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
