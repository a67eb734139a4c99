"""Search a method's settings on pairs that no table reports; keep all that was tried."""

from pathlib import Path

from warpline.evaluation.tuning import Tuning
from warpline.provenance.record import recorded_job

if "snakemake" in globals():
    with recorded_job(snakemake, "search"):
        tuning = Tuning(
            snakemake.params.search,
            dict(snakemake.input.items()),
            snakemake.threads,
            Path(snakemake.params.state),
        )
        tuning.run(snakemake.output[0])
