"""Records of several experiments in one, under the names by which rows look for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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


def pool_records(
    frames: Iterable[pd.DataFrame], names: Sequence[Iterable[tuple[str, str]]]
) -> pd.DataFrame:
    """The records of several experiments in one table, each under its own `names`."""
    pooled = [under_names(frame, own) for frame, own in zip(frames, names, strict=True)]
    return pd.concat(pooled, ignore_index=True)
