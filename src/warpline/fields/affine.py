"""The affine map nearest to a field."""

from __future__ import annotations

import numpy as np

from warpline.fields.physical import DisplacementField

# Points by which an affine map is fitted to a field.
FITTED = 20_000
# A field that is farther than this from its nearest affine map, in mm, is not affine.
AFFINE = 1e-3


def fit_affine(field: DisplacementField) -> np.ndarray:
    """The affine map (4, 4), mm, LPS, that is nearest to a field in the sense of least squares.

    Along an axis of one voxel nothing is known, and nothing is stretched.
    """
    grid = field.grid
    step = max(1, int(np.prod(grid.shape)) // FITTED)
    flat = np.unique(np.r_[np.arange(0, np.prod(grid.shape), step), _corners(grid.shape)])
    index = np.stack(np.unravel_index(flat, grid.shape), axis=-1)
    points = grid.index_to_physical(index)
    moves = field.vectors.reshape(-1, 3)[flat].astype(np.float64)
    centre = points.mean(axis=0)
    design = np.c_[points - centre, np.ones(len(points))]
    change = np.linalg.lstsq(design, moves, rcond=1e-9)[0].T
    matrix = np.eye(4)
    matrix[:3, :3] += change[:, :3]
    matrix[:3, 3] = change[:, 3] - change[:, :3] @ centre
    return matrix


def affine_residual(field: DisplacementField, matrix: np.ndarray) -> float:
    """The largest distance, in mm, between where a field and an affine map take a voxel."""
    other = DisplacementField.from_matrix(matrix, field.grid)
    return float(np.linalg.norm(field.vectors - other.vectors, axis=-1).max())


def affine_of(field: DisplacementField) -> np.ndarray | None:
    """The affine map that a field is, or None."""
    matrix = fit_affine(field)
    return matrix if affine_residual(field, matrix) <= AFFINE else None


def joined(outer: DisplacementField, inner: DisplacementField) -> DisplacementField:
    """The field of ``x → T_outer(T_inner(x))``, on the grid of `inner`.

    An affine outer map goes on beyond its grid, where `DisplacementField.compose` would repeat the
    displacement of the border.
    """
    matrix = affine_of(outer)
    if matrix is None:
        return outer.compose(inner)
    turned = inner.vectors @ matrix[:3, :3].T.astype(np.float32)
    return DisplacementField(
        turned + DisplacementField.from_matrix(matrix, inner.grid).vectors, inner.grid
    )


def _corners(shape: tuple[int, int, int]) -> np.ndarray:
    ends = np.array(np.meshgrid(*[(0, n - 1) for n in shape])).reshape(3, -1)
    return np.ravel_multi_index(ends, shape)
