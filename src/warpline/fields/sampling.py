"""The one place where a volume is sampled: linear or nearest, border padding, corners aligned."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F


def identity_grid(
    shape: Sequence[int],
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Voxel coordinates of a grid: (1, 3, z, y, x), components (z, y, x)."""
    return _identity(tuple(shape), str(device or "cpu"), dtype)


@lru_cache(maxsize=4)
def _identity(shape: tuple[int, ...], device: str, dtype: torch.dtype) -> torch.Tensor:
    axes = [torch.arange(n, device=device, dtype=dtype) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]


def sample(volume: torch.Tensor, coordinates: torch.Tensor, mode: str = "linear") -> torch.Tensor:
    """Sample `volume` at voxel coordinates.

    Parameters
    ----------
    volume
        (B, C, z, y, x).
    coordinates
        (B, 3, Z, Y, X), components (z, y, x) in voxels of `volume`; points outside take the value
        of the nearest border voxel.
    mode
        ``linear`` or ``nearest``; nearest has no gradient with respect to the coordinates.

    Returns
    -------
    torch.Tensor
        (B, C, Z, Y, X).
    """
    scale = [2.0 / max(size - 1, 1) for size in volume.shape[2:]]
    # unbind, not indexing: its gradient is one stack instead of three padded copies.
    axes = zip(coordinates.unbind(1), scale, strict=True)
    grid = torch.stack([axis * s - 1.0 for axis, s in axes][::-1], dim=-1)
    interpolation = {"linear": "bilinear", "nearest": "nearest"}[mode]
    pieces = _pieces(volume, grid)
    if pieces > 1:
        # On a CPU grid_sample works in parallel over the batch alone: lend it slabs of one volume.
        slabs = grid.reshape(pieces, grid.shape[1] // pieces, *grid.shape[2:])
        shared = volume.expand(pieces, *volume.shape[1:])
        sampled = F.grid_sample(shared, slabs, interpolation, "border", align_corners=True)
        return sampled.transpose(0, 1).reshape(1, volume.shape[1], *grid.shape[1:4])
    return F.grid_sample(volume, grid, interpolation, "border", align_corners=True)


def _pieces(volume: torch.Tensor, grid: torch.Tensor) -> int:
    """Into how many slabs a single volume's grid is cut, so that every CPU thread has one."""
    if volume.device.type != "cpu" or volume.shape[0] != 1 or volume.requires_grad:
        return 1
    threads = torch.get_num_threads()
    return next((n for n in range(threads, 1, -1) if grid.shape[1] % n == 0), 1)


def warp(volume: torch.Tensor, displacement: torch.Tensor, mode: str = "linear") -> torch.Tensor:
    """Sample `volume` (B, C, z, y, x) at ``x + displacement(x)``, (B, 3, Z, Y, X) in voxels."""
    grid = identity_grid(displacement.shape[2:], displacement.device, displacement.dtype)
    return sample(volume, grid + displacement, mode)
