"""All records of a paper in one file: what its tables and figures are made from."""

from collections.abc import Sequence

import pandas as pd

from warpline.jobs import job
from warpline.records import read_records, write_records


def main(sources: Sequence[str], target: str) -> None:
    write_records(pd.concat([read_records(path) for path in sources], ignore_index=True), target)


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.threads):  # noqa: F821
        main(list(snakemake.input), snakemake.output[0])  # noqa: F821
