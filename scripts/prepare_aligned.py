"""Import and prepare a batch of cases, and align them to a case of another dataset."""

from warpline.provenance.record import recorded_job
from warpline.registration.align import Alignment, import_and_align

if "snakemake" in globals():
    with recorded_job(snakemake, "steps", "prealign"):
        import_and_align(
            snakemake.params.source,
            snakemake.params.dataset,
            snakemake.params.cases,
            snakemake.params.steps,
            snakemake.input.reference,
            Alignment.of(snakemake.params.prealign),
            snakemake.input.parameters,
            snakemake.output[0],
        )
