"""What the report says of a paper: its tables, figures and curves, and how they came to be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warpline.provenance.record import revision, versions
from warpline.report.page import PaperPart, Picture, TablePart


def paper_entry(
    name: str,
    paper: Mapping[str, Any],
    trainings: Mapping[str, str],
    values: Mapping[str, str],
    results: Path,
) -> PaperPart:
    """What the page shows of one paper.

    Parameters
    ----------
    name, paper
        The paper's id and its file, as the schema leaves it.
    trainings
        Dataset and method of every network of its tables to the file of what is known of it.
    values
        What captions may quote of this run.
    results
        The folder with the paper's own.
    """
    tables, figures = results / name / "tables", results / name / "figures"
    notes = f"Deviations from the paper and choices: {paper['notes']}." if paper["notes"] else ""
    return PaperPart(
        id=name,
        title=paper["title"],
        citation=paper["citation"],
        url=paper["url"],
        notes=notes,
        claims=json.loads((results / name / "claims.json").read_text(encoding="utf-8")),
        tables=[
            TablePart(
                table,
                spec["title"],
                tables / f"{table}.html",
                [tables / f"{table}.{kind}" for kind in ("csv", "md", "tex")],
                spec["folded"],
            )
            for table, spec in paper["tables"].items()
        ],
        figures=[
            _picture(figures, figure, spec["title"], spec["caption"].format(**values))
            for figure, spec in paper["figures"].items()
        ],
        curves=[_curves(figures, values["scale"])] if trainings else [],
        provenance={
            "run": {**values, "code": revision(), "versions": versions()},
            "models": {
                name: json.loads(Path(known).read_text(encoding="utf-8"))
                for name, known in trainings.items()
            },
        },
    )


def _curves(figures: Path, scale: str) -> Picture:
    caption = f"Every network of this paper's table, scale {scale}."
    return _picture(figures, "learning_curves", "Learning curves", caption)


def _picture(folder: Path, name: str, title: str, caption: str) -> Picture:
    return Picture(name, title, caption, folder / f"{name}.png", [folder / f"{name}.svg"])
