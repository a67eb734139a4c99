"""What the report says of a paper: its tables, figures and curves, and how they came to be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warpline.provenance.record import revision, versions

SCALES = {
    "demo": "Scale demo: every number of this run comes from generated images and a training of "
    "minutes. It shows that each step works; only at scale paper can it be held against the "
    "published numbers.",
    "cpu": "Scale cpu: real images, but smaller networks and shorter trainings than published.",
    "paper": "Scale paper: the published setting.",
}


def paper_entry(
    name: str,
    paper: Mapping[str, Any],
    trainings: Mapping[str, str],
    values: Mapping[str, Any],
    results: Path,
) -> dict[str, Any]:
    """What `warpline.report.page.render` needs to know of one paper.

    Parameters
    ----------
    name, paper
        The paper's id and its mapping: `title`, `citation`, `url`, `notes`, `tables`, `figures`.
    trainings
        Dataset and method of every network of its tables to the file of what is known of it.
    values
        What captions may quote of this run; ``scale`` is one of `SCALES`.
    results
        The folder with the paper's own.
    """
    tables, figures = results / name / "tables", results / name / "figures"
    notes = SCALES[values["scale"]]
    if paper["notes"]:
        notes += f" Deviations from the paper and choices: {paper['notes']}."
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
        "curves": [_curves(figures, values["scale"])] if trainings else [],
        "provenance": {
            "run": {**values, "code": revision(), "versions": versions()},
            "models": {
                name: json.loads(Path(known).read_text(encoding="utf-8"))
                for name, known in trainings.items()
            },
        },
    }


def _curves(figures: Path, scale: str) -> dict[str, Any]:
    return {
        "id": "learning_curves",
        "title": "Learning curves",
        "caption": f"Every network of this paper's table, scale {scale}.",
        "image": figures / "learning_curves.png",
        "files": [figures / "learning_curves.svg"],
    }
