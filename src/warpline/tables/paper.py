"""A table of a paper, or what came of its claims, from its records to its files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from warpline.files import atomic_path, write_json
from warpline.tables import Table, TableEntry, build, write_all
from warpline.tables.build import asked_for
from warpline.tables.claims import Claim, check_claim

MADE_FROM = "made_from"  # what a kept frame says of itself


def write_table(
    records: pd.DataFrame,
    spec: Mapping[str, Any],
    values: Mapping[str, str],
    target: Path,
    kept: Path | None = None,
    origin: Sequence[Any] = (),
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
    kept
        Where the numbers stay for the next call, which takes them if its `origin` is the same and
        so are the records that the table asks for.
    origin
        What else they depend on: the entry without its words, the code.
    """
    entry = TableEntry.of(spec)
    text = json.dumps([origin, _digest(asked_for(records, entry))], sort_keys=True, default=str)
    key = hashlib.sha256(text.encode()).hexdigest()
    frame = None if kept is None else _read_kept(kept, key)
    if frame is None:
        frame = build(records, entry)
        if kept is not None:
            frame.attrs = {MADE_FROM: key}
            kept.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(kept) as temporary:
                frame.to_parquet(temporary)
    write_all(Table(frame, entry, values), target.parent, target.stem)


def _digest(frame: pd.DataFrame) -> str:
    rows = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return hashlib.sha256(repr(list(frame.columns)).encode() + rows.tobytes()).hexdigest()


def _read_kept(path: Path, key: str) -> pd.DataFrame | None:
    """The frame, if it is there and was made of the same."""
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError):  # pyarrow's errors are both
        return None
    return frame if frame.attrs.get(MADE_FROM) == key else None


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
