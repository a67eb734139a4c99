"""Register all pairs of an experiment, unless their fields are there, and measure them."""

from warpline.evaluation.experiment import experiment_records
from warpline.evaluation.records import write_records
from warpline.provenance.record import recorded_job, state
from warpline.registration.batch import is_registered
from warpline.registration.job import Job

if "snakemake" in globals():
    with recorded_job(snakemake, "method") as entries:
        settings, evaluation = snakemake.params.registration, snakemake.params.evaluation
        target, results = snakemake.output.fields, snakemake.params.results
        files = dict(snakemake.input.items())
        job = Job.of(settings, files, snakemake.threads)
        read = [path for path in snakemake.input if path != files.get("sidecar")]
        origin = {"settings": settings, "inputs": {path: state(path, results) for path in read}}
        if is_registered(target, origin):
            print("the fields are those that are asked for", flush=True)
            entries["apart"] = {target: None}
        else:
            job.run(target, origin)
        frame = experiment_records(
            evaluation["experiment"],
            job.folders,
            evaluation["fields"],
            job.pairs,
            {int(value): name for value, name in evaluation["labels"].items()},
            files.get("sidecar") or None,
            evaluation["outside"],
        )
        write_records(frame, snakemake.output.records)
