"""Images on oriented grids: the one place where array and physical conventions meet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np


@dataclass(frozen=True)
class Grid:
    """A regular, oriented sampling grid.

    Attributes
    ----------
    shape
        Number of voxels along (z, y, x): the shape of an array on this grid.
    spacing, origin
        (x, y, z) in mm; the origin is the physical position (LPS) of index 0.
    direction
        3×3 matrix, row-major, whose columns are the physical directions of the x, y and z axes.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    @property
    def matrix(self) -> np.ndarray:
        """3×3 matrix from (x, y, z) index steps to (x, y, z) mm."""
        return np.asarray(self.direction).reshape(3, 3) * np.asarray(self.spacing)

    def index_to_physical(self, index: np.ndarray) -> np.ndarray:
        """Physical points (…, 3) in mm, (x, y, z), of continuous indices (…, 3) in (z, y, x)."""
        index = np.asarray(index, dtype=np.float64)
        return index[..., ::-1] @ self.matrix.T + np.asarray(self.origin)

    def physical_to_index(self, points: np.ndarray) -> np.ndarray:
        """Continuous indices (…, 3) in (z, y, x) of physical points (…, 3) in mm, (x, y, z)."""
        offset = np.asarray(points, dtype=np.float64) - np.asarray(self.origin)
        return (offset @ np.linalg.inv(self.matrix).T)[..., ::-1]

    def indices(self) -> np.ndarray:
        """All indices of the grid, (z, y, x, 3) in (z, y, x)."""
        return np.stack(np.meshgrid(*map(np.arange, self.shape), indexing="ij"), axis=-1)

    def nearest_axis(self, physical: int) -> tuple[int, int]:
        """The array axis nearest to a physical axis (0, 1, 2: x, y, z), and its sense (±1).

        No two physical axes have the same one, however oblique the grid.
        """
        direction = np.asarray(self.direction).reshape(3, 3)
        axis = self.nearest_axes()[physical]
        return 2 - axis, 1 if direction[physical, axis] >= 0 else -1

    def nearest_axes(self) -> tuple[int, int, int]:
        """The columns of `direction` nearest to the physical axes x, y, z, all different."""
        cosines = np.abs(np.asarray(self.direction).reshape(3, 3))
        return max(permutations(range(3)), key=lambda axes: cosines[range(3), axes].sum())

    def close_to(self, other: Grid, tolerance: float = 1e-3) -> bool:
        """Whether both grids put every voxel at the same place, to `tolerance` mm."""
        if self.shape != other.shape:
            return False
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.shape])).reshape(3, -1).T
        distance = self.index_to_physical(corners) - other.index_to_physical(corners)
        return bool(np.abs(distance).max() <= tolerance)


@dataclass(frozen=True)
class Image:
    """An array (z, y, x) and the grid it lies on."""

    array: np.ndarray
    grid: Grid

    def __post_init__(self) -> None:
        if tuple(self.array.shape[:3]) != tuple(self.grid.shape):
            raise ValueError(f"array {self.array.shape} does not lie on grid {self.grid.shape}")

    def with_array(self, array: np.ndarray) -> Image:
        """Another array on the same grid."""
        return replace(self, array=array)
