"""Bring an archive into the data folder, verify it and unpack it."""

from warpline.acquire.archive import Archive
from warpline.acquire.arrival import arrive
from warpline.provenance.record import recorded_job

if "snakemake" in globals():
    with recorded_job(snakemake) as entries:
        archive = Archive.from_spec(snakemake.wildcards.archive, snakemake.params.archive)
        entries["archives"] = [arrive(archive, snakemake.params.folder, snakemake.output[0])]
