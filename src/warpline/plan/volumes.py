"""How large the cases of a dataset are on the grid that they are prepared on, from the plan."""

from __future__ import annotations

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
