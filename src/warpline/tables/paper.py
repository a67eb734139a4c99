"""A table of a paper, or what came of its claims, from its records to its files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from warpline.files import write_json
from warpline.tables import Table, TableEntry, build, write_all
from warpline.tables.claims import Claim, check_claim


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


def write_claims(
    records: pd.DataFrame,
    claims: Sequence[Mapping[str, Any]],
    tables: Mapping[str, Mapping[str, Any]],
    target: str | os.PathLike,
) -> None:
    """Hold a paper's claims against its records, and write what came of them as JSON.

    Parameters
    ----------
    claims, tables
        As the schema of paper files leaves them.
    """
    found = []
    for claim in map(Claim.of, claims):
        found.append(check_claim(claim, TableEntry.of(tables[claim.table]), records).as_data())
    write_json(target, found)
