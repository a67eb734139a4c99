"""Align a batch of prepared cases to the dataset's reference case by an affine transformation."""

from warpline.provenance.record import recorded_job
from warpline.registration.align import Alignment, align_batch

if "snakemake" in globals():
    with recorded_job(snakemake, "prealign"):
        align_batch(
            snakemake.input.batch,
            snakemake.params.cases,
            snakemake.input.reference,
            Alignment.of(snakemake.params.prealign),
            snakemake.input.parameters,
            snakemake.output[0],
        )
