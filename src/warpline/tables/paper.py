"""A table of a paper, from its records to its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from warpline.tables import Table, TableEntry, build, write_all


def write_table(
    records: pd.DataFrame, spec: Mapping[str, Any], values: Mapping[str, str], target: Path
) -> None:
    """Make a table from a paper's records and write it in four formats.

    Parameters
    ----------
    spec
        The table's entry in the paper file, as the schema leaves it.
    values
        What its caption may quote of the run.
    target
        Path of one of the formats.
    """
    entry = TableEntry.of(spec)
    write_all(Table(build(records, entry), entry, values), target.parent, target.stem)
