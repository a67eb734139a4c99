"""All registered pairs of an experiment → tidy records."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import pandas as pd

from warpline.cases.atlas import without_self
from warpline.cases.case import read_case
from warpline.cases.tables import read_table
from warpline.evaluation.pairs import evaluate_pair
from warpline.evaluation.records import row, tidy
from warpline.fields.halved import read_kept
from warpline.plan.pairs import Pair, pair_name

# Of what a registration says of itself, in registrations.csv.
UNITS = {"seconds": "s", "peak_memory": "MiB", "inverse_consistency": "mm"}


def experiment_records(
    experiment: Mapping[str, str],
    folders: Mapping[str, str],
    fields: Mapping[str, str],
    pairs: Sequence[Pair],
    labels: Mapping[int, str],
    model: str | os.PathLike | None = None,
    outside: str = "border",
) -> pd.DataFrame:
    """Everything measured of an experiment's pairs, and what each registration says of itself.

    Parameters
    ----------
    experiment
        ``dataset``, ``method``, ``split`` of the records.
    folders
        Of every case.
    fields
        Folder of each pair's field and ``registrations.csv``, by the pair's name.
    pairs
        (fixed, moving) ids.
    labels
        Label value → name, see `warpline.evaluation.pairs.evaluate_pair`.
    model
        The record of the training behind the method, which tells its epochs.
    outside
        Label of what comes from beyond a moving label map: that of its ``border``, or
        ``background``.

    Raises
    ------
    WarplineError
        If a case or a field cannot be read, or the two do not fit.
    """
    training = []
    if model is not None:
        epochs = json.loads(Path(model).read_text(encoding="utf-8"))["epochs"]
        training = [row("training_epochs", epochs)] if epochs is not None else []
    costs = {
        folder: read_table(Path(folder) / "registrations.csv", "fixed", "moving").set_index(
            ["fixed", "moving"]
        )
        for folder in set(fields.values())
    }
    measured = []
    read = lru_cache(maxsize=2)(read_case)  # pairs that share a case follow one another
    for pair in without_self(pairs, folders):
        name = pair_name(pair)
        fixed, moving = (read(folders[case]) for case in pair)
        field = read_kept(Path(fields[name]) / f"{name}.nii.gz", fixed.grid)
        rows = evaluate_pair(fixed, moving, field, labels=labels, outside=outside)
        cost = costs[fields[name]].loc[pair]
        rows += [
            # Seconds by the device that they were spent on.
            row(key, value, UNITS.get(key, ""), cost["device"] if key == "seconds" else "")
            for key, value in cost.items()
            if key != "device"
        ]
        identity = {**experiment, "fixed": pair[0], "moving": pair[1]}
        measured += [{**identity, **measurement} for measurement in rows + training]
        print(name, flush=True)
    return tidy(measured)
