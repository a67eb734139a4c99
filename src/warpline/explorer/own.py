"""The same pages for two scans of one's own, as ``warpline register`` left them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from warpline.errors import WarplineError
from warpline.explorer.build import write_looked, write_page
from warpline.files import atomic_folder, write_text
from warpline.provenance.banner import here

NAME, PLACE = "registration", "scans/pair"
METHODS = {"before": "Before registration", "warpline": "warpline register"}


def write_registration(folder: str | os.PathLike) -> Path:
    """Write the pages into ``explorer`` beside the field, and return that folder.

    Raises
    ------
    WarplineError
        If the images that were registered are no longer where they were.
    """
    from warpline.acquire.scans import as_volume, read_scan
    from warpline.cases.case import Case
    from warpline.explorer.pair import OWN_INVERSE, Looked, WayBack
    from warpline.explorer.volumes import script
    from warpline.fields.io import read_field
    from warpline.fields.physical import DisplacementField

    folder = Path(folder)
    told = json.loads((folder / "registration.json").read_text(encoding="utf-8"))
    paths = {key: Path(told[key]) for key in ("fixed", "moving")}
    for key, path in paths.items():
        if not path.exists():
            raise WarplineError(
                f"The {key} image is not where it was.",
                where=path,
                do="Run this where you registered, or register again.",
            )
    images = [as_volume(read_scan(p, told.get("volume")), k) for k, p in paths.items()]
    cases = [Case(path.name, image) for path, image in zip(paths.values(), images, strict=True)]
    looked = Looked(*cases, {})
    field = read_field(folder / "field.nii.gz")
    fields = [DisplacementField.identity(field.grid), field]
    back = WayBack(read_field(folder / "inverse.nii.gz"), "inverse.nii.gz")
    pages = folder / "explorer"
    with atomic_folder(pages / NAME) as temporary:
        ways = zip(fields, (OWN_INVERSE, back), strict=True)
        write_looked(temporary, "pair-0", looked, ways)
        content = _content(cases, fields)
        write_text(temporary / "paper.js", script("paper", NAME, content))
    first = f"#/pair/{NAME}/{PLACE}/0"
    run = {"title": "warpline register", "data": "own images", **here(str(told["device"]))}
    again = f"remove the folder {pages}, then: warpline view {folder}"
    about = {"papers": [NAME], "first": first, "run": run, "again": again}
    write_page(pages / "index.html", about)
    return pages


def _content(cases: list, fields: list) -> dict[str, Any]:
    """Both fields as methods of one pair, with what was measured."""
    from warpline.evaluation.pairs import evaluate_pair
    from warpline.explorer.tables import finite

    scores: dict[str, dict[str, Any]] = {}
    for method, field in zip(METHODS, fields, strict=True):
        rows = evaluate_pair(*cases, field, {})
        scores[method] = {
            row["metric"]: {"unit": row["unit"], "pairs": [finite(row["value"])]} for row in rows
        }
    return {
        "title": "Two scans",
        "citation": "",
        "url": "",
        "notes": "",
        "values": {},
        "claims": [],
        "tables": {},
        "places": {
            PLACE: {
                "title": "Two scans",
                "split": "pair",
                "unit": "mm",
                "pairs": [[case.id for case in cases]],
                "kept": {"0": "pair-0"},
                "methods": list(METHODS),
                "titles": list(METHODS.values()),
                "scores": scores,
            }
        },
    }
