"""Errors by their distance from a boundary: of labels, or of the mask that landmarks lie in."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy import ndimage

BANDS = (0.0, 1.0, 2.0, 4.0, 8.0, np.inf)  # mm


def band(low: float, high: float) -> str:
    """The name of what lies from `low` to below `high`, mm."""
    return f"{low:g}-{high:g} mm" if np.isfinite(high) else f"from {low:g} mm"


def distance_to_boundary(labels: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """How far each voxel's centre is from the nearest boundary between labels, mm.

    Boundaries are the faces between voxels of different labels: the distance of a voxel at one is
    half of what lies between both centres. Exact along an axis; of what is reached obliquely it is
    that to the middle of the nearest such face.

    Parameters
    ----------
    labels
        (z, y, x).
    spacing
        (z, y, x) in mm.

    Returns
    -------
    numpy.ndarray
        float64 (z, y, x); infinite where there is one label alone.
    """
    found = np.full(labels.shape, np.inf)
    for axis in range(3):
        ahead = np.moveaxis(np.diff(labels, axis=axis) != 0, axis, 0)
        if not ahead.any():
            continue
        # Faces as voxels of a grid of half the spacing along their axis, which voxels lie on too.
        n = labels.shape[axis]
        others = [size for k, size in enumerate(labels.shape) if k != axis]
        fine = np.ones((2 * n - 1, *others), bool)
        fine[1::2] = ~ahead
        sides = [spacing[axis] / 2, *(side for k, side in enumerate(spacing) if k != axis)]
        distance = ndimage.distance_transform_edt(fine, sampling=sides)[::2]
        np.minimum(found, np.moveaxis(distance, 0, axis), out=found)
    return found


def error_by_depth(
    fixed: np.ndarray, warped: np.ndarray, spacing: Sequence[float]
) -> dict[str, float]:
    """The share of voxels with another label after registration, by distance from a boundary.

    Counted are voxels that have a label in either map.

    Parameters
    ----------
    fixed, warped
        Label maps (z, y, x) on one grid; 0 is no label.
    spacing
        (z, y, x) in mm.

    Returns
    -------
    dict
        By the band of the distance from the fixed labels' nearest boundary, such as ``1-2 mm``;
        bands without voxels are left out.
    """
    some = (fixed != 0) | (warped != 0)
    distance, wrong = distance_to_boundary(fixed, spacing)[some], (fixed != warped)[some]
    found = {}
    for low, high in pairwise(BANDS):
        inside = (distance >= low) & (distance < high)
        if inside.any():
            found[band(low, high)] = float(wrong[inside].mean())
    return found
