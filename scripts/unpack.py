"""Unpack a verified archive."""

from warpline.acquire.unpack import unpack
from warpline.jobs import job
from warpline.provenance.record import keep

if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.threads), keep(snakemake):  # noqa: F821
        unpack(snakemake.params.archive, snakemake.output[0])  # noqa: F821
