"""What the pages to look through a run's results are made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from warpline.plan.inputs.cases import batches_with, case_folders, cases_of
from warpline.plan.inputs.evaluate import labels, labels_outside
from warpline.plan.inputs.figures import frame_unit
from warpline.plan.inputs.papers import run_values, tables_of
from warpline.plan.inputs.register import fields_of_row
from warpline.plan.rows import table_rows
from warpline.plan.run import Run
from warpline.plan.splits import split_and_suffix

WEB = Path(__file__).parents[2] / "explorer" / "web"


def sources_of(run: Run, paper: str) -> dict[str, dict[str, Any]]:
    """Dataset and split of the registrations in a paper's tables to what their pairs lie in."""
    found: dict[str, dict[str, Any]] = {}
    for row in _rows(run, paper):
        dataset, split = row["dataset"], row["split"]
        place = found.setdefault(
            f"{dataset}/{split}",
            {
                "title": run.catalog.dataset(dataset).spec["title"],
                "labels": labels(run, dataset),
                "outside": labels_outside(run, dataset),
                "unit": frame_unit(run, dataset),
                "folders": case_folders(run, dataset, _cases(run, row)),
                "fields": {},
            },
        )
        place["fields"][row["method"]] = fields_of_row(run, row)
    return found


def piece_of(run: Run, paper: str) -> dict[str, dict[str, Any]]:
    """What a paper's pages are made by, apart from files."""
    return {
        "about": run.catalog.paper(paper),
        "sources": sources_of(run, paper),
        "values": run_values(run, paper),
    }


def inputs_of(run: Run, paper: str) -> list[str]:
    """The files and folders that a paper's pages are made from."""
    tables = [path for path in tables_of(run, paper) if path.endswith(".csv")]
    found = {run.layout.paper_records(paper), run.layout.claims(paper), *tables}
    for row in _rows(run, paper):
        found |= set(fields_of_row(run, row).values())
        found |= set(batches_with(run, row["dataset"], _cases(run, row)))
    return sorted(found)


def web_files(run: Run) -> list[str]:
    """The parts of the page, which are copied."""
    return [run.places.as_input(path) for path in sorted(WEB.iterdir())]


def folders(run: Run) -> list[str]:
    """The folders of all papers' pages."""
    return [run.layout.explored_paper(paper) for paper in run.catalog.papers]


def _rows(run: Run, paper: str) -> list[dict[str, Any]]:
    """The rows of registrations in a paper's tables."""
    rows = table_rows(run.catalog.paper(paper))
    return [row for row in rows if not split_and_suffix(row["split"])[1]]


def _cases(run: Run, row: dict[str, Any]) -> list[str]:
    return cases_of(run.catalog.dataset(row["dataset"]).pairs(row["split"]))
