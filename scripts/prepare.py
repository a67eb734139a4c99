"""Prepare a batch of canonical cases: resample, clip, pad, normalise, as the dataset says."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from warpline.files import atomic_folder
from warpline.jobs import job
from warpline.preprocess import prepare, read_case, write_case


def main(source: str, cases: Sequence[str], steps: Sequence[Mapping[str, Any]], target: str):
    with atomic_folder(target) as folder:
        for case_id in cases:
            case = prepare(read_case(Path(source) / case_id), steps)
            write_case(folder / case_id, case)
            print(f"{case_id}: {case.grid.shape} voxels of {case.grid.spacing} mm", flush=True)


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.threads):  # noqa: F821
        main(
            snakemake.input[0],  # noqa: F821
            snakemake.params.cases,  # noqa: F821
            snakemake.params.steps,  # noqa: F821
            snakemake.output[0],  # noqa: F821
        )
