"""Displacement fields in physical space: mm, LPS, on oblique and anisotropic grids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from warpline.fields.arrays import jacobian_determinant, sample_array
from warpline.images.grid import Grid, Image

if TYPE_CHECKING:
    import torch

# Voxels handled at a time: large enough to keep every thread busy, small enough that what is made
# of them stays in the cache.
SLAB = 250_000
# Up to so many voxels are sampled before torch, which is faster, would be imported.
SMALL = 2**20
# A cubic spline's prefilter forgets a voxel by 0.27 per step: 24 voxels are beyond float64.
SPLINE_REACH = 24
# Parts of a matrix that are this much smaller than its largest are roundings of 0.
TINY = 1e-12
# Voxels by which float32 may miss a place on the border, in a space of a metre.
ROUNDING = 1e-3


@dataclass(frozen=True)
class DisplacementField:
    """A map from fixed to moving points: ``T(x) = x + u(x)``.

    Attributes
    ----------
    vectors
        ``u``, (z, y, x, 3) float32, components (x, y, z) in mm, LPS.
    grid
        The fixed grid. Beyond it the field goes on with the value at its border.
    """

    vectors: np.ndarray
    grid: Grid

    def __post_init__(self) -> None:
        if tuple(self.vectors.shape) != (*self.grid.shape, 3):
            raise ValueError(f"vectors {self.vectors.shape} do not lie on grid {self.grid.shape}")
        object.__setattr__(self, "vectors", np.ascontiguousarray(self.vectors, dtype=np.float32))

    @classmethod
    def identity(cls, grid: Grid) -> DisplacementField:
        """The field that moves nothing."""
        return cls(np.zeros((*grid.shape, 3), np.float32), grid)

    @classmethod
    def from_matrix(cls, matrix: np.ndarray, grid: Grid) -> DisplacementField:
        """The field of an affine map: (4, 4), homogeneous, fixed → moving points, mm, LPS."""
        change = np.asarray(matrix, dtype=np.float64)[:3] - np.eye(3, 4)
        steps = change[:, :3] @ _index_matrix(grid)
        vectors = np.zeros((*grid.shape, 3), np.float32)
        offset = change[:, :3] @ np.asarray(grid.origin) + change[:, 3]
        _add_affine(np.moveaxis(vectors, -1, 0), steps, offset)
        return cls(vectors, grid)

    @classmethod
    def from_voxel(cls, displacement: torch.Tensor, fixed: Grid, moving: Grid) -> DisplacementField:
        """From a voxel displacement: index ``i`` of `fixed` goes to index ``i + v(i)`` of `moving`.

        Parameters
        ----------
        displacement
            ``v``, (3, z, y, x) or (1, 3, z, y, x), components (z, y, x) in voxels.
        fixed, moving
            The grids of the two images; they may differ in everything.
        """
        v = displacement.detach().float().cpu().numpy().reshape(3, -1)
        matrix = _index_matrix(moving)
        vectors = (v.T @ _float(matrix.T)).reshape(*fixed.shape, 3)
        _add_affine(
            np.moveaxis(vectors, -1, 0),
            matrix - _index_matrix(fixed),
            np.asarray(moving.origin) - np.asarray(fixed.origin),
        )
        return cls(vectors, fixed)

    def to_voxel(self, moving: Grid) -> torch.Tensor:
        """The voxel displacement (1, 3, z, y, x) onto indices of `moving`; see `from_voxel`."""
        import torch

        return torch.from_numpy(self._voxels(moving, 0, self.grid.shape[0]))

    def warp_image(
        self, moving: Image, mode: str = "linear", outside: float | None = None
    ) -> Image:
        """The moving image sampled at ``T(x)`` for every voxel of the fixed grid.

        Parameters
        ----------
        moving
            Array (z, y, x), any real type; points outside take the value of the nearest border
            voxel.
        mode
            ``linear`` (the result is float32) or ``nearest`` (the result keeps the type).
        outside
            The value of points beyond the outermost voxels' centres, in place of the border's.
        """
        kind = moving.array.dtype if mode == "nearest" else np.float32
        volume = np.ascontiguousarray(moving.array, dtype=kind)[None]
        warped = np.empty(self.grid.shape, dtype=kind)
        for start, stop in _slabs(self.grid.shape):
            coordinates = self._indices(moving.grid, start, stop)
            part = self._sample(volume, coordinates, mode)[0]
            if outside is not None:
                part[_beyond(coordinates, moving.grid.shape)] = outside
            warped[start:stop] = part
        return Image(warped, self.grid)

    def warp_labels(self, labels: Image, outside: str = "border") -> Image:
        """The moving label map on the fixed grid, by nearest neighbour; its type is kept.

        `outside`: what points beyond it have, the ``border`` voxel's label or ``background``, 0, as
        in Learn2Reg's evaluation, where what lies beyond the outermost voxels' centres is outside.
        """
        return self.warp_image(labels, "nearest", {"border": None, "background": 0}[outside])

    def transform_points(self, points: np.ndarray, order: int = 3) -> np.ndarray:
        """Moving points of fixed points.

        Parameters
        ----------
        points
            (n, 3) in mm, (x, y, z), LPS.
        order
            Degree of the spline by which the field is read between voxels: 3 (as Learn2Reg
            does) or 1.

        Returns
        -------
        numpy.ndarray
            (n, 3) float64, mm.
        """
        points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        if len(points) == 0:
            return points
        limits = np.array(self.grid.shape) - 1
        index = np.clip(self.grid.physical_to_index(points), 0, limits)
        low = np.maximum(np.floor(index.min(0)).astype(int) - SPLINE_REACH, 0)
        high = np.minimum(np.ceil(index.max(0)).astype(int) + SPLINE_REACH, limits) + 1
        part = self.vectors[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        from scipy import ndimage

        moved = points.copy()
        for axis in range(3):
            moved[:, axis] += ndimage.map_coordinates(
                part[..., axis], (index - low).T, output=np.float64, order=order, mode="mirror"
            )
        return moved

    def compose(self, inner: DisplacementField) -> DisplacementField:
        """The field of ``x → T_self(T_inner(x))``, on the grid of `inner`."""
        volume = self.vectors.transpose(3, 0, 1, 2)
        vectors = inner.vectors.copy()
        for start, stop in _slabs(inner.grid.shape):
            coordinates = inner._indices(self.grid, start, stop)
            vectors[start:stop] += inner._sample(volume, coordinates).transpose(1, 2, 3, 0)
        return DisplacementField(vectors, inner.grid)

    def resample(self, grid: Grid) -> DisplacementField:
        """The same map on another grid, read linearly."""
        return self.compose(DisplacementField.identity(grid))

    def invert(
        self, iterations: int = 100, tolerance: float = 1e-3
    ) -> tuple[DisplacementField, np.ndarray]:
        """The inverse map, moving → fixed, on the same grid, and its residual.

        Parameters
        ----------
        iterations, tolerance
            See `warpline.fields.algebra.invert`; the tolerance is in voxels. A `RuntimeWarning`
            tells of a field that folds.

        Returns
        -------
        field, residual
            The residual is (z, y, x), in voxels.
        """
        from warpline.fields import algebra

        inverse, residual = algebra.invert(self.to_voxel(self.grid), iterations, tolerance)
        return DisplacementField.from_voxel(inverse, self.grid, self.grid), residual[0].numpy()

    def jacobian_determinant(self) -> np.ndarray:
        """Determinant of ``I + ∂u/∂x`` (physical) on the interior, (z − 2, y − 2, x − 2).

        With ``u = M v`` and ``x = M i`` the determinants of ``I + ∂u/∂x`` and ``I + ∂v/∂i`` are
        equal, whatever spacing and direction M holds.
        """
        depth, *sides = self.grid.shape
        inverse = np.linalg.inv(_index_matrix(self.grid))
        result = np.empty([max(size - 2, 0) for size in self.grid.shape], np.float32)
        for start, stop in _slabs((depth - 2, *sides)):
            slab = self._moved(inverse, start, stop + 2)
            result[start:stop] = jacobian_determinant(slab[None])[0]
        return result

    def _sample(
        self, volume: np.ndarray, coordinates: np.ndarray, mode: str = "linear"
    ) -> np.ndarray:
        """`volume` (C, z, y, x) at places (3, Z, Y, X) of some slices of this grid."""
        if mode == "nearest" or np.prod(self.grid.shape) <= SMALL:
            return sample_array(volume, coordinates, mode)
        import torch

        from warpline.fields.sampling import sample

        places = torch.from_numpy(coordinates)[None]
        return sample(torch.from_numpy(volume)[None], places, mode)[0].numpy()

    def _moved(self, matrix: np.ndarray, start: int, stop: int) -> np.ndarray:
        """``matrix @ u``, (3, z, y, x) float32, for slices `start` to `stop`."""
        vectors = self.vectors[start:stop]
        result = np.empty((3, *vectors.shape[:3]), np.float32)
        least = TINY * np.abs(matrix).max()
        for out, row in zip(result, matrix, strict=True):
            used = [k for k in range(3) if abs(row[k]) > least]
            np.multiply(vectors[..., used[0]], np.float32(row[used[0]]), out=out)
            for k in used[1:]:
                out += vectors[..., k] * np.float32(row[k])
        return result

    def _voxels(self, moving: Grid, start: int, stop: int) -> np.ndarray:
        """See `to_voxel`, for slices `start` to `stop`."""
        coordinates = self._indices(moving, start, stop)
        _add_affine(coordinates, -np.eye(3), np.array([-start, 0, 0]))
        return coordinates[None]

    def _indices(self, moving: Grid, start: int, stop: int) -> np.ndarray:
        """Moving indices (3, z, y, x) of ``T(x)`` for slices `start` to `stop`."""
        inverse = np.linalg.inv(_index_matrix(moving))
        offset = np.asarray(self.grid.origin) - np.asarray(moving.origin)
        fixed = _index_matrix(self.grid)
        coordinates = self._moved(inverse, start, stop)
        _add_affine(coordinates, inverse @ fixed, inverse @ (offset + fixed[:, 0] * start))
        return coordinates


def _beyond(coordinates: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Which of the indices (3, Z, Y, X) lie off a grid, by more than rounding."""
    last = np.asarray(shape).reshape(3, 1, 1, 1) - 1
    return ((coordinates < -ROUNDING) | (coordinates > last + ROUNDING)).any(axis=0)


def _index_matrix(grid: Grid) -> np.ndarray:
    """3×3 from (z, y, x) index steps to (x, y, z) mm."""
    return grid.matrix[:, ::-1]


def _float(matrix: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(matrix, dtype=np.float32)


def _add_affine(parts: np.ndarray, matrix: np.ndarray, offset: np.ndarray) -> None:
    """Add ``matrix @ (z, y, x) + offset`` to `parts` (3, z, y, x), in place, axis by axis.

    The lines are computed in float64: an affine map may be a small difference of large numbers.
    """
    for part, row, constant in zip(parts, matrix, offset, strict=True):
        for axis, step in enumerate(row):
            line = np.arange(part.shape[axis]) * step + (constant if axis == 0 else 0.0)
            if line.any():
                shape = [1, 1, 1]
                shape[axis] = -1
                part += line.astype(np.float32).reshape(shape)


def _slabs(shape: tuple[int, int, int]) -> list[tuple[int, int]]:
    """Ranges of z that cut a grid into slabs of about `SLAB` voxels."""
    thickness = max(1, SLAB // (shape[1] * shape[2]))
    if np.prod(shape) > SMALL:
        import torch

        # A multiple of the thread count, by which `sample` shares out a slab.
        threads = torch.get_num_threads()
        thickness = max(threads, thickness - thickness % threads)
    return [(z, min(z + thickness, shape[0])) for z in range(0, shape[0], thickness)]
