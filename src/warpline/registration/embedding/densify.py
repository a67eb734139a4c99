"""From displacements at keypoints to one at every voxel.

Trilinear splatting on a coarse grid, smoothing, normalisation; as in Hansen & Heinrich's nearby
published practice.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from warpline.fields.filters import box_sum
from warpline.fields.sampling import sample

FACTOR = 3
KERNEL = 5
PASSES = 3


def densify(
    points: torch.Tensor,
    values: torch.Tensor,
    shape: tuple[int, int, int],
    corrections: int = 0,
) -> torch.Tensor:
    """A smooth field through values at scattered points.

    The values are spread over the eight nearest nodes of a grid of a third of the resolution, three
    means over 5³ nodes smooth their sum and their weights, and the quotient is upsampled. Where no
    point is near, the field goes on with the means of its neighbours. A constant stays one
    everywhere.

    Parameters
    ----------
    points
        (n, 3), (z, y, x) in voxels of the grid, within it.
    values
        (n, channels).
    shape
        The grid, (z, y, x).
    corrections
        How often what the field misses at the points is itself made a field and added. Smoothing
        pulls a field that is not constant to its mean where points are one-sided.

    Returns
    -------
    torch.Tensor
        (1, channels, z, y, x).
    """
    coarse = tuple((n + FACTOR - 1) // FACTOR for n in shape)
    scale = points.new_tensor(
        [(c - 1) / max(n - 1, 1) for c, n in zip(coarse, shape, strict=True)], dtype=values.dtype
    )
    place = points.to(values.dtype) * scale
    at = place.T.reshape(1, 3, -1, 1, 1)
    field = _smoothed(place, values, coarse)
    for _ in range(corrections):
        missed = values - sample(field, at)[0, :, :, 0, 0].T
        field = field + _smoothed(place, missed, coarse)
    return F.interpolate(field, size=shape, mode="trilinear", align_corners=True)


def _smoothed(
    place: torch.Tensor, values: torch.Tensor, shape: tuple[int, int, int]
) -> torch.Tensor:
    """Splat, smooth and normalise on the coarse grid, (1, channels, z, y, x)."""
    weighted = splat(place, torch.cat([values, torch.ones_like(values[:, :1])], dim=1), shape)
    # Sums for means: a common factor falls out of the quotient.
    for _ in range(PASSES):
        weighted = box_sum(weighted, KERNEL)
    field, weight = weighted[:, :-1], weighted[:, -1:]
    known = weight > 0
    field = torch.where(known, field / weight.clamp_min(torch.finfo(weight.dtype).tiny), 0)
    while not known.all():
        spread = box_sum(torch.cat([field * known, known.to(field.dtype)], dim=1), KERNEL)
        near = spread[:, -1:] > 0
        field = torch.where(known | ~near, field, spread[:, :-1] / spread[:, -1:])
        known = known | near
    return field


def splat(place: torch.Tensor, values: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """Sums of values at the grid's nodes, each shared out over the eight nodes around it.

    Parameters
    ----------
    place
        (n, 3), (z, y, x) in steps of the grid; within it.
    values
        (n, channels).

    Returns
    -------
    torch.Tensor
        (1, channels, z, y, x).
    """
    last = torch.tensor(shape, device=place.device) - 1
    base = place.floor().long().clamp_min(0).minimum((last - 1).clamp_min(0))
    upper = place - base
    grid = values.new_zeros(shape[0] * shape[1] * shape[2], values.shape[1])
    for corner in torch.cartesian_prod(*[torch.arange(2, device=place.device)] * 3):
        share = torch.where(corner == 1, upper, 1 - upper).prod(dim=1, keepdim=True)
        # Along an axis of one node the upper one is not there, and has no share.
        node = (base + corner).minimum(last)
        index = (node[:, 0] * shape[1] + node[:, 1]) * shape[2] + node[:, 2]
        grid.index_add_(0, index, values * share)
    return grid.T.reshape(1, -1, *shape)
