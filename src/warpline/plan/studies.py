"""Studies: tables of any methods on any datasets, in the form of a paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from warpline.plan.datasets import Datasets
from warpline.plan.marks import TUNED
from warpline.plan.methods import Methods
from warpline.plan.splits import SYNTHETIC

STUDY_COLUMNS = {
    "dice": {"title": "Dice", "metric": "dice", "better": "higher"},
    "hd95": {"title": "HD95", "metric": "hd95", "better": "lower", "decimals": 2, "unit": "mm"},
    "tre": {"title": "TRE", "metric": "tre", "better": "lower", "decimals": 2, "unit": "mm"},
    "cc": {"title": "CC", "metric": "cc", "better": "higher"},
    "sdlogj": {"title": "SD log J", "metric": "sdlogj", "better": "lower"},
    "folds": {"title": "Folds", "metric": "folding_fraction", "better": "lower", "decimals": 5},
    "seconds": {
        "title": "Time",
        "metric": "seconds",
        "better": "lower",
        "decimals": 2,
        "unit": "s",
    },
}

_ERROR = {"better": "lower", "decimals": 2, "unit": "mm", "over": "labels"}


def _between(above: float, at_most: float) -> dict[str, Any]:
    """Patches whose true displacement has a length between these, mm."""
    return {"metric": "displacement", "above": above, "at_most": at_most}


SYNTHETIC_COLUMNS = {
    "mae": {"title": "MAE", "metric": "mae"} | _ERROR,
    "identity": {"title": "MAE of no displacement", "metric": "mae_identity"}
    | _ERROR
    | {"better": "none"},
    "mae_x": {"title": "MAE x", "metric": "mae_x"} | _ERROR,
    "mae_y": {"title": "MAE y", "metric": "mae_y"} | _ERROR,
    "mae_z": {"title": "MAE z", "metric": "mae_z"} | _ERROR,
    "small": {"title": "MAE up to 1.5 mm", "metric": "mae", "within": _between(0, 1.5)} | _ERROR,
    "medium": {"title": "MAE 1.5–4 mm", "metric": "mae", "within": _between(1.5, 4)} | _ERROR,
    "large": {"title": "MAE 4–8 mm", "metric": "mae", "within": _between(4, 8)} | _ERROR,
}


def study_as_paper(
    name: str, study: Mapping[str, Any], datasets: Datasets, methods: Methods
) -> dict[str, Any]:
    """A study of any methods on any datasets, in the form of a paper's file."""
    synthetic = study["split"].endswith(SYNTHETIC)
    columns = SYNTHETIC_COLUMNS if synthetic else STUDY_COLUMNS
    counted = "images" if synthetic else "pairs"
    tables, figures = {}, {}
    for dataset in study["datasets"]:
        spec = datasets.get(dataset).spec
        suffix = f"_{dataset}" if len(study["datasets"]) > 1 else ""
        rows = [
            {
                "id": method,
                "title": methods.get(method)["title"],
                "set": study["split"],
                "dataset": dataset,
                "method": method,
                "split": study["split"],
            }
            for method in _rows(study, methods)
        ]
        tables[f"table{suffix}"] = {
            "title": spec["title"],
            "caption": f"Split {study['split']}, n = {{n}} {counted}, scale {{scale}}, "
            "device {device}.",
            "reference": study["reference"],
            # What a dataset has no annotation for, its table has no column for.
            "columns": {k: {**c, "optional": True} for k, c in columns.items()},
            "rows": rows,
        }
        if synthetic:  # its fields are not kept
            continue
        experiments = [
            {key: row[key] for key in ("dataset", "method", "split", "title")} for row in rows
        ]
        figures[f"registrations{suffix}"] = {
            "kind": "registration",
            "title": f"{spec['title']}: one pair, every method",
            "experiments": experiments,
        }
        if spec["labels"]:
            figures[f"dice{suffix}"] = {
                "kind": "boxplot",
                "title": f"{spec['title']}: Dice of every pair",
                "experiments": experiments,
                "metric": "dice",
                "axis": "Dice",
            }
        elif any(row["landmarks"] for row in datasets.get(dataset).cases):
            figures[f"tre{suffix}"] = {
                "kind": "boxplot",
                "title": f"{spec['title']}: landmarks of every pair",
                "experiments": experiments,
                "metric": "tre",
                "by": "pair",
                "axis": "TRE (mm)",
            }
    return {
        "title": study.get("title", name),
        "citation": "Own study",
        "seeds": study["seeds"],
        "tables": tables,
        "figures": figures,
    }


def _rows(study: Mapping[str, Any], methods: Methods) -> list[str]:
    """The methods of a study, each that is to be tuned a second time."""
    if "tune" not in study:
        return study["methods"]
    return [
        name
        for method in study["methods"]
        for name in ((method, method + TUNED) if methods.tune(method) else (method,))
    ]
