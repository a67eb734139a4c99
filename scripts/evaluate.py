"""Measure all registered pairs of an experiment; one tidy record file."""

from warpline.evaluation.experiment import experiment_records
from warpline.evaluation.records import write_records
from warpline.provenance.record import recorded_job

if "snakemake" in globals():
    with recorded_job(snakemake, "experiment"):
        frame = experiment_records(
            snakemake.params.experiment,
            snakemake.params.folders,
            snakemake.params.fields,
            [tuple(pair) for pair in snakemake.params.pairs],
            {int(value): name for value, name in snakemake.params.labels.items()},
            snakemake.input.get("sidecar") or None,
            snakemake.params.outside,
        )
        write_records(frame, snakemake.output[0])
