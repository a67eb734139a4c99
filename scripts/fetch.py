"""Bring an archive into the data folder, verify it and unpack it."""

from warpline.acquire.archive import Archive
from warpline.acquire.arrival import arrive
from warpline.provenance.record import recorded_job

if "snakemake" in globals():
    with recorded_job(snakemake) as entries:
        params, folder = snakemake.params, snakemake.output[0]
        archive = Archive.from_spec(snakemake.wildcards.archive, params.archive)
        wanted = None
        if params.cases is not None:
            from warpline.acquire.formats import wanted_files

            wanted = wanted_files(params.format, params.cases)
        # No parameter, whose change would have finished archives fetched again.
        keep = snakemake.config.get("keep_downloads", "all") in ("all", "archives")
        entries["archives"] = [arrive(archive, params.folder, folder, wanted=wanted, keep=keep)]
