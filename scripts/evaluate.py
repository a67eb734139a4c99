"""Measure all registered pairs of an experiment; one tidy record file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch

from warpline.cases.atlas import without_self
from warpline.cases.case import read_case
from warpline.evaluation.pairs import evaluate_pair
from warpline.evaluation.records import records, row, write_records
from warpline.fields.io import read_field
from warpline.plan.pairs import Pair, pair_name
from warpline.provenance.record import recorded_job

# Of what a registration says of itself, in registrations.csv.
UNITS = {"seconds": "s", "peak_memory": "MiB", "inverse_consistency": "mm"}


def main(
    experiment: Mapping[str, str],
    folders: Mapping[str, str],
    fields: Mapping[str, str],
    pairs: Sequence[Pair],
    labels: Mapping[int, str],
    target: str,
    threads: int,
    sidecar: str | None = None,
) -> None:
    torch.set_num_threads(threads)
    frames = []
    training = []
    if sidecar:
        training = [row("training_epochs", json.loads(Path(sidecar).read_text())["epochs"])]
    costs = {
        folder: pd.read_csv(Path(folder) / "registrations.csv", dtype={"fixed": str, "moving": str})
        for folder in set(fields.values())
    }
    for fixed_id, moving_id in without_self(pairs, folders):
        name = pair_name((fixed_id, moving_id))
        field = read_field(Path(fields[name]) / f"{name}.nii.gz")
        fixed, moving = read_case(folders[fixed_id]), read_case(folders[moving_id])
        rows = evaluate_pair(vars(fixed), vars(moving), field, labels=labels)
        cost = costs[fields[name]].set_index(["fixed", "moving"]).loc[(fixed_id, moving_id)]
        rows += [
            # Seconds by the device that they were spent on.
            row(name, value, UNITS.get(name, ""), cost["device"] if name == "seconds" else "")
            for name, value in cost.items()
            if name != "device"
        ]
        rows += training
        frames.append(records(rows, **experiment, fixed=fixed_id, moving=moving_id))
        print(name, flush=True)
    write_records(pd.concat(frames, ignore_index=True), target)


if "snakemake" in globals():
    with recorded_job(snakemake, "experiment"):
        main(
            snakemake.params.experiment,
            snakemake.params.folders,
            snakemake.params.fields,
            [tuple(pair) for pair in snakemake.params.pairs],
            {int(value): name for value, name in snakemake.params.labels.items()},
            snakemake.output[0],
            snakemake.threads,
            sidecar=snakemake.input.get("sidecar") or None,
        )
