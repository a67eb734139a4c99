"""The one place where a volume is sampled: linear or nearest, border padding, corners aligned."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from warpline.fields import repeatable


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
    return _at(volume, _normalised(coordinates, volume), mode)


def _at(volume: torch.Tensor, grid: torch.Tensor, mode: str) -> torch.Tensor:
    """`volume` at a grid of torch's own."""
    interpolation = {"linear": "bilinear", "nearest": "nearest"}[mode]
    pieces = _pieces(volume, grid)
    if pieces > 1:
        # On a CPU grid_sample works in parallel over the batch alone: lend it parts of one volume.
        shared = volume.expand(pieces, *volume.shape[1:])
        parts = _in_parts(grid, pieces)
        sampled = F.grid_sample(shared, parts, interpolation, "border", align_corners=True)
        return sampled.transpose(0, 1).reshape(1, volume.shape[1], *grid.shape[1:4])
    return F.grid_sample(volume, grid, interpolation, "border", align_corners=True)


def _scales(volume: torch.Tensor) -> list[float]:
    """From voxels to the units of torch's grids, between −1 and 1, for each axis z, y, x."""
    return [2.0 / max(size - 1, 1) for size in volume.shape[2:]]


def _normalised(coordinates: torch.Tensor, volume: torch.Tensor) -> torch.Tensor:
    """Voxel coordinates (B, 3, Z, Y, X) as torch's grid (B, Z, Y, X, 3), components (x, y, z)."""
    # unbind, not indexing: its gradient is one stack instead of three padded copies.
    axes = zip(coordinates.unbind(1), _scales(volume), strict=True)
    return torch.stack([axis * s - 1.0 for axis, s in axes][::-1], dim=-1)


def _pieces(volume: torch.Tensor, grid: torch.Tensor) -> int:
    """Into how many parts a single volume's grid is cut, so that every CPU thread has one."""
    if volume.device.type != "cpu" or volume.shape[0] != 1 or volume.requires_grad:
        return 1
    threads, places = torch.get_num_threads(), grid[0, ..., 0].numel()
    return next((n for n in range(threads, 1, -1) if places and places % n == 0), 1)


def _in_parts(grid: torch.Tensor, pieces: int) -> torch.Tensor:
    """Places (1, Z, Y, X, 3) one after the other as so many grids, (pieces, 1, 1, n, 3)."""
    return grid.reshape(pieces, 1, 1, -1, 3)


def warp(volume: torch.Tensor, displacement: torch.Tensor, mode: str = "linear") -> torch.Tensor:
    """Sample `volume` (B, C, z, y, x) at ``x + displacement(x)``, (B, 3, Z, Y, X) in voxels."""
    learning = torch.is_grad_enabled() and (volume.requires_grad or displacement.requires_grad)
    if not learning:
        return _at(volume, _displaced(displacement, volume), mode)
    precise = volume.dtype == displacement.dtype in (torch.float32, torch.float64)
    if mode == "linear" and precise:
        return _Warp.apply(volume, displacement)
    grid = identity_grid(displacement.shape[2:], displacement.device, displacement.dtype)
    return sample(volume, grid + displacement, mode)


def _displaced(displacement: torch.Tensor, volume: torch.Tensor) -> torch.Tensor:
    """As `_normalised` of every voxel's own place plus its displacement, in one piece of memory."""
    grid = displacement.new_empty(len(displacement), *displacement.shape[2:], 3)
    for axis, scale in enumerate(_scales(volume)):
        size, part = displacement.shape[2 + axis], grid[..., 2 - axis]
        line = torch.arange(size, device=grid.device, dtype=grid.dtype)
        torch.add(displacement[:, axis], line.view(-1, *[1] * (2 - axis)), out=part)
        part.mul_(scale).sub_(1.0)
    return grid


def _must_repeat(volume: torch.Tensor) -> bool:
    """Whether torch's own gradient, which a GPU adds in any order, may not be taken."""
    return volume.is_cuda and torch.are_deterministic_algorithms_enabled()


class _Warp(torch.autograd.Function):
    """The linear `warp`, which keeps no coordinates for its gradient but computes them again.

    They are as large as the displacement, and every squaring of a velocity would keep its own.
    """

    @staticmethod
    def forward(ctx: Any, volume: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(volume, displacement)
        return _at(volume, _displaced(displacement, volume), "linear")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        volume, displacement = ctx.saved_tensors
        grid = _displaced(displacement, volume)
        pieces = _pieces(volume, grid)
        if pieces > 1:  # as in `_at`: the volume has no gradient, and parts go in parallel
            grid = _in_parts(grid, pieces)
            gradient = gradient[0].reshape(-1, pieces, 1, 1, grid.shape[3]).transpose(0, 1)
        if _must_repeat(volume):
            by_volume, by_grid = repeatable.backward(gradient, volume, grid, ctx.needs_input_grad)
        else:
            by_volume, by_grid = torch.ops.aten.grid_sampler_3d_backward(
                gradient,
                volume.expand(len(grid), *volume.shape[1:]),
                grid,
                0,  # bilinear
                1,  # border
                True,
                ctx.needs_input_grad,
            )
        if not ctx.needs_input_grad[1]:
            return by_volume, None
        del grid
        by_displacement = torch.empty_like(displacement)
        parts = by_grid.reshape(*displacement[:, 0].shape, 3).unbind(-1)[::-1]
        for axis, (part, scale) in enumerate(zip(parts, _scales(volume), strict=True)):
            torch.mul(part, scale, out=by_displacement[:, axis])
        return by_volume, by_displacement
