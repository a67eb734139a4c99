"""Bring an archive into the data folder, verify it and unpack it."""

from warpline.acquire.archive import Archive
from warpline.acquire.arrival import arrive
from warpline.acquire.formats import wanted_files
from warpline.provenance.record import recorded_job

if "snakemake" in globals():
    with recorded_job(snakemake) as entries:
        params = snakemake.params
        archive = Archive.from_spec(snakemake.wildcards.archive, params.archive)
        # No parameter, whose change would have finished archives fetched again.
        kept = snakemake.config.get("keep_downloads", "all")
        entries["archives"] = [
            arrive(
                archive,
                params.folder,
                snakemake.output[0],
                wanted=wanted_files(params.format, params.cases),
                keep=kept in ("all", "archives"),
            )
        ]
