"""The grid on which a pair is looked at: along the body's axes, cropped, and not too fine."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from warpline.images.grid import Grid
from warpline.images.regions import bounding_boxes

MARGIN = 0.12  # about what is of interest, as a part of its extent


def along_body(grid: Grid) -> Grid:
    """The same voxels in the order x to the left, y to the back, z to the head.

    An oblique grid keeps its obliqueness: its axes take the names of the nearest ones of the body.
    """
    axes = [grid.nearest_axis(physical) for physical in range(3)]
    matrix = grid.matrix
    columns, start = [], np.zeros(3)
    for axis, sense in axes:
        columns.append(matrix[:, 2 - axis] * sense)
        if sense < 0:
            start[axis] = grid.shape[axis] - 1
    spacing = [float(np.linalg.norm(column)) for column in columns]
    direction = np.stack([c / s for c, s in zip(columns, spacing, strict=True)], axis=1)
    return Grid(
        tuple(grid.shape[axis] for axis, _ in reversed(axes)),
        tuple(spacing),
        tuple(grid.index_to_physical(start).tolist()),
        tuple(direction.ravel().tolist()),
    )


def cropped(grid: Grid, low: Sequence[int], high: Sequence[int]) -> Grid:
    """The voxels from `low` to before `high`, (z, y, x)."""
    shape = tuple(int(b) - int(a) for a, b in zip(low, high, strict=True))
    origin = tuple(grid.index_to_physical(np.asarray(low)).tolist())
    return Grid(shape, grid.spacing, origin, grid.direction)


def coarser(grid: Grid, most: int) -> Grid:
    """The same extent in `most` voxels or fewer, the finest axes first; the grid itself if it fits.

    The extent is that of the voxels, not of their centres.
    """
    spacing, extent = list(grid.spacing), np.multiply(grid.spacing, grid.shape[::-1])
    if math.prod(grid.shape) <= most:
        return grid
    low, high = min(spacing), float(extent.max())
    for _ in range(60):  # the least spacing that suffices, no axis made finer than it was
        middle = (low + high) / 2
        counts = [max(1, round(e / max(s, middle))) for e, s in zip(extent, spacing, strict=True)]
        low, high = (low, middle) if math.prod(counts) <= most else (middle, high)
    counts = [max(1, round(e / max(s, high))) for e, s in zip(extent, spacing, strict=True)]
    return with_counts(grid, counts)


def with_counts(grid: Grid, counts: Sequence[int]) -> Grid:
    """The same extent in so many voxels along (x, y, z)."""
    extent = np.multiply(grid.spacing, grid.shape[::-1])
    fine = tuple(float(e / n) for e, n in zip(extent, counts, strict=True))
    matrix = np.asarray(grid.direction).reshape(3, 3)
    shift = matrix @ (np.subtract(fine, grid.spacing) / 2)
    origin = tuple((np.asarray(grid.origin) + shift).tolist())
    return Grid(tuple(counts[::-1]), fine, origin, grid.direction)


def halved(grid: Grid) -> Grid:
    """The same extent with every axis at half the resolution."""
    return with_counts(grid, [max(1, (n + 1) // 2) for n in grid.shape[::-1]])


def box_of(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and past the last index of what a mask (z, y, x) holds, with a margin, on its grid."""
    box = bounding_boxes(mask).get(1)
    if box is None:
        return np.zeros(3, int), np.array(mask.shape)
    low, high = np.array([(side.start, side.stop) for side in box]).T
    pad = np.ceil(MARGIN * (high - low)).astype(int)
    return np.maximum(low - pad, 0), np.minimum(high + pad, mask.shape)
