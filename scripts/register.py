"""Register a batch of pairs by one method; keep the fields and what each cost."""

from warpline.provenance.record import recorded_job
from warpline.registration.job import register_as_asked

if "snakemake" in globals():
    with recorded_job(snakemake, "method"):
        settings, target = snakemake.params.registration, snakemake.output[0]
        register_as_asked(settings, snakemake.input, target, snakemake.threads)
