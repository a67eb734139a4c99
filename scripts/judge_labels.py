"""Which cases with noisy labels are fit for training: one table of organs, one of cases."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from warpline.files import atomic_path
from warpline.jobs import job
from warpline.provenance.record import keep
from warpline.segmentation.noisy_labels import TABLE, Limits, verdicts


def main(batches: Sequence[str], limits: Mapping[str, Any], organs: str, target: str) -> None:
    table = pd.concat([pd.read_csv(Path(batch) / TABLE) for batch in batches], ignore_index=True)
    judged = verdicts(table.fillna({"reason": ""}), Limits(**limits))
    for path, frame in ((organs, table), (target, judged)):
        with atomic_path(path) as temporary:
            frame.to_csv(temporary, index=False)
    out = judged[~judged["kept"]]
    print(f"{len(judged)} cases, {len(out)} left out of trainings", flush=True)
    for row in out.itertuples():
        print(f"{row.case}: {row.reason}", flush=True)


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.threads), keep(snakemake, "limits"):  # noqa: F821
        main(
            snakemake.input,  # noqa: F821
            snakemake.params.limits,  # noqa: F821
            snakemake.output.organs,  # noqa: F821
            snakemake.output.verdicts,  # noqa: F821
        )
