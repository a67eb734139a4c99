"""The gradient of linear sampling, added up in an order that is always the same.

torch's own adds to the volume's voxels in whatever order a GPU's threads come; this one takes
`torch.Tensor.index_add_`, of which torch has a deterministic form.
"""

from __future__ import annotations

from itertools import product

import torch


def backward(
    gradient: torch.Tensor, volume: torch.Tensor, grid: torch.Tensor, needed: tuple[bool, bool]
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """What `torch.nn.functional.grid_sample` (linear, border, aligned corners) has as gradients.

    Parameters
    ----------
    gradient
        (B, C, Z, Y, X), with respect to what was sampled.
    volume
        (B, C, z, y, x).
    grid
        (B, Z, Y, X, 3), components (x, y, z) between −1 and 1.
    needed
        Of the volume, of the grid.

    Returns
    -------
    by_volume, by_grid
        As large as the two; None where not needed.
    """
    batch, channels, *shape = volume.shape
    gradient = gradient.reshape(batch, channels, -1).transpose(0, 1)  # (C, B, points)
    lower, share, scale = zip(*_places(grid.reshape(batch, -1, 3), shape), strict=True)
    values = volume.transpose(0, 1).reshape(channels, -1)
    first = torch.arange(batch, device=volume.device).view(-1, 1) * (shape[0] * shape[1] * shape[2])
    by_volume = torch.zeros_like(values) if needed[0] else None
    by_axis = [torch.zeros_like(share[0]) for _ in shape]
    for corner in product((0, 1), repeat=3):
        place = first
        for size, low, side, stride in zip(shape, lower, corner, _strides(shape), strict=True):
            place = place + (low + side).clamp(max=size - 1) * stride
        weights = [part if side else 1 - part for part, side in zip(share, corner, strict=True)]
        if by_volume is not None:
            weight = weights[0] * weights[1] * weights[2]
            by_volume.index_add_(1, place.flatten(), (gradient * weight).flatten(1))
        if needed[1]:
            slope = (values[:, place] * gradient).sum(0)
            for axis, side in enumerate(corner):
                others = weights[axis - 1] * weights[axis - 2]
                by_axis[axis] += slope * others if side else -slope * others
    if by_volume is not None:
        by_volume = by_volume.view(channels, batch, *shape).transpose(0, 1)
    if not needed[1]:
        return by_volume, None
    parts = [part * factor for part, factor in zip(by_axis, scale, strict=True)]
    return by_volume, torch.stack(parts[::-1], -1).view(grid.shape)


def _strides(shape: list[int]) -> tuple[int, int, int]:
    return shape[1] * shape[2], shape[2], 1


def _places(grid: torch.Tensor, shape: list[int]) -> list[tuple[torch.Tensor, ...]]:
    """For each axis z, y, x: the voxel below, the share of the one above, voxels a unit of grid.

    Points outside the volume lie on its border, and do not move with the grid: their last is 0.
    """
    found = []
    for axis, size in enumerate(shape):
        half = (size - 1) / 2
        place = (grid[..., 2 - axis] + 1) * half
        moves = (place > 0) & (place < size - 1)
        place = place.clamp(0, size - 1)
        lower = place.floor().clamp(max=max(size - 2, 0))
        found.append((lower.long(), place - lower, moves * half))
    return found
