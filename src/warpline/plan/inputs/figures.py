"""What figures draw from, by the questions that their kinds ask (`warpline.plan.kinds.FIGURES`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from warpline.plan.colours import colours
from warpline.plan.experiments import networks_of
from warpline.plan.inputs.cases import batches_with, case_folders, cases_of
from warpline.plan.inputs.register import fields_of_row
from warpline.plan.inputs.weights import history_of
from warpline.plan.kinds import FIGURE_ENTRY, FIGURES, LEARNING
from warpline.plan.layout import FIGURE_FORMATS, LEARNING_CURVES
from warpline.plan.marks import unmarked
from warpline.plan.rows import rows_shown
from warpline.plan.run import Run

AIR = -500  # HU; who clips at so low a value has CT


def figure_pieces(run: Run, paper: str, explored: bool = False) -> dict[str, dict[str, Any]]:
    """What each figure of a paper is drawn from, by what code, and its files; learning curves too.

    `explored`: those that show what datasets hold, which wait for no training; else all others.

    Each has ``spec``, ``sources``, ``inputs``, ``draw`` (its definition), ``code`` and ``files``.
    """
    pieces = {}
    for name, spec in _figures(run, paper, explored).items():
        kind = FIGURES[spec["kind"]]
        sources = {key: SOURCES[asked](run, paper, spec) for key, asked in kind.sources.items()}
        pieces[name] = {
            "spec": spec,
            "sources": sources,
            "inputs": _inputs(run, spec, sources),
            "draw": kind.draw,
        }
    if not explored and networks_of(run.catalog, paper):
        pieces[LEARNING_CURVES] = {
            "spec": {"kind": LEARNING_CURVES},
            "sources": {"trainings": trainings_shown(run, paper)},
            "inputs": histories(run, paper),
            "draw": LEARNING,
        }
    for name, piece in pieces.items():
        piece["code"] = run.code(None, piece["draw"], FIGURE_ENTRY)
        piece["files"] = [run.layout.figure(paper, name, suffix) for suffix in FIGURE_FORMATS]
    return pieces


def figure_inputs(run: Run, paper: str, explored: bool = False) -> list[str]:
    """The files that a paper's figures have to wait for."""
    pieces = figure_pieces(run, paper, explored).values()
    return sorted({path for piece in pieces for path in piece["inputs"]})


def figure_files(run: Run, paper: str, explored: bool = False) -> list[str]:
    """All files of a paper's figures but the learning curves."""
    return [
        run.layout.figure(paper, name, suffix)
        for name in _figures(run, paper, explored)
        for suffix in FIGURE_FORMATS
    ]


def _figures(run: Run, paper: str, explored: bool) -> dict[str, dict[str, Any]]:
    figures = run.catalog.paper(paper)["figures"]
    return {k: v for k, v in figures.items() if (v["kind"] == "exploration") is explored}


def curve_files(run: Run, paper: str, explored: bool = False) -> list[str]:
    """The files of a paper's learning curves, if any of its methods is trained."""
    if explored or not networks_of(run.catalog, paper):
        return []
    return [run.layout.figure(paper, LEARNING_CURVES, suffix) for suffix in FIGURE_FORMATS]


def drawing_files(run: Run, paper: str, explored: bool = False) -> list[str]:
    """All that one job draws."""
    return [*figure_files(run, paper, explored), *curve_files(run, paper, explored)]


def drawing_code(run: Run, paper: str, explored: bool = False) -> list[str]:
    """Fingerprints of the job, and of the drawing of each figure."""
    own = {piece["code"] for piece in figure_pieces(run, paper, explored).values()}
    return [run.code("figures.py"), *sorted(own)]


def trainings_shown(run: Run, paper: str) -> list[dict[str, Any]]:
    """The trainings behind a paper, of one recipe on one dataset each.

    With ``dataset`` (its title), ``title`` (as the paper's rows have it), ``colour``, ``logs`` (one
    a seed) and ``folds`` (logs of trainings that leave out a fold).
    """
    rows = rows_shown(run.catalog.paper(paper))
    titles = {row["method"]: row["title"] for row in reversed(rows)}
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for dataset, method in networks_of(run.catalog, paper):
        name, fold, _ = unmarked(method)
        training = found.setdefault(
            (dataset, name),
            {
                "dataset": run.catalog.dataset(dataset).spec["title"],
                "title": titles.get(name) or run.catalog.method(name)["title"],
                "colour": colours(run.catalog)[name],
                "logs": [],
                "folds": [],
            },
        )
        training["folds" if fold else "logs"].append(history_of(run, dataset, method))
    return list(found.values())


def histories(run: Run, paper: str) -> list[str]:
    """The logs of all of a paper's trainings."""
    return [history_of(run, *training) for training in networks_of(run.catalog, paper)]


def _inputs(run: Run, spec: dict[str, Any], sources: dict[str, Any]) -> list[str]:
    """The files and folders that a figure is drawn from."""
    files = [sources[name] for name in ("records", "exploration", "slices") if name in sources]
    files += sources.get("tables", [])
    for folders in sources.get("fields", {}).values():
        files += folders.values()
    if "folders" in sources:
        files += batches_with(run, *_figure_cases(run, spec))
    if "folder" in sources:
        files += batches_with(run, *_first_training_case(run, spec))
    return sorted(set(files))


def _records(run: Run, paper: str, spec: dict[str, Any]) -> str:
    return run.layout.paper_records(paper)


def _folders(run: Run, paper: str, spec: dict[str, Any]) -> dict[str, str]:
    return case_folders(run, *_figure_cases(run, spec))


def _fields(run: Run, paper: str, spec: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {row["method"]: fields_of_row(run, row) for row in spec["experiments"]}


def _labels(run: Run, paper: str, spec: dict[str, Any]) -> dict[int, str]:
    return run.catalog.dataset(_figure_cases(run, spec)[0]).spec["labels"]


def _unit(run: Run, paper: str, spec: dict[str, Any]) -> str:
    return frame_unit(run, _figure_cases(run, spec)[0])


def frame_unit(run: Run, dataset: str) -> str:
    """What a length of 1 on a dataset's prepared grids is: ``mm`` or ``voxels``."""
    steps = run.catalog.dataset(dataset).spec["prepare"]
    return "voxels" if {"unit_frame": {}} in steps else "mm"


def _colours(run: Run, paper: str, spec: dict[str, Any]) -> dict[str, int]:
    known = colours(run.catalog)
    return {row["method"]: known[unmarked(row["method"])[0]] for row in spec["experiments"]}


def _intensity(run: Run, paper: str, spec: dict[str, Any]) -> str:
    return intensity_unit(run, _figure_cases(run, spec)[0])


def intensity_unit(run: Run, dataset: str) -> str:
    """``HU`` of a dataset that is prepared as only CT is, and keeps its values; else nothing."""
    steps = {
        name: settings or {}
        for step in run.catalog.dataset(dataset).spec["prepare"]
        for name, settings in step.items()
    }
    low = steps.get("clip", {}).get("low")
    is_ct = {"segment_lungs", "clip_background"} & set(steps) or (low is not None and low <= AIR)
    return "HU" if is_ct and not {"rescale", "window", "zscore"} & set(steps) else ""


def _exploration(run: Run, paper: str, spec: dict[str, Any]) -> str:
    return run.layout.exploration(spec["dataset"])


def _slices(run: Run, paper: str, spec: dict[str, Any]) -> str:
    return run.layout.slices(spec["dataset"])


def _organ_tables(run: Run, paper: str, spec: dict[str, Any]) -> list[str]:
    return [run.layout.noisy_labels(spec["dataset"])]


def _limits(run: Run, paper: str, spec: dict[str, Any]) -> dict[str, Any]:
    return run.catalog.dataset(spec["dataset"]).spec["noisy_labels"]["limits"]


def _network(run: Run, paper: str, spec: dict[str, Any]) -> dict[str, Any]:
    return run.catalog.method(spec["method"])["network"]


def _shape(run: Run, paper: str, spec: dict[str, Any]) -> list[int] | None:
    """The grid that all cases of a dataset have; None without one, or without a dataset."""
    if "dataset" not in spec:
        return None
    data = run.catalog.dataset(spec["dataset"]).spec
    settings = [value or {} for step in data["prepare"] for value in step.values()]
    shapes = [s["shape"] for s in [*settings, data["prealign"] or {}] if s.get("shape")]
    return shapes[-1] if shapes else None


def _folder(run: Run, paper: str, spec: dict[str, Any]) -> str:
    return next(iter(case_folders(run, *_first_training_case(run, spec)).values()))


def _published(run: Run, paper: str, spec: dict[str, Any]) -> dict[str, float]:
    return _published_means(run, paper, spec, spec["metric"])


def _published_of_metrics(run: Run, paper: str, spec: dict[str, Any]) -> dict[str, dict]:
    return {metric: _published_means(run, paper, spec, metric) for metric in spec["metrics"]}


def _published_tre(run: Run, paper: str, spec: dict[str, Any]) -> dict[str, dict]:
    return {"tre": _published_means(run, paper, spec, "tre")}


def _published_axes(run: Run, paper: str, spec: dict[str, Any]) -> dict[str, dict]:
    metrics = ("tre", "tre_x", "tre_y", "tre_z")
    return {metric: _published_means(run, paper, spec, metric, within=True) for metric in metrics}


def _published_means(
    run: Run, paper: str, spec: dict[str, Any], metric: str, within: bool = False
) -> dict[str, float]:
    """Method to the published mean of a metric on the figure's dataset and split.

    From the table that the figure names, else from all of the paper's; from columns of all labels,
    or of those within a range.
    """
    first = spec["experiments"][0]
    tables = run.catalog.paper(paper)["tables"]
    return {
        row["method"]: row["published"][name]
        for table in ([tables[spec["table"]]] if "table" in spec else tables.values())
        for name, column in table["columns"].items()
        if column["metric"] == metric
        and column["statistic"] == "mean"
        and ("within" in column) == within
        for row in table["rows"]
        if all(row.get(key) == first[key] for key in ("dataset", "split"))
        and "fixed" not in row
        and name in row["published"]
    }


def _figure_cases(run: Run, spec: dict[str, Any]) -> tuple[str, list[str]]:
    """(dataset, case ids) that a figure of images may draw."""
    if not spec["experiments"]:
        dataset = run.catalog.dataset(spec["dataset"])
        return dataset.name, dataset.ids
    first = spec["experiments"][0]
    pairs = run.catalog.dataset(first["dataset"]).pairs(first["split"])
    return first["dataset"], cases_of(pairs)


def _first_training_case(run: Run, spec: dict[str, Any]) -> tuple[str, list[str]]:
    """(dataset, [case id]) that synthetic fields are shown on; of folds, each case trains."""
    dataset = run.catalog.dataset(spec["dataset"])
    splits = ["train"] if "train" in dataset.splits else dataset.splits
    return dataset.name, dataset.split(*splits)[:1]


# What a kind of figure may ask for; its first figure to ask something new adds a line here.
SOURCES: dict[str, Callable[[Run, str, dict[str, Any]], Any]] = {
    "case folder": _folder,
    "case folders": _folders,
    "colours": _colours,
    "exploration": _exploration,
    "fields": _fields,
    "grid shape": _shape,
    "intensity": _intensity,
    "labels": _labels,
    "limits of organs": _limits,
    "network": _network,
    "published": _published,
    "published, each axis": _published_axes,
    "published, each metric": _published_of_metrics,
    "published, landmarks": _published_tre,
    "records": _records,
    "slices": _slices,
    "tables of organs": _organ_tables,
    "unit": _unit,
}
