"""Bring weights that were trained elsewhere, and keep them as a training here would."""

from warpline.networks.given import given_weights
from warpline.provenance.record import recorded_job

if "snakemake" in globals():
    with recorded_job(snakemake, "recipe"):
        given_weights(
            snakemake.params.recipe,
            snakemake.params.folder,
            snakemake.output.weights,
            snakemake.output.sidecar,
        )
