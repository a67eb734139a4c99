"""Tables of cases: an id is what is written, be it NA, null or 007."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

MISSING = ["", "NaN", "nan", "NA", "N/A", "null", "None"]  # in columns that hold no ids


def read_table(path: str | os.PathLike, *ids: str, **reading: Any) -> pd.DataFrame:
    """A table of comma-separated values, in which some columns hold ids.

    Parameters
    ----------
    ids
        Columns whose text is kept as it is; those that the table does not have are passed over.
    reading
        For `pandas.read_csv`.

    Raises
    ------
    ValueError
        If it is empty, or its lines are of unequal length.
    """
    import pandas as pd

    columns = pd.read_csv(path, nrows=0, **reading).columns
    return pd.read_csv(
        path,
        dtype={name: str for name in columns if str(name).strip() in ids},
        keep_default_na=False,
        na_values={name: MISSING for name in columns if str(name).strip() not in ids},
        **reading,
    )
