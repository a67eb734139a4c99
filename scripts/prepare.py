"""Prepare a batch of canonical cases: resample, clip, pad, normalise, as the dataset says."""

from warpline.cases.batch import prepare_batch
from warpline.provenance.record import recorded_job

if "snakemake" in globals():
    with recorded_job(snakemake, "steps"):
        prepare_batch(
            snakemake.input[0],
            snakemake.params.cases,
            snakemake.params.steps,
            snakemake.output[0],
            snakemake.params.explore,
        )
