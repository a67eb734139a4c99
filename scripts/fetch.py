"""Bring an archive into the data folder, verify it and unpack it."""

from warpline.acquire.archive import Archive
from warpline.acquire.fetch import fetch
from warpline.acquire.unpack import unpack
from warpline.acquire.verify import source_of
from warpline.provenance.record import recorded_job

if "snakemake" in globals():
    with recorded_job(snakemake) as entries:
        archive = Archive.from_spec(snakemake.wildcards.archive, snakemake.params.archive)
        path = fetch(archive, snakemake.params.folder)
        known = source_of(path)
        entries["archives"] = [known]
        # What is unpacked must still be the file that was verified.
        unpack(path, snakemake.output[0], sha256=known["sha256"])
