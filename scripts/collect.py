"""All records of a paper in one file: what its tables and figures are made from."""

from collections.abc import Sequence

import pandas as pd

from warpline.evaluation.pooling import under_names
from warpline.evaluation.records import read_records, write_records
from warpline.provenance.record import recorded_job


def main(sources: Sequence[str], names: Sequence[Sequence[tuple[str, str]]], target: str) -> None:
    frames = [
        under_names(read_records(path), own) for path, own in zip(sources, names, strict=True)
    ]
    write_records(pd.concat(frames, ignore_index=True), target)


if "snakemake" in globals():
    with recorded_job(snakemake):
        main(list(snakemake.input), snakemake.params.names, snakemake.output[0])
