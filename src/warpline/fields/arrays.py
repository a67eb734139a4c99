"""Arrays sampled and differentiated without torch, whose import alone takes two seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

Array = TypeVar("Array", np.ndarray, "torch.Tensor")


def sample_array(volume: np.ndarray, coordinates: np.ndarray, mode: str = "linear") -> np.ndarray:
    """As `warpline.fields.sampling.sample`, one volume on one thread.

    Parameters
    ----------
    volume
        (C, z, y, x), float32 or with ``nearest`` of any type, which is kept.
    coordinates
        (3, Z, Y, X) float32, components (z, y, x) in voxels of `volume`; points outside take the
        value of the nearest border voxel.
    mode
        ``linear`` or ``nearest``.

    Returns
    -------
    numpy.ndarray
        (C, Z, Y, X). The places are torch's to the last bit, roundings of its normalised
        coordinates included, so that a point halfway between two voxels goes the same way.
    """
    place = np.empty_like(coordinates)
    for line, coordinate, size in zip(place, coordinates, volume.shape[1:], strict=True):
        np.multiply(coordinate, np.float32(2.0 / max(size - 1, 1)), out=line)
        line -= 1
        line += 1
        line /= 2
        line *= size - 1
        np.clip(line, 0, size - 1, out=line)
    if mode == "nearest":
        z, y, x = np.rint(place, out=place).astype(np.int32)
        index = (z * np.intp(volume.shape[2]) + y) * volume.shape[3] + x
        return volume.reshape(len(volume), -1)[:, index]
    from scipy import ndimage

    result = np.empty((len(volume), *coordinates.shape[1:]), np.float32)
    for channel, out in zip(volume, result, strict=True):
        ndimage.map_coordinates(channel, place, out, order=1, mode="nearest")
    return result


def jacobian_determinant(displacement: Array) -> Array:
    """Determinant of ``I + ∂v/∂x`` on the interior of the grid, by central differences.

    For a field whose fixed and moving grids are the same this is also the determinant of the
    physical map: spacing and direction cancel, however oblique the grid is.

    Parameters
    ----------
    displacement
        (B, 3, z, y, x), components (z, y, x) in voxels.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        (B, z − 2, y − 2, x − 2); 1 is no change of volume, 0 or less is a fold.
    """
    half = displacement * 0.5
    core = half[:, :, 1:-1, 1:-1, 1:-1]
    rows = []
    for axis in range(3):
        size = core.shape[2 + axis]
        others = [slice(1, -1)] * 3
        # Differences are taken after cropping the other axes: a third less memory.
        ahead, behind = list(others), list(others)
        ahead[axis], behind[axis] = slice(2, size + 2), slice(0, size)
        slope = half[:, :, *ahead] - half[:, :, *behind]
        rows.append([slope[:, component] for component in range(3)])
    # rows[j][k] = ∂v_k/∂x_j; the determinant is that of the transpose as well.
    (a, b, c), (d, e, f), (g, h, i) = rows
    a, e, i = a + 1, e + 1, i + 1
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
