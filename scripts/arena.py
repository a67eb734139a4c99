"""Compare all cells of the arena: tables, ranks, figures, exports."""

from pathlib import Path

from warpline.provenance.record import recorded_job


def main(sources, contest, references, outputs):
    from warpline.report.arena import Comparison

    found = Comparison.of(sources, contest)
    found.draw(found.write_tables(Path(outputs["tables"])), Path(outputs["figures"]))
    found.export(outputs, references)


if "snakemake" in globals():
    with recorded_job(snakemake, "contest"):
        main(
            list(snakemake.input.records),
            snakemake.params.contest,
            snakemake.input.references,
            dict(snakemake.output.items()),
        )
