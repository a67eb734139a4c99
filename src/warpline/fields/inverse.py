"""The inverse of a field that may turn and shift as well: on another grid, or at points alone.

A field is its nearest affine map and what is left; only that is inverted by iterations, so a
rotation, or two scans a metre apart, cost nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from warpline.fields.affine import fit_affine
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid

STEPS = 200
SHORTEST = 1e-6  # of the steps, as a part of a whole one


class InverseField(NamedTuple):
    """An inverse and how far it is from one."""

    field: DisplacementField
    """From moving to fixed points, on the moving grid."""
    residual: np.ndarray
    """(z, y, x), mm: how far ``T(inverse(y))`` is from y; NaN where y comes from off the grid."""


def invert_onto(field: DisplacementField, grid: Grid) -> InverseField:
    """The inverse of a field, from moving to fixed points, on the moving grid.

    A `RuntimeWarning` tells of a field that folds.
    """
    matrix = fit_affine(field)
    back = np.linalg.inv(matrix)
    # T = A ∘ S, with S near the identity: S(x) = A⁻¹(x + u).
    rest = field.vectors @ back[:3, :3].T.astype(np.float32)
    rest += DisplacementField.from_matrix(back, field.grid).vectors
    undone, _ = DisplacementField(rest, field.grid).invert()
    inverse = undone.compose(DisplacementField.from_matrix(back, grid))
    error = np.linalg.norm(field.compose(inverse).vectors, axis=-1)
    start = grid.index_to_physical(grid.indices()) + inverse.vectors
    index = field.grid.physical_to_index(start)
    inside = ((index >= 0) & (index <= np.array(field.grid.shape) - 1)).all(axis=-1)
    return InverseField(inverse, np.where(inside, error, np.nan))


def invert_points(
    field: DisplacementField, points: np.ndarray, tolerance: float = 1e-4
) -> tuple[np.ndarray, np.ndarray]:
    """The fixed points that a field takes to given moving points; the field is read linearly.

    Parameters
    ----------
    points
        (n, 3) in mm, LPS, of the moving image.
    tolerance
        In mm; a point within it is left where it is.

    Returns
    -------
    points, residual
        (n, 3) in mm, and (n,): how far the field takes each from the moving point, in mm.
    """
    goal = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    if len(goal) == 0:
        return goal, np.zeros(0)
    matrix = fit_affine(field)
    back = np.linalg.inv(matrix[:3, :3])
    here = (goal - matrix[:3, 3]) @ back.T
    error = field.transform_points(here, order=1) - goal
    best, step = np.linalg.norm(error, axis=1), np.ones(len(goal))
    for _ in range(STEPS):
        left = np.flatnonzero((best > tolerance) & (step >= SHORTEST))
        if not len(left):
            break
        trial = here[left] - step[left, None] * (error[left] @ back.T)
        new = field.transform_points(trial, order=1) - goal[left]
        length = np.linalg.norm(new, axis=1)
        better = length < best[left]
        nearer = left[better]
        here[nearer], error[nearer], best[nearer] = trial[better], new[better], length[better]
        step[left] = np.where(better, np.minimum(1.0, 1.5 * step[left]), 0.5 * step[left])
    return here, best
