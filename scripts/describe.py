"""Describe a batch of cases that nothing registers: their prepared images are not kept."""

from warpline.acquire.described import describe_batch
from warpline.provenance.record import recorded_job

if "snakemake" in globals():
    with recorded_job(snakemake, "steps"):
        describe_batch(
            snakemake.params.source,
            snakemake.params.dataset,
            snakemake.params.cases,
            snakemake.params.steps,
            snakemake.output[0],
        )
