"""How large the cases of a dataset are on the grid that they are prepared on, from the plan."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from warpline.plan.run import Run

Shape = tuple[int, int, int]
SHAPING = ("resize", "pad_crop")


def shape_after(steps: Sequence[Mapping[str, Any]]) -> Shape | None:
    """(z, y, x) voxels that steps of a preparation leave; None where they depend on the scan.

    The last step that names a shape says it, unless one that follows cuts or resamples.
    """
    found: Shape | None = None
    for step in steps:
        for name, parameters in step.items():
            if name in SHAPING:
                found = tuple(parameters["shape"])
            elif name in ("resample", "crop_to_mask"):
                found = None
    return found


def prepared_shape(run: Run, dataset: str, grids: Mapping[str, Sequence[int]]) -> Shape | None:
    """(z, y, x) voxels of a dataset's cases when methods get them; None where they differ.

    Parameters
    ----------
    grids
        Of datasets whose scans all have one grid that their preparation does not name.
    """
    spec = run.catalog.dataset(dataset).spec
    if "members" in spec:
        shapes = {prepared_shape(run, member, grids) for member in spec["members"]}
        return shapes.pop() if len(shapes) == 1 else None
    aligned = spec["prealign"]
    if aligned and aligned.get("shape"):
        return tuple(aligned["shape"])
    if aligned and aligned.get("dataset") not in (None, dataset):
        return prepared_shape(run, aligned["dataset"], grids)
    named = tuple(grids[dataset]) if dataset in grids else None
    return shape_after(spec["prepare"]) or named


def training_shape(
    run: Run, dataset: str, recipe: Mapping[str, Any], grids: Mapping[str, Sequence[int]]
) -> Shape | None:
    """(z, y, x) voxels of a case as a recipe's own preparation leaves it."""
    own = recipe.get("prepare") or []
    return shape_after(own) if own else prepared_shape(run, dataset, grids)


def typical_scan(run: Run, dataset: str, known: Mapping[str, Any]) -> float | None:
    """Voxels of a dataset's scan as it is offered, on average; None where nobody has said it.

    By the dataset's file where it says each scan's size, else by what is `known` of it.
    """
    scans = _scans(run, dataset, known)
    return sum(voxels for voxels, _ in scans) / len(scans) if scans else None


def typical_case(run: Run, dataset: str, known: Mapping[str, Any]) -> float | None:
    """Voxels of a prepared case, on average: of scans of different sizes, too."""
    shape = prepared_shape(run, dataset, known["grids"])
    if shape:
        return math.prod(shape)
    spec = run.catalog.dataset(dataset).spec
    if "members" in spec:
        return None
    found = [voxels_after(spec["prepare"], *scan) for scan in _scans(run, dataset, known)]
    return sum(found) / len(found) if found and None not in found else None


def voxels_after(
    steps: Sequence[Mapping[str, Any]], voxels: float, volume: float | None
) -> float | None:
    """Voxels that steps of a preparation leave of a scan; None where its content decides.

    Parameters
    ----------
    volume
        Of a voxel, mm³; None if it is not known.
    """
    for name, parameters in (item for step in steps for item in step.items()):
        if name in SHAPING:
            voxels, volume = math.prod(parameters["shape"]), None
        elif name == "resample" and volume is not None:
            own = math.prod(parameters["spacing"])
            voxels, volume = voxels * volume / own, own
        elif name in ("resample", "crop_to_mask"):
            return None
    return voxels


def _scans(run: Run, dataset: str, known: Mapping[str, Any]) -> list[tuple[float, float | None]]:
    """Voxels, and mm³ of one, of each scan whose size is known; or of a typical one."""
    data = run.catalog.dataset(dataset)
    patients = {row["patient"] for row in data.cases}
    listed = data.spec["scans"]
    found = [scan for name, scan in listed.items() if name in patients] or list(listed.values())
    if not found and data.spec["phantom"]:
        found = [known["generated"].get(data.spec["phantom"]["kind"])]
    elif not found and dataset in known["scans"]:
        found = [{"size": known["scans"][dataset]["typical"]}]
    return [
        (math.prod(scan["size"]), math.prod(scan["spacing"]) if "spacing" in scan else None)
        for scan in found
        if scan
    ]
