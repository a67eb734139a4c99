"""One registered pair → its measurements, as rows of tidy records."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.evaluation import metrics
from warpline.evaluation.records import row
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid, Image
from warpline.images.regions import bounding_boxes

MASK_LABEL = "mask"


def evaluate_pair(
    fixed: Case,
    moving: Case,
    field: DisplacementField,
    labels: Mapping[int, str],
    outside: str = "border",
) -> list[dict[str, Any]]:
    """Everything that can be measured of one registered pair.

    Parameters
    ----------
    field
        The registration's field, on the fixed image's grid.
    labels
        Label value → name, of the labels to compare. Where a case has no label map and
        there is at most one label, the masks are compared instead, under the name ``mask``.
    outside
        Label of what comes from beyond the moving label map, see `DisplacementField.warp_labels`.

    Returns
    -------
    list of dict
        Rows of `metric`, `label`, `value`, `unit`; the metrics are listed in
        ``docs/architecture.md``. A label counts if both cases hold it; else its rows are NaN. One
        that warping lost, as it fell off the grid or between voxels, has a Dice of 0, the diagonal
        of the fixed image as distances, and 1 as ``vanished``. Landmarks count if both cases have
        their id.

    Raises
    ------
    WarplineError
        If an image does not lie on the field's grid.
    """
    for name, image in (("image", fixed.image), ("labels", fixed.labels)):
        if image is not None and not image.grid.close_to(field.grid):
            raise WarplineError(
                f"The fixed case's {name} and the displacement field lie on different grids.",
                do="Register and evaluate the same preparation of the case.",
            )
    rows = _intensities(fixed.image, field.warp_image(moving.image))
    if fixed.labels is not None and moving.labels is not None:
        rows += _overlaps(fixed.labels, moving.labels, field, labels, outside)
    elif len(labels) < 2 and fixed.mask is not None and moving.mask is not None:
        masks = _binary(fixed.mask), _binary(moving.mask)
        rows += _overlaps(*masks, field, {1: MASK_LABEL}, outside)
    rows += _smoothness(field, moving.grid)
    if fixed.landmarks is not None and moving.landmarks is not None:
        rows += _landmarks(fixed.landmarks, moving.landmarks, field, moving.grid)
    if segmented := fixed.segmented + moving.segmented:
        rows.append(row("segmented_masks", segmented))
    return rows


def _intensities(fixed: Image, warped: Image) -> list[dict[str, Any]]:
    correlation = metrics.correlation(fixed.array, warped.array)
    return [
        row("mse", metrics.mean_squared_error(fixed.array, warped.array)),
        row("cc", correlation),
        row("cc_squared", correlation**2),
    ]


def _binary(mask: Image) -> Image:
    return mask.with_array((mask.array > 0).astype(np.uint8))


def _overlaps(
    fixed: Image,
    moving: Image,
    field: DisplacementField,
    labels: Mapping[int, str],
    outside: str,
) -> list[dict[str, Any]]:
    warped = field.warp_labels(moving, outside).array
    before, there, after = map(bounding_boxes, (fixed.array, moving.array, warped))
    shared = [label for label in labels if label in before and label in there]
    boxes = before, after
    dice = metrics.dice(fixed.array, warped, shared, boxes)
    spacing = fixed.grid.spacing[::-1]
    in_voxels = metrics.surface_distances(fixed.array, warped, shared, boxes=boxes)
    isotropic = math.isclose(min(spacing), max(spacing), rel_tol=1e-6)
    if not isotropic:
        in_mm = metrics.surface_distances(fixed.array, warped, shared, spacing, boxes)
    farthest = _diagonals(fixed.grid)
    rows = []
    for label, name in labels.items():
        voxels = in_voxels.get(label)
        if label not in shared:
            distances = (math.nan,) * 4
        elif voxels is None:
            distances = farthest
        else:
            mm = voxels.scaled(spacing[0]) if isotropic else in_mm[label]
            distances = (
                mm.robust_hausdorff(95),
                mm.hausdorff(),
                voxels.robust_hausdorff(95),
                voxels.hausdorff(),
            )
        rows += [
            row("dice", dice.get(label, math.nan), "", name),
            row("hd95", distances[0], "mm", name),
            row("hausdorff", distances[1], "mm", name),
            row("hd95_voxels", distances[2], "voxel", name),
            row("hausdorff_voxels", distances[3], "voxel", name),
        ]
        if label in shared:
            rows.append(row("vanished", voxels is None, "", name))
    agreement = metrics.agreement(fixed.array, warped)
    return [*rows, row("agreement", agreement)]


def _diagonals(grid: Grid) -> tuple[float, float, float, float]:
    """The distances of a lost label: no surface is farther away. HD95 and Hausdorff; mm, voxels."""
    mm = float(np.linalg.norm(np.multiply(grid.shape[::-1], grid.spacing)))
    voxels = float(np.linalg.norm(grid.shape))
    return mm, mm, voxels, voxels


def _smoothness(field: DisplacementField, moving: Grid) -> list[dict[str, Any]]:
    physical = field.jacobian_determinant()
    between_indices = physical * (np.linalg.det(field.grid.matrix) / np.linalg.det(moving.matrix))
    return [
        row("sdlogj", metrics.sdlogj(physical)),
        row("sdlogj_learn2reg", metrics.sdlogj_learn2reg(between_indices)),
        row("stdj_estienne2020", metrics.stdj_estienne2020(between_indices)),
        row("folding_fraction", metrics.folding_fraction(physical)),
    ]


def _landmarks(
    fixed: pd.DataFrame, moving: pd.DataFrame, field: DisplacementField, grid: Grid
) -> list[dict[str, Any]]:
    axes = ["x", "y", "z"]
    both = fixed.merge(moving, on="id", suffixes=("_fixed", "_moving"), validate="one_to_one")
    if both.empty:
        return []
    start, target = (
        both[[f"{a}_{of}" for a in axes]].to_numpy(float) for of in ("fixed", "moving")
    )
    mapped = field.transform_points(start)
    measured = metrics.registration_errors(mapped, target, grid.matrix)
    measured |= metrics.landmark_displacements(start, mapped, target)
    return [
        row(metric, value, "mm", str(identifier))
        for metric, values in measured.items()
        for identifier, value in zip(both["id"], values, strict=True)
    ]
