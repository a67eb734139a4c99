"""Import a batch of cases and prepare them: resample, clip, pad, normalise, as the dataset says."""

from warpline.acquire.batch import import_batch
from warpline.provenance.record import recorded_job

if "snakemake" in globals():
    with recorded_job(snakemake, "steps"):
        import_batch(
            snakemake.params.source,
            snakemake.params.dataset,
            snakemake.params.cases,
            snakemake.params.steps,
            snakemake.output[0],
            explore=snakemake.params.explore,
        )
