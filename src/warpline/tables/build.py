"""From tidy records to a table: one row a method and set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from warpline.errors import WarplineError
from warpline.evaluation.records import SEED
from warpline.registry import suggestion
from warpline.tables.entry import Column, RowEntry, TableEntry
from warpline.tables.intervals import Sample, case_interval, paired_test
from warpline.tables.statistics import aggregate, effect_size, holm
from warpline.tables.structure import structure_of

PAIR = ["dataset", "split", "fixed", "moving"]
LABEL = [*PAIR, "label"]
VANISHED = "vanished"  # of `warpline.evaluation.pairs`
PARTS = ("", "_published", "_ci_low", "_ci_high", "_p", "_p_holm", "_effect", "_n", "_left_out")


def pair_values(records: pd.DataFrame, row: RowEntry, column: Column) -> pd.Series:
    """The values that one cell aggregates.

    Parameters
    ----------
    records
        Tidy records.
    row
        With `fixed` and `moving` only this pair counts.
    column
        With a `label` only this one counts; `within` chooses labels: those with ``{method: affine,
        metric: tre, at_most: 8}`` are the landmarks of Sokooti's TRE′.

    Returns
    -------
    pandas.Series
        Values, indexed by `dataset, split, fixed, moving`, `label` and `seed`; NaN where a label
        could not be measured.
    """
    chosen = _of(records, row, row.method, column.metric)
    if column.label is not None:
        chosen = chosen[chosen["label"] == column.label]
    if SEED not in chosen:
        chosen = chosen.assign(**{SEED: 0})
    values = chosen.set_index([*LABEL, SEED])["value"]
    within = column.within
    if within is not None:
        other = _of(records, row, within.method or row.method, within.metric)
        other = other.groupby(LABEL)["value"].mean()
        above = -np.inf if within.above is None else within.above
        chosen = other[(other <= within.at_most) & (other > above)]
        values = values[values.index.droplevel(SEED).isin(chosen.index)]
    return values


def asked_for(records: pd.DataFrame, table: TableEntry) -> pd.DataFrame:
    """All of the records that `build` looks at: their own metrics, and which pairs there are.

    Returns
    -------
    pandas.DataFrame
        Records of the metrics of the table's columns, and one of each other pair and seed without
        a metric.
    """
    methods = [row.method for row in table.rows]
    methods += [c.within.method for c in table.columns.values() if c.within is not None]
    metrics = {VANISHED, *(column.metric for column in table.columns.values())}
    metrics |= {c.within.metric for c in table.columns.values() if c.within is not None}
    own = records[records["method"].isin([method for method in methods if method is not None])]
    identity = ["method", *PAIR, *([SEED] if SEED in own else [])]
    return pd.concat(
        [own[own["metric"].isin(metrics)], own[identity].drop_duplicates()], ignore_index=True
    )


def build(
    records: pd.DataFrame, table: TableEntry, *, seed: int = 0, resamples: int = 2000
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
        A row without `method` stands as published; an `optional` column is left out if no row has a
        value for it, of ours or published.
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
    columns, rows = table.columns, table.rows
    references = _references(table)
    cache: dict[tuple[int, str], pd.Series] = {}

    def values_of(position: int, name: str) -> pd.Series:
        if (position, name) not in cache:
            cache[position, name] = pair_values(records, rows[position], columns[name])
        return cache[position, name]

    result = []
    for position, row in enumerate(rows):
        _refuse_unknown(row, columns)
        entry: dict[str, Any] = {
            "row": row.id,
            "title": row.title,
            "set": row.set,
            "dataset": row.dataset or "",
            "method": row.method or "",
            "split": row.split or "",
            **_counts(records, row),
        }
        reference = references.get(row.set)
        for name, column in columns.items():
            run = row.method is not None
            cell = _empty_cell()
            if run:
                cell = _cell(values_of(position, name), column, row.single, seed, resamples)
            # The test is of pairs' means: nothing of it belongs beside a standard deviation.
            tested = column.statistic != "std" and reference not in (None, position)
            if run and tested:
                both = values_of(position, name), values_of(reference, name)
                cell["p"], cell["effect"] = _compare(*both, row.single)
            cell["published"] = _number(row.published.get(name))
            entry |= {name + part: cell[part.removeprefix("_")] for part in PARTS}
        result.append(entry)
    frame = pd.DataFrame(result)
    _adjust(frame, {name: c for name, c in columns.items() if is_judged(name, c, rows)})
    unmeasured = _unmeasured(frame, columns)
    return frame.drop(columns=[name + part for name in unmeasured for part in PARTS])


def is_judged(name: str, column: Column, rows: Iterable[RowEntry]) -> bool:
    """Whether methods are judged by a column, so that its tests count and may have stars.

    As its `judged` says; where that is None, if more or less of it is better and some row publishes
    it.
    """
    if column.judged is not None:
        return column.judged
    return column.better != "none" and any(name in row.published for row in rows)


def _of(records: pd.DataFrame, row: RowEntry, method: str, metric: str) -> pd.DataFrame:
    chosen = _of_method(records, row, method)
    return chosen[chosen["metric"] == metric]


def _of_method(records: pd.DataFrame, row: RowEntry, method: str) -> pd.DataFrame:
    wanted = {key: getattr(row, key) for key in PAIR} | {"method": method}
    alike = [records[key] == value for key, value in wanted.items() if value is not None]
    return records[np.logical_and.reduce(alike)]


def _references(table: TableEntry) -> dict[str, int]:
    """Set → position of its reference row."""
    if table.reference is None:
        return {}
    run = [(position, row) for position, row in enumerate(table.rows) if row.method is not None]
    found = {row.set: position for position, row in run if row.id == table.reference}
    if not found:
        ids = dict.fromkeys(row.id for _, row in run)
        raise WarplineError(
            f"The reference row {table.reference!r} is no row of the table that is run.",
            where=table.title,
            do=f"Set reference to one of {', '.join(ids)}.",
        )
    return found


def _counts(records: pd.DataFrame, row: RowEntry) -> dict[str, float]:
    """Of a row: pairs, cases, seeds, what is drawn, and the labels that warping lost."""
    if row.method is None:
        return {"n": 0, "cases": 0, "seeds": 0, "independent": 0, "vanished": float("nan")}
    chosen = _of_method(records, row, row.method)
    if chosen.empty:
        raise WarplineError(
            f"There are no records for the row {row.id!r}.",
            where=f"dataset {row.dataset}, method {row.method}, split {row.split}",
            do="Evaluate this experiment, or leave out the row's method to show it as published.",
        )
    pairs = chosen[PAIR].drop_duplicates()
    names = set(pairs["fixed"]) | set(pairs["moving"])
    lost = chosen.loc[chosen["metric"] == VANISHED, "value"]
    return {
        "n": len(pairs),
        "cases": len(names - {""}),
        "seeds": int(chosen[SEED].nunique()) if SEED in chosen else 1,
        "independent": 0 if row.single else structure_of(pairs["fixed"], pairs["moving"]).drawn,
        "vanished": float("nan") if lost.empty else float(lost.sum()),
    }


def _cell(
    values: pd.Series, column: Column, single: bool, seed: int, resamples: int
) -> dict[str, float]:
    cell = _empty_cell()
    finite = values[np.isfinite(values)]
    gaps = values[~np.isfinite(values)]
    cell["left_out"] = len(gaps.groupby(level=PAIR).size())
    if finite.empty:
        return cell
    if column.over == "labels":
        sample = sample_of(finite, single)
    else:
        sample = sample_of(finite.groupby(level=[*PAIR, SEED]).mean(), False)
    cell[""] = float(aggregate(column.statistic, column.q)(sample.values))
    cell["ci_low"], cell["ci_high"] = case_interval(
        sample, column.statistic, column.q, seed=seed, resamples=resamples
    )
    cell["n"] = len(finite.groupby(level=PAIR).size())
    return cell


def _empty_cell() -> dict[str, float]:
    gaps = dict.fromkeys(("", "ci_low", "ci_high", "p", "p_holm", "effect"), float("nan"))
    return {**gaps, "n": 0, "left_out": 0}


def sample_of(values: pd.Series, single: bool = False) -> Sample:
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
    p = paired_test(*(sample_of(part, single) for part in common))
    return p, effect_size(by_unit.iloc[:, 0] - by_unit.iloc[:, 1])


def _adjust(frame: pd.DataFrame, judged: Mapping[str, Column]) -> None:
    """Fill in p by Holm of the columns that methods are judged by.

    Columns that aggregate the same values differently have one test, which counts once.
    """
    tests: dict[tuple, list[str]] = {}
    for name, column in judged.items():
        tests.setdefault((column.metric, column.label, column.within), []).append(name)
    if not tests or frame.empty:
        return
    p = frame[[f"{names[0]}_p" for names in tests.values()]].to_numpy(float)
    for names, adjusted in zip(tests.values(), holm(p.ravel()).reshape(p.shape).T, strict=True):
        for name in names:
            frame[f"{name}_p_holm"] = adjusted


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _refuse_unknown(row: RowEntry, columns: Mapping[str, Column]) -> None:
    for name in row.published:
        if name not in columns:
            raise WarplineError(
                f"The row {row.id!r} publishes {name!r}, which is no column.",
                do=suggestion(name, columns),
            )


def _unmeasured(frame: pd.DataFrame, columns: Mapping[str, Column]) -> list[str]:
    """Optional columns without any value; another column that no run row has is an error."""
    if not (frame["n"] > 0).any():
        return []
    empty = [name for name in columns if frame[f"{name}_n"].sum() == 0]
    for name in empty:
        if not columns[name].optional:
            raise WarplineError(
                f"No record has a value for the column {name!r}.",
                where=f"metric {columns[name].metric}",
                do="Correct the metric's name, evaluate a dataset that has what it measures, "
                "or mark the column optional.",
            )
    return [name for name in empty if frame[f"{name}_published"].isna().all()]
