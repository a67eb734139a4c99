"""From coarse to fine: the stationary velocity under which two images are alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from warpline.fields.sampling import sample
from warpline.registration.embedding.densify import splat
from warpline.registration.variational.features import Features
from warpline.registration.variational.normal import equations, solve
from warpline.registration.variational.settings import Effort, Settings
from warpline.registration.variational.velocity import (
    coarser,
    exponential,
    in_voxels,
    resized,
    shrunk,
    spacing_of,
)

CONTROL = 2.0  # the velocity's voxels, in those of the features
DAMPING = 1e-3  # 1/mm²
FARTHEST = 1.0  # voxels of the velocity's grid that a step may go
SETTLED = 0.02  # voxels of that grid, below which the steps of a level are done
SMALLEST = 7  # voxels along the shortest side of the coarsest level
CM3 = 1000.0


@dataclass(frozen=True)
class Marks:
    """Corresponding points in indices (z, y, x) of the frame: (n, 3) each."""

    fixed: torch.Tensor
    moving: torch.Tensor
    weight: float


def levels(shape: Sequence[int], effort: Effort) -> list[tuple[int, int]]:
    """(factor, steps) from the coarsest level to the finest."""
    if math.prod(shape) <= effort.alone:
        return [(1, sum(effort.steps))]
    chosen, factor, k = [], 1, 0
    while factor == 1 or min(shape) / factor >= SMALLEST:
        steps = effort.steps[min(k, len(effort.steps) - 1)]
        if steps:
            chosen.append((factor, steps))
        factor, k = factor * 2, k + 1
    return chosen[::-1] or [(1, effort.steps[-1])]


def refine(
    fixed: Features,
    moving: Features,
    spacing: Sequence[float],
    settings: Settings,
    effort: Effort,
    velocity: torch.Tensor | None = None,
    marks: Marks | None = None,
) -> tuple[torch.Tensor, dict[str, float]]:
    """The velocity of a pair on one frame.

    Parameters
    ----------
    fixed, moving
        On the frame's finest grid.
    spacing
        Of that grid, (z, y, x) in mm.
    velocity
        (1, 3, z, y, x) in mm on any grid of the frame: where to start; None: from 0.
    marks
        Points that should come to lie on each other.

    Returns
    -------
    velocity, told
        (1, 3, z, y, x) in mm, and the mean squared difference of the features before and after.
    """
    box = fixed.channels.shape[2:]
    told: dict[str, float] = {}
    for factor, steps in levels(box, effort):
        shape = coarser(box, factor)
        grid = coarser(shape, CONTROL)
        sizes = spacing_of(box, spacing, shape), spacing_of(box, spacing, grid)
        at_fixed, at_moving = fixed.at(shape), moving.at(shape)
        weights = at_fixed.known, at_moving.known
        if velocity is None:
            velocity = fixed.channels.new_zeros(1, 3, *grid)
        velocity = (
            resized(velocity, grid)
            if velocity.numel() < 3 * _size(grid)
            else shrunk(velocity, grid)
        )
        for _ in range(steps):
            found = equations(
                at_fixed.channels, at_moving.channels, weights, velocity, sizes, settings.robust
            )
            told.setdefault("difference_before", found.mean)
            told["difference"] = found.mean
            curvature, slope = shrunk(found.curvature, grid), shrunk(found.slope, grid)
            if marks is not None:
                curvature, slope = _with_marks(curvature, slope, velocity, sizes[1], box, marks)
            step = solve(
                curvature, slope, velocity, sizes[1], settings.smoothness, DAMPING, effort.inner
            )
            length = in_voxels(step, sizes[1]).square().sum(1, keepdim=True).sqrt()
            velocity = velocity + step * (FARTHEST / length.clamp_min(FARTHEST))
            if float(length.max()) < SETTLED:
                break
    return velocity, told


def _size(shape: Sequence[int]) -> int:
    return int(torch.Size(shape).numel())


def _with_marks(
    curvature: torch.Tensor,
    slope: torch.Tensor,
    velocity: torch.Tensor,
    spacing: Sequence[float],
    box: Sequence[int],
    marks: Marks,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The equations with what landmarks add at the place where both of a pair meet half way."""
    shape = velocity.shape[2:]
    scale = velocity.new_tensor([(m - 1) / (n - 1) for n, m in zip(box, shape, strict=True)])
    halves = in_voxels(exponential(torch.cat([velocity, -velocity]) * 0.5, spacing), spacing)

    def moved(points: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
        at = points * scale
        return at + sample(field[None], at.T.reshape(1, 3, -1, 1, 1)).reshape(3, -1).T

    ahead, back = moved(marks.fixed, halves[0]), moved(marks.moving, halves[1])
    last = scale.new_tensor(shape) - 1
    middle = ((ahead + back) / 2).clamp_min(0).minimum(last)
    apart = (back - ahead) * scale.new_tensor(spacing)
    weight = marks.weight * CM3 / float(torch.tensor(spacing).prod())
    rows = torch.cat([torch.ones_like(apart), -apart], dim=1) * weight
    added = splat(middle, rows, tuple(shape))
    curvature = torch.cat([curvature[:, :3] + added[:, :3], curvature[:, 3:]], dim=1)
    return curvature, slope + added[:, 3:]
