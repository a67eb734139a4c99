"""What tables, figures, captions and the page of results need."""

from __future__ import annotations

from typing import Any

from warpline.plan.experiments import networks_of
from warpline.plan.inputs.figures import drawing_files
from warpline.plan.inputs.weights import sidecar_of
from warpline.plan.layout import TABLE_FORMATS
from warpline.plan.rows import table_rows
from warpline.plan.run import Run

WORDS = ("title", "caption", "folded")  # of a table's entry: no number depends on them


def tables_of(run: Run, paper: str) -> list[str]:
    """All files of a paper's tables."""
    return [path for files in table_files(run, paper).values() for path in files]


def figures_of(run: Run, paper: str) -> list[str]:
    """All files of a paper's figures, explorations and learning curves included."""
    return [*drawing_files(run, paper), *drawing_files(run, paper, explored=True)]


def explorations_of(run: Run, paper: str) -> list[str]:
    """The figures of what a paper's datasets hold."""
    return [
        run.layout.figure(paper, name, "png")
        for name, figure in run.catalog.paper(paper)["figures"].items()
        if figure["kind"] == "exploration"
    ]


def everything(run: Run) -> dict[str, list[str]]:
    """The tables, figures, explorations and descriptions of trainings of all papers."""
    papers = run.catalog.papers
    return {
        "claims": [run.layout.claims(paper) for paper in papers],
        "explorations": [path for paper in papers for path in explorations_of(run, paper)],
        "tables": [table for paper in papers for table in tables_of(run, paper)],
        "figures": [figure for paper in papers for figure in figures_of(run, paper)],
        "sidecars": [
            sidecar_of(run, *training)
            for paper in papers
            for training in networks_of(run.catalog, paper)
        ],
    }


def paper_specs(run: Run) -> dict[str, dict[str, Any]]:
    """All papers and studies of the run, by name."""
    return {paper: run.catalog.paper(paper) for paper in run.catalog.papers}


def paper_trainings(run: Run) -> dict[str, dict[str, str]]:
    """Of each paper what is known of the trainings behind it: dataset and method to the file."""
    return {
        paper: {
            f"{dataset}/{method}": sidecar_of(run, dataset, method)
            for dataset, method in networks_of(run.catalog, paper)
        }
        for paper in run.catalog.papers
    }


def paper_values(run: Run) -> dict[str, dict[str, str]]:
    """What the captions of each paper may quote of this run."""
    return {paper: run_values(run, paper) for paper in run.catalog.papers}


def run_in_words(run: Run) -> dict[str, Any]:
    """What the pages' head tells: scale, device, and by its title whether a dataset is generated.

    Of the datasets in rows of tables.
    """
    papers = map(run.catalog.paper, run.catalog.papers)
    names = {row["dataset"] for paper in papers for row in table_rows(paper)}
    return {
        "scale": run.catalog.scale,
        "device": run.catalog.device,
        "generated": {
            run.catalog.dataset(name).spec["title"]: is_generated(run, name)
            for name in sorted(names)
        },
    }


def is_generated(run: Run, dataset: str) -> bool:
    """Whether all of a dataset's images are generated; of one made of others, all of theirs."""
    spec = run.catalog.dataset(dataset).spec
    if spec.get("members"):
        return all(is_generated(run, member) for member in spec["members"])
    return bool(spec.get("phantom"))


# Tables ---------------------------------------------------------------------------------------


def table_specs(run: Run, paper: str) -> dict[str, dict[str, Any]]:
    """The entries of a paper's tables."""
    return run.catalog.paper(paper)["tables"]


def table_numbers(run: Run, paper: str) -> dict[str, dict[str, Any]]:
    """What shapes the numbers of each table: its entry without what is only told about it."""
    return {
        table: {key: value for key, value in spec.items() if key not in WORDS}
        for table, spec in table_specs(run, paper).items()
    }


def claims_of(run: Run, paper: str) -> list[dict[str, Any]]:
    """What a paper claims, in terms of its tables."""
    return run.catalog.paper(paper)["claims"]


def table_files(run: Run, paper: str) -> dict[str, list[str]]:
    """The files of each table of a paper."""
    return {
        table: [run.layout.table(paper, table, suffix) for suffix in TABLE_FORMATS]
        for table in table_specs(run, paper)
    }


def table_templates(run: Run) -> list[str]:
    """The templates that tables are written by."""
    return [run.project_file(f"workflow/report/table.{suffix}.j2") for suffix in ("html", "tex")]


def run_values(run: Run, paper: str) -> dict[str, str]:
    """What captions may quote of this run."""
    seeds = {run.catalog.method(method)["seed"] for _, method in networks_of(run.catalog, paper)}
    return {
        "scale": run.catalog.scale,
        "device": run.catalog.device,
        "seed": ", ".join(map(str, sorted(seeds))) or "–",
        "weights": _weights_in_words(run, paper),
    }


def _weights_in_words(run: Run, paper: str) -> str:
    """The weights of the losses at this run's scale, which may differ from the published ones."""
    parts = []
    for _, name in networks_of(run.catalog, paper):
        method = run.catalog.method(name)
        if "regularisation" not in method["loss"]:
            continue
        weights = [f"{method['loss']['regularisation']['weight']:g}"]
        dice = method["loss"].get("dice", {}).get("weight", 0)
        weights += [f"{dice:g}"] if dice else []
        parts.append(f"{method['title']}: {' and '.join(weights)}")
    if not parts:
        return ""
    listed = "; ".join(dict.fromkeys(parts))
    return f"Weights of regularity (and Dice) in this run: {listed}."
