"""Records of several experiments under one name: the folds of a cross-validation."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd


def under_names(records: pd.DataFrame, names: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """The records of one experiment as those of each of the given ones.

    Parameters
    ----------
    records
        Tidy records (`warpline.evaluation.records.COLUMNS`).
    names
        (method, split) under which tables and figures look for them: its own, that of all folds,
        or both.

    Returns
    -------
    pandas.DataFrame
        The records once for each name, with its method and split.
    """
    return pd.concat(
        [records.assign(method=method, split=split) for method, split in names], ignore_index=True
    )
