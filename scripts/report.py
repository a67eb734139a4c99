"""Put the tables, figures and provenance of all papers of a run on one page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warpline.provenance.banner import banner
from warpline.provenance.record import recorded_job
from warpline.report.page import render
from warpline.report.papers import paper_entry


def main(
    papers: Mapping[str, Mapping[str, Any]],
    trainings: Mapping[str, Mapping[str, str]],
    values: Mapping[str, Mapping[str, Any]],
    results: str,
    target: str,
    templates: str,
    run: Mapping[str, Any],
    explorer: str,
) -> None:
    entries = [
        paper_entry(name, paper, trainings[name], values[name], Path(results))
        for name, paper in papers.items()
    ]
    render("warpline report", entries, target, templates, banner(run), explorer)


if "snakemake" in globals():
    with recorded_job(snakemake, "values"):
        main(
            snakemake.params.papers,
            snakemake.params.trainings,
            snakemake.params["values"],
            snakemake.params.results,
            snakemake.output[0],
            str(Path(snakemake.input.template).parent),
            snakemake.params.run,
            snakemake.params.explorer,
        )
