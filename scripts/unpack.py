"""Unpack a verified archive."""

from warpline.acquire.unpack import unpack
from warpline.provenance.record import recorded_job

if "snakemake" in globals():
    with recorded_job(snakemake):
        unpack(snakemake.params.archive, snakemake.output[0])
