"""Gather the descriptions of a dataset's cases: one table, and slices of the few that are shown."""

from collections.abc import Mapping

from warpline.cases.exploration import gather
from warpline.provenance.record import recorded_job


def main(folders: Mapping[str, str], records: str, slices: str) -> None:
    gather(folders, records, slices)


if "snakemake" in globals():
    with recorded_job(snakemake):
        main(
            snakemake.params.folders,
            snakemake.output.records,
            snakemake.output.slices,
        )
