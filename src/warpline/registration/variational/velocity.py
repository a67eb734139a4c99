"""Stationary velocities in mm on grids whose corners coincide.

All grids of a registration, coarse or fine, span the same box from the centre of its first voxel
to that of its last one. Components are (z, y, x) along the box's axes, so that spacing alone takes
mm to voxels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from warpline.fields.algebra import exponentiate
from warpline.fields.filters import mean_along

FEWEST = 5  # voxels along an axis of a coarse grid
STEP = 0.25  # of a voxel, at most, that the first step of a squaring moves


def coarser(shape: Sequence[int], factor: float) -> tuple[int, ...]:
    """The shape of a grid of the same box with voxels about `factor` times as large."""
    return tuple(min(n, max(FEWEST, round((n - 1) / factor) + 1)) for n in shape)


def spacing_of(
    box: Sequence[int], spacing: Sequence[float], shape: Sequence[int]
) -> tuple[float, ...]:
    """The spacing (z, y, x) in mm of a grid `shape` on the box of a grid of this spacing."""
    sizes = zip(spacing, box, shape, strict=True)
    return tuple(s * (n - 1) / max(m - 1, 1) for s, n, m in sizes)


def resized(volume: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """A volume (B, C, z, y, x) read linearly on another grid of the same box."""
    if tuple(volume.shape[2:]) == tuple(shape):
        return volume
    return F.interpolate(volume, size=tuple(shape), mode="trilinear", align_corners=True)


def shrunk(volume: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """A volume on a coarser grid of the same box, smoothed before along the axes that shrink."""
    for axis, (n, m) in enumerate(zip(volume.shape[2:], shape, strict=True), start=2):
        ratio = (n - 1) / max(m - 1, 1)
        if ratio >= 2.5:
            volume = mean_along(volume, axis, 2 * round(ratio / 2) + 1)
        if ratio > 1.2:
            volume = _tent(volume, axis)
        # At once: the axes that follow have the less to do.
        volume = along(volume, axis, torch.linspace(0, n - 1, m, dtype=torch.float64))
    return volume


def along(volume: torch.Tensor, axis: int, places: torch.Tensor) -> torch.Tensor:
    """A volume (B, C, z, y, x) read linearly at places (n,) of one axis, in voxels, within it."""
    last = volume.shape[axis] - 1
    low = places.floor().long().clamp(0, max(last - 1, 0))
    share = (places - low).to(volume.dtype)
    shape = [-1 if k == axis else 1 for k in range(volume.dim())]
    device = volume.device
    below = volume.index_select(axis, low.to(device))
    if not share.any():
        return below
    above = volume.index_select(axis, (low + 1).clamp_max(last).to(device))
    return torch.lerp(below, above, share.view(shape).to(device))


def _tent(volume: torch.Tensor, axis: int) -> torch.Tensor:
    """(1, 2, 1) / 4 along an axis; faces go on with the values there."""
    n = volume.shape[axis]
    out = volume * 0.5
    out.narrow(axis, 1, n - 1).add_(volume.narrow(axis, 0, n - 1), alpha=0.25)
    out.narrow(axis, 0, n - 1).add_(volume.narrow(axis, 1, n - 1), alpha=0.25)
    for end in (0, n - 1):
        out.narrow(axis, end, 1).add_(volume.narrow(axis, end, 1), alpha=0.25)
    return out


def in_voxels(vectors: torch.Tensor, spacing: Sequence[float]) -> torch.Tensor:
    """Vectors (B, 3, z, y, x) in mm as voxels of `spacing` (z, y, x)."""
    return vectors / vectors.new_tensor(spacing).view(1, 3, 1, 1, 1)


def exponential(
    velocity: torch.Tensor, spacing: Sequence[float], steps: int | None = None
) -> torch.Tensor:
    """The displacement in mm (B, 3, z, y, x) of a velocity in mm, on the same grid.

    With as many squarings as make the first step at most `STEP` of a voxel, unless told.
    """
    voxels = in_voxels(velocity, spacing)
    if steps is None:
        longest = float(voxels.abs().max())
        steps = max(1, math.ceil(math.log2(max(longest, 1e-6) / STEP)))
    return exponentiate(voxels, steps) * voxels.new_tensor(spacing).view(1, 3, 1, 1, 1)
