"""Choose the dataset's atlas among cases that are only described, and prepare it."""

from warpline.acquire.described import atlas_of_described
from warpline.provenance.record import recorded_job

if "snakemake" in globals():
    with recorded_job(snakemake, "steps"):
        chosen = atlas_of_described(
            snakemake.params.folders,
            snakemake.params.source,
            snakemake.params.dataset,
            snakemake.params.cases,
            snakemake.params.steps,
            snakemake.output[0],
        )
        print(f"atlas: {chosen}, one of {len(snakemake.params.folders)} candidates", flush=True)
