"""Register a batch of pairs by one method; keep the fields and what each cost."""

from warpline.provenance.record import recorded_job
from warpline.registration.job import Job

if "snakemake" in globals():
    with recorded_job(snakemake, "method"):
        job = Job.of(snakemake.params.registration, snakemake.input, snakemake.threads)
        job.run(snakemake.output[0])
