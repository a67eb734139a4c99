"""Run one method on a dataset's pairs in the arena; what fails is noted, and stops nothing."""

from pathlib import Path

from warpline.evaluation.contest import Contest
from warpline.provenance.record import recorded_job

if "snakemake" in globals():
    with recorded_job(snakemake, "cell"):
        fields = snakemake.output.get("fields") or None
        if fields:
            Path(fields).mkdir(parents=True, exist_ok=True)
        contest = Contest.of(
            snakemake.params.cell,
            dict(snakemake.input.items()),
            snakemake.threads,
            Path(snakemake.params.state),
        )
        contest.run(snakemake.output.records, fields)
