"""Tidy records of what was measured, and the files that keep them.

Reading them needs no image library, so tables and plots start quickly.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from warpline.errors import WarplineError
from warpline.files import atomic_path

TEXT_COLUMNS = ("dataset", "method", "split", "fixed", "moving", "metric", "label", "unit")
COLUMNS = (*TEXT_COLUMNS[:7], "value", "unit")
# Of several trainings in one table, which one a record is of; 0 where nothing is trained.
SEED = "seed"
# Metrics of the arena beside those of `warpline.evaluation.pairs`: 1 for a pair that failed, and
# for a cell that was not run. Their label is the reason.
FAILED, SKIPPED = "failed", "skipped"


def row(metric: str, value: float, unit: str = "", label: str = "") -> dict[str, Any]:
    """One measurement."""
    return {"metric": metric, "label": label, "value": float(value), "unit": unit}


def records(
    rows: Iterable[Mapping[str, Any]],
    dataset: str,
    method: str,
    split: str,
    fixed: str,
    moving: str,
) -> pd.DataFrame:
    """The rows of one pair as tidy records (columns `COLUMNS`)."""
    identity = {
        "dataset": dataset,
        "method": method,
        "split": split,
        "fixed": fixed,
        "moving": moving,
    }
    return tidy([{**identity, **r} for r in rows])


def tidy(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of any pairs, with all of `COLUMNS`, as tidy records."""
    return _checked(pd.DataFrame(rows, columns=list(COLUMNS)))


def write_records(frame: pd.DataFrame, path: str | os.PathLike) -> None:
    """Write records to a parquet file, atomically.

    Raises
    ------
    WarplineError
        If a column is missing, unknown or of the wrong kind.
    """
    checked = _checked(frame, path)
    with atomic_path(path) as temporary:
        checked.to_parquet(temporary, index=False)


def read_records(path: str | os.PathLike) -> pd.DataFrame:
    """Read records from a parquet file.

    Raises
    ------
    WarplineError
        If the file is missing or unreadable, or a column is missing, unknown or of the wrong kind.
    """
    if not Path(path).exists():
        raise WarplineError(
            "The records do not exist.", where=path, do="Run the evaluation that writes them."
        )
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are both
        raise WarplineError(
            f"The records cannot be read ({str(error).splitlines()[0]}).",
            where=path,
            do="Delete the file; the workflow evaluates anew.",
        ) from error
    return _checked(frame, path)


def first_seed(frame: pd.DataFrame) -> pd.DataFrame:
    """The records of the first of several trainings, whose images there are to show."""
    return frame[frame[SEED] == 0].drop(columns=SEED) if SEED in frame else frame


def _checked(frame: pd.DataFrame, where: object = None) -> pd.DataFrame:
    """The frame with its columns in order and of their types."""
    missing = [c for c in COLUMNS if c not in frame.columns]
    unknown = [c for c in frame.columns if c not in (*COLUMNS, SEED)]
    if missing or unknown:
        parts = [f"lack {', '.join(missing)}"] * bool(missing)
        parts += [f"hold unknown {', '.join(map(str, unknown))}"] * bool(unknown)
        raise WarplineError(
            f"The records {' and '.join(parts)}.",
            where=where,
            do=f"Records have the columns {', '.join(COLUMNS)}; of several trainings {SEED} too.",
        )
    if not frame.empty and not pd.api.types.is_numeric_dtype(frame["value"]):
        raise WarplineError("The records' column value is not numeric.", where=where)
    absent = [c for c in TEXT_COLUMNS if frame[c].isna().any()]
    if absent:
        raise WarplineError(f"The records have gaps in {', '.join(absent)}.", where=where)
    types = dict.fromkeys(TEXT_COLUMNS, "string") | {"value": "float64"}
    columns = list(COLUMNS)
    if SEED in frame.columns:
        if not pd.api.types.is_integer_dtype(frame[SEED]):
            raise WarplineError(f"The records' column {SEED} holds no whole numbers.", where=where)
        columns.append(SEED)
        types[SEED] = "int64"
    return frame.loc[:, columns].astype(types).reset_index(drop=True)
