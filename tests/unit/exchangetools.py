"""Grids, maps and points for the tests of `warpline.fields.exchange`.

The affine map is written down in RAS, of which every program's own file is made by hand; what the
project makes of that file is held against the map itself.
"""

from __future__ import annotations

import functools

import numpy as np
from fieldtools import oblique
from scipy.spatial.transform import Rotation

from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid

FIXED = oblique((9, 11, 10), seed=0, spacing=(0.8, 1.3, 2.1))
MOVING = oblique((12, 9, 14), seed=5, spacing=(1.1, 0.9, 1.7))
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])

# From fixed to moving points, mm: a turn, a shear, a shift.
RAS = np.eye(4)
RAS[:3, :3] = Rotation.from_rotvec((0.1, -0.2, 0.15)).as_matrix() @ np.array(
    [[1.1, 0.05, 0.0], [0.0, 0.95, -0.08], [0.0, 0.0, 1.02]]
)
RAS[:3, 3] = (3.0, -5.0, 7.0)
LPS = FLIP @ RAS @ FLIP


def left_handed(grid: Grid) -> Grid:
    """The grid with its x axis the other way: the determinant of its affine changes its sign."""
    direction = np.reshape(grid.direction, (3, 3)) @ np.diag([-1.0, 1.0, 1.0])
    return Grid(grid.shape, grid.spacing, grid.origin, tuple(direction.ravel()))


def voxels(grid: Grid) -> np.ndarray:
    """Some voxels of a grid as (i, j, k), corners among them."""
    index = grid.indices().reshape(-1, 3)
    return np.r_[index[:: len(index) // 40], index[-1:]][:, ::-1]


def world(grid: Grid, ijk: np.ndarray) -> np.ndarray:
    """Points (n, 3) in mm, LPS, of indices (i, j, k), by the definition alone."""
    direction = np.reshape(grid.direction, (3, 3))
    return np.array([grid.origin + direction @ (np.array(grid.spacing) * i) for i in ijk])


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.array([(matrix @ [*point, 1])[:3] for point in points])


def moved(field: DisplacementField, ijk: np.ndarray) -> np.ndarray:
    """Where a field takes voxels of its grid."""
    return world(field.grid, ijk) + field.vectors[ijk[:, 2], ijk[:, 1], ijk[:, 0]]


@functools.cache
def ras_affine(grid: Grid) -> np.ndarray:
    """The affine of a NIfTI file of a grid."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(grid.direction, (3, 3)) * np.array(grid.spacing)
    affine[:3, 3] = grid.origin
    return FLIP @ affine


@functools.cache
def voxels_of_ras(grid: Grid) -> np.ndarray:
    return np.linalg.inv(ras_affine(grid))
