"""Smooth random deformations that are known exactly and have an inverse.

In numpy alone, so that it is independent of `warpline.fields`, which tests compare with it. Fields
are voxel displacements (3, z, y, x), components in array order: index ``i`` maps to ``i + v(i)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from warpline.images.grid import Grid


@dataclass(frozen=True)
class Diffeomorphism:
    """A deformation and the stationary velocity field that it comes from, each (3, z, y, x)."""

    velocity: np.ndarray
    displacement: np.ndarray

    @cached_property
    def inverse(self) -> np.ndarray:
        """Displacement of the inverse."""
        return exponential(-self.velocity)


def random_diffeomorphism(
    grid: Grid, *, amplitude: float, smoothness: float, seed: int | np.random.Generator
) -> Diffeomorphism:
    """A random deformation of a grid.

    Parameters
    ----------
    amplitude
        Length in mm of the longest velocity; no point moves further, up to interpolation.
    smoothness
        Standard deviation in mm of the Gaussian that smooths the noise.

    Raises
    ------
    ValueError
        If the deformation folds on this grid: the amplitude is too large for the smoothness.
    """
    velocity = random_velocity(grid, amplitude=amplitude, smoothness=smoothness, seed=seed)
    displacement = exponential(velocity)
    if jacobian_determinant(displacement).min() <= 0:
        raise ValueError(
            f"a deformation of {amplitude} mm folds at a smoothness of {smoothness} mm"
        )
    return Diffeomorphism(velocity, displacement)


def random_velocity(
    grid: Grid, *, amplitude: float, smoothness: float, seed: int | np.random.Generator
) -> np.ndarray:
    """Gaussian-smoothed noise (3, z, y, x) in voxels, scaled so that its longest vector has
    `amplitude` mm.

    White noise at nodes of half the smoothness, summed with Gaussian weights; they are separable,
    so it costs little however large the grid is.
    """
    rng = np.random.default_rng(seed)
    spacing = np.asarray(grid.spacing[::-1])
    weights = []
    for n, step in zip(grid.shape, spacing, strict=True):
        position = np.arange(n) * step
        nodes = np.arange(-3 * smoothness, position[-1] + 3 * smoothness, smoothness / 2)
        weights.append(np.exp(-(((position[:, None] - nodes) / smoothness) ** 2) / 2))
    noise = rng.standard_normal((3, *(w.shape[1] for w in weights)))
    velocity = np.einsum("czyx,iz,jy,kx->cijk", noise, *weights, optimize=True)
    velocity *= amplitude / np.linalg.norm(velocity, axis=0).max()
    return velocity / spacing[:, None, None, None]


def exponential(velocity: np.ndarray, steps: int | None = None) -> np.ndarray:
    """Displacement of the flow of a stationary velocity field at time 1, by scaling and squaring.

    Parameters
    ----------
    velocity
        (3, z, y, x), voxels.
    steps
        Number of squarings; by default as many as make the first step at most 1/8 voxel.
    """
    if steps is None:
        longest = np.linalg.norm(velocity, axis=0).max()
        steps = max(0, int(np.ceil(np.log2(8 * longest)))) if longest > 0 else 0
    displacement = velocity / 2**steps
    for _ in range(steps):
        displacement = compose(displacement, displacement)
    return displacement


def compose(first: np.ndarray, then: np.ndarray) -> np.ndarray:
    """Displacement of ``i ↦ then(first(i))``, both (3, z, y, x) in voxels."""
    return first + warp(then, first)


def warp(array: np.ndarray, displacement: np.ndarray, order: int = 1) -> np.ndarray:
    """`array` (…, z, y, x) at ``i + v(i)``; the border's value beyond the border."""
    index = np.indices(displacement.shape[1:], dtype=np.float64) + displacement
    parts = array.reshape(-1, *array.shape[-3:])
    sampled = [ndimage.map_coordinates(p, index, order=order, mode="nearest") for p in parts]
    return np.stack(sampled).reshape(*array.shape[:-3], *displacement.shape[1:])


def jacobian_determinant(displacement: np.ndarray) -> np.ndarray:
    """Determinant (z, y, x) of the derivative of ``i + v(i)``, by central differences."""
    rows = [np.stack(np.gradient(component)) for component in displacement]
    for axis, row in enumerate(rows):
        row[axis] += 1
    return np.einsum("izyx,izyx->zyx", rows[0], np.cross(rows[1], rows[2], axis=0))
