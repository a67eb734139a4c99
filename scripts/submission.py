"""Write an experiment's fields in Learn2Reg's submission layout, as one zip."""

from warpline.evaluation.submission import write_submissions
from warpline.provenance.record import recorded_job

if "snakemake" in globals():
    with recorded_job(snakemake):
        write_submissions(
            snakemake.params.folders,
            snakemake.params.fields,
            [tuple(pair) for pair in snakemake.params.pairs],
            snakemake.output[0],
        )
