"""Which cases with noisy labels are fit for training: one table of organs, one of cases."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from warpline.cases.tables import read_table
from warpline.files import atomic_path
from warpline.provenance.record import recorded_job
from warpline.segmentation.noisy_labels import TABLE, Limits, verdicts


def main(batches: Sequence[str], limits: Mapping[str, Any], organs: str, target: str) -> None:
    tables = [read_table(Path(batch) / TABLE, "case") for batch in batches]
    table = pd.concat(tables, ignore_index=True)
    judged = verdicts(table.fillna({"reason": ""}), Limits(**limits))
    for path, frame in ((organs, table), (target, judged)):
        with atomic_path(path) as temporary:
            frame.to_csv(temporary, index=False)
    out = judged[~judged["kept"]]
    print(f"{len(judged)} cases, {len(out)} left out of trainings", flush=True)
    for row in out.itertuples():
        print(f"{row.case}: {row.reason}", flush=True)


if "snakemake" in globals():
    with recorded_job(snakemake, "limits"):
        main(
            snakemake.input,
            snakemake.params.limits,
            snakemake.output.organs,
            snakemake.output.verdicts,
        )
