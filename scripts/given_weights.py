"""Bring weights that were trained elsewhere, and keep them as a training here would."""

from warpline.acquire.verify import source_of
from warpline.acquire.weights import bring
from warpline.networks.given import keep_given
from warpline.provenance.record import recorded_job

if "snakemake" in globals():
    with recorded_job(snakemake, "recipe"):
        path = bring(snakemake.params.recipe["weights"], snakemake.params.folder)
        keep_given(
            snakemake.params.recipe,
            path,
            source_of(path),
            snakemake.output.weights,
            snakemake.output.sidecar,
        )
