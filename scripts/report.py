"""Put the tables, figures and provenance of all papers of a run on one page."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from warpline.provenance import record as provenance
from warpline.provenance.record import recorded_job
from warpline.report.page import render

SCALES = {
    "demo": "Scale demo: every number of this run comes from generated images and a training of "
    "minutes. It shows that each step works; only at scale paper can it be held against the "
    "published numbers.",
    "cpu": "Scale cpu: real images, but smaller networks and shorter trainings than published.",
    "paper": "Scale paper: the published setting.",
}


def main(
    papers: Mapping[str, Mapping[str, Any]],
    trainings: Mapping[str, Sequence[tuple[str, str]]],
    values: Mapping[str, Mapping[str, Any]],
    results: str,
    target: str,
    templates: str,
) -> None:
    entries = [
        entry(name, paper, trainings[name], values[name], Path(results))
        for name, paper in papers.items()
    ]
    render("warpline report", entries, target, templates)


def entry(
    name: str,
    paper: Mapping[str, Any],
    trainings: Sequence[tuple[str, str]],
    values: Mapping[str, Any],
    results: Path,
) -> dict[str, Any]:
    """What `warpline.report.page.render` needs to know of one paper."""
    tables, figures = results / name / "tables", results / name / "figures"
    notes = SCALES[values["scale"]]
    if paper["notes"]:
        notes += f" Deviations from the paper and choices: {paper['notes']}."
    curves = []
    if trainings:
        curves.append(
            {
                "id": "learning_curves",
                "title": "Learning curves",
                "caption": f"Every network of this paper's table, scale {values['scale']}.",
                "image": figures / "learning_curves.png",
                "files": [figures / "learning_curves.svg"],
            }
        )
    return {
        "id": name,
        "title": paper["title"],
        "citation": paper["citation"],
        "url": paper["url"],
        "notes": notes,
        "tables": [
            {
                "id": table,
                "title": spec["title"],
                "html": tables / f"{table}.html",
                "files": [tables / f"{table}.{kind}" for kind in ("csv", "md", "tex")],
            }
            for table, spec in paper["tables"].items()
        ],
        "figures": [
            {
                "id": figure,
                "title": spec["title"],
                "caption": spec["caption"].format(**values),
                "image": figures / f"{figure}.png",
                "files": [figures / f"{figure}.svg"],
            }
            for figure, spec in paper["figures"].items()
        ],
        "curves": curves,
        "provenance": {
            "run": {**values, "code": provenance.revision(), "versions": provenance.versions()},
            "models": {
                f"{dataset}/{method}": json.loads(
                    (results / "models" / dataset / method / "model.json").read_text()
                )
                for dataset, method in trainings
            },
        },
    }


if "snakemake" in globals():
    with recorded_job(snakemake, "values"):
        main(
            snakemake.params.papers,
            snakemake.params.trainings,
            snakemake.params["values"],
            snakemake.params.results,
            snakemake.output[0],
            str(Path(snakemake.input.template).parent),
        )
