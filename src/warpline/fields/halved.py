"""Fields at half their resolution in numbers of 16 bits: what is kept of one that is smooth.

They lie on a grid whose corners are those of the fixed grid and which has about half as many points
along each axis. Components are rounded to about a 2048th of a voxel: those of up to 16 voxels have
16 bits, and the other half of their single-precision numbers is zeros, which gzip packs away. (Half
precision would have eleven bits, too few for the differences between neighbours of a field that
moves far.)

Between the points a field is a product of cubic splines whose third derivative has no jump at the
last point but one; what is kept is the spline that is nearest to the field, by least squares (de
Boor, A Practical Guide to Splines, 1978).
"""

from __future__ import annotations

import math
import os
from functools import lru_cache

import numpy as np

from warpline.fields.io import read_field, write_field
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid

# Share of a voxel's shortest side by which 999 of 1000 vectors may differ.
TOLERANCE = 0.01
SHARE = 0.999
STEPS = 2048  # of a voxel


def write_kept(path: str | os.PathLike, field: DisplacementField, *, halved: bool) -> None:
    """Write a field as a run keeps it: whole, or halved where that is asked for and near enough.

    Raises
    ------
    WarplineError
        As `warpline.fields.io.write_field`.
    """
    kept = halve(field) if halved and np.isfinite(field.vectors).all() else None
    write_field(path, field if kept is None else kept)


def read_kept(path: str | os.PathLike, grid: Grid) -> DisplacementField:
    """Read the field of a pair on its fixed grid, whichever way it was kept.

    Raises
    ------
    WarplineError
        As `warpline.fields.io.read_field`.
    """
    field = read_field(path)
    if field.grid.close_to(grid) or not field.grid.close_to(halved_grid(grid)):
        return field
    return restore(field, grid)


def halved_grid(grid: Grid) -> Grid:
    """The grid of the same corners with n // 2 + 1 points along an axis of n."""
    shape = tuple(size // 2 + 1 for size in grid.shape)
    steps = [
        (old - 1) / (new - 1) if new > 1 else 1.0
        for old, new in zip(grid.shape[::-1], shape[::-1], strict=True)
    ]
    spacing = tuple(mm * step for mm, step in zip(grid.spacing, steps, strict=True))
    return Grid(shape, spacing, grid.origin, grid.direction)


def halve(field: DisplacementField) -> DisplacementField | None:
    """A field as it is kept, or None where it would not come back within `TOLERANCE`."""
    grid = field.grid
    values = _along_axes(field.vectors, [_nearest(size) for size in grid.shape])
    step = np.float32(2.0 ** math.floor(math.log2(min(grid.spacing) / STEPS)))
    kept = DisplacementField(np.rint(values / step) * step, halved_grid(grid))
    away = np.linalg.norm(restore(kept, grid).vectors - field.vectors, axis=-1)
    within = np.count_nonzero(away <= TOLERANCE * min(grid.spacing))
    return kept if within >= SHARE * away.size else None


def restore(kept: DisplacementField, grid: Grid) -> DisplacementField:
    """A kept field on its fixed grid."""
    return DisplacementField(_along_axes(kept.vectors, [_spline(n) for n in grid.shape]), grid)


def _along_axes(vectors: np.ndarray, matrices: list[np.ndarray]) -> np.ndarray:
    """Vectors (z, y, x, 3) times a matrix along each axis of space."""
    for axis, matrix in enumerate(matrices):
        moved = np.tensordot(matrix, vectors, axes=(1, axis))
        vectors = np.moveaxis(moved, 0, axis)
    return np.ascontiguousarray(vectors, dtype=np.float32)


@lru_cache(maxsize=16)
def _spline(size: int) -> np.ndarray:
    """(n, n // 2 + 1): values of the cubic spline at n places from those at its knots."""
    knots = size // 2 + 1
    if knots < 4:
        return _linear(size, knots)
    # Second derivatives from values, in steps of the knots; going on in a line at both ends.
    inner = knots - 2
    left = np.diag(np.full(inner, 4.0)) + np.eye(inner, k=1) + np.eye(inner, k=-1)
    ends = np.eye(inner, knots) + np.eye(inner, knots, k=2)
    right = 6.0 * (ends - 2.0 * np.eye(inner, knots, k=1))
    left[0, :2] = left[-1, :-3:-1] = (6.0, 0.0)
    bent = np.zeros((knots, knots))
    bent[1:-1] = np.linalg.solve(left, right)
    bent[0], bent[-1] = 2 * bent[1] - bent[2], 2 * bent[-2] - bent[-3]
    linear = _linear(size, knots)
    before, part = _places(size, knots)
    rest = 1.0 - part
    curve = ((rest**3 - rest) / 6.0)[:, None] * bent[before]
    curve += ((part**3 - part) / 6.0)[:, None] * bent[before + 1]
    return (linear + curve).astype(np.float32)


def _linear(size: int, knots: int) -> np.ndarray:
    if knots == 1:
        return np.ones((size, 1), np.float32)
    before, part = _places(size, knots)
    matrix = np.zeros((size, knots))
    rows = np.arange(size)
    matrix[rows, before] = 1.0 - part
    matrix[rows, before + 1] = part
    return matrix


def _places(size: int, knots: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each of `size` places the knot before it, and how far beyond that it lies, 0 to 1."""
    places = np.linspace(0, knots - 1, size)
    before = np.minimum(places.astype(int), knots - 2)
    return before, places - before


@lru_cache(maxsize=16)
def _nearest(size: int) -> np.ndarray:
    """(n // 2 + 1, n): the values at the knots whose spline is nearest to n values."""
    return np.linalg.pinv(_spline(size).astype(np.float64)).astype(np.float32)
