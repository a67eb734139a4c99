"""Records of several experiments in one, under the names by which rows look for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from warpline.evaluation.records import SEED


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
    frames: Iterable[pd.DataFrame],
    served: Sequence[tuple[int | None, Iterable[tuple[str, str]]]],
) -> pd.DataFrame:
    """The records of several experiments in one table.

    Parameters
    ----------
    served
        Of each experiment its seed and its names, see `under_names`; seeds of None give no column.
    """
    pooled = []
    for frame, (seed, names) in zip(frames, served, strict=True):
        own = under_names(frame, names)
        pooled.append(own if seed is None else own.assign(**{SEED: seed}))
    return pd.concat(pooled, ignore_index=True)
