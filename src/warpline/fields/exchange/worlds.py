"""From one program's coordinates to another's: each an affine map of voxels."""

from __future__ import annotations

import numpy as np

from warpline.fields.exchange.common import positions
from warpline.fields.exchange.matrices import FLIP
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid


def lps_of_voxels(grid: Grid) -> np.ndarray:
    """(4, 4) from indices (i, j, k) to mm, LPS."""
    matrix = np.eye(4)
    matrix[:3, :3] = grid.matrix
    matrix[:3, 3] = grid.origin
    return matrix


def grid_of_voxels(matrix: np.ndarray, shape: tuple[int, int, int]) -> Grid:
    """The grid (z, y, x) of a matrix from indices (i, j, k) to mm, LPS."""
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    return Grid(
        shape,
        tuple(map(float, spacing)),
        tuple(map(float, matrix[:3, 3])),
        tuple(map(float, (matrix[:3, :3] / spacing).ravel())),
    )


def transformed(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (…, 3) through an affine map (4, 4)."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def ijk(grid: Grid) -> np.ndarray:
    """Indices of all voxels, (z, y, x, 3) float64 in (i, j, k)."""
    return grid.indices()[..., ::-1].astype(np.float64)


def field_of_targets(targets: np.ndarray, grid: Grid) -> DisplacementField:
    """The field that takes each voxel to a point (z, y, x, 3) in mm, LPS."""
    return DisplacementField(targets - positions(grid), grid)


def targets_of_field(field: DisplacementField) -> np.ndarray:
    """Where a field takes each voxel, (z, y, x, 3) float64 in mm, LPS."""
    return positions(field.grid) + field.vectors


def ras(points: np.ndarray) -> np.ndarray:
    """Points (…, 3) of LPS in RAS, or back."""
    return points * np.diag(FLIP)[:3]


def ras_matrix(matrix: np.ndarray) -> np.ndarray:
    """An affine map (4, 4) of LPS in RAS, or back."""
    return FLIP @ matrix @ FLIP
