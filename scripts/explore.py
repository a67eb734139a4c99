"""Gather the descriptions of a dataset's cases: one table, and slices of the few that are shown."""

from collections.abc import Mapping

from warpline.cases.exploration import gather
from warpline.jobs import job
from warpline.provenance.record import keep


def main(folders: Mapping[str, str], records: str, slices: str) -> None:
    gather(folders, records, slices)


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.threads), keep(snakemake):  # noqa: F821
        main(
            snakemake.params.folders,  # noqa: F821
            snakemake.output.records,  # noqa: F821
            snakemake.output.slices,  # noqa: F821
        )
