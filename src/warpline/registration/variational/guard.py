"""Fields that do not fold, and their inverses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from warpline.fields.arrays import jacobian_determinant
from warpline.fields.filters import mean_over_cube
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid
from warpline.registration.variational.velocity import (
    along,
    exponential,
    in_voxels,
    resized,
    spacing_of,
)

SLAB = 16  # slices of a field handled at a time
GENTLER = 0.8  # by which a velocity shrinks where smoothing did not help
TRIES = 12
SMOOTHINGS = 3  # of them, where it is steep; from then on everywhere
STEEP = 0.98  # quantile of the velocity's slope above which it is steep


@dataclass(frozen=True)
class Map:
    """An affine map after the exponential of a velocity.

    Attributes
    ----------
    velocity
        (1, 3, z, y, x) in mm along the axes of `frame`, on any grid of it.
    frame
        The grid of the registration, along the fixed image's axes.
    matrix
        (4, 4), fixed to moving points, mm, LPS.
    """

    velocity: torch.Tensor
    frame: Grid
    matrix: np.ndarray

    def displacement(self, sign: int) -> torch.Tensor:
        """``exp(± velocity)`` on the frame, (1, 3, z, y, x) in mm along its axes."""
        spacing = self.frame.spacing[::-1]
        own = spacing_of(self.frame.shape, spacing, self.velocity.shape[2:])
        return resized(exponential(sign * self.velocity, own), self.frame.shape)

    def forward(self, grid: Grid) -> tuple[DisplacementField, int]:
        """From fixed to moving points on a fixed grid, along the frame's axes, and its folds."""
        moved = along_axes(self.displacement(1), self.frame, grid)
        axes = np.asarray(grid.direction).reshape(3, 3)[:, ::-1]
        # The linear part takes the axes' directions with it.
        turn = torch.from_numpy((self.matrix[:3, :3] @ axes).astype(np.float32))
        vectors = DisplacementField.from_matrix(self.matrix, grid).vectors
        folds, depth = 0, grid.shape[0]
        # In slabs, which stay in the cache; the determinant needs a slice more on either side.
        for start in range(0, depth, SLAB):
            slab = moved[0, :, start : start + SLAB].cpu()
            torch.from_numpy(vectors[start : start + SLAB]).add_(slab.permute(1, 2, 3, 0) @ turn.T)
            around = moved[:, :, start : min(start + SLAB + 2, depth)]
            folds += _folds(in_voxels(around, grid.spacing[::-1]))
        return DisplacementField(vectors, grid), folds

    def inverse(self, grid: Grid) -> tuple[DisplacementField, int]:
        """From moving to fixed points on a moving grid, and its folds.

        Minus the velocity, after the inverse of the affine map.
        """
        axes = np.asarray(self.frame.direction, dtype=np.float32).reshape(3, 3)[:, ::-1]
        vectors = np.moveaxis(self.displacement(-1)[0].cpu().numpy(), 0, -1)
        back = DisplacementField(vectors @ np.ascontiguousarray(axes.T), self.frame)
        field = back.compose(DisplacementField.from_matrix(np.linalg.inv(self.matrix), grid))
        return field, int(np.count_nonzero(field.jacobian_determinant() <= 0))


def along_axes(volume: torch.Tensor, own: Grid, grid: Grid) -> torch.Tensor:
    """A volume (1, C, z, y, x) read linearly on a grid of the same axes, one after the other.

    Beyond its faces it goes on with the values there.
    """
    first = own.physical_to_index(grid.index_to_physical(np.zeros(3)))
    last = own.physical_to_index(grid.index_to_physical(np.asarray(grid.shape) - 1))
    for axis in (2, 1, 0):  # the innermost first, while there are few voxels
        places = np.linspace(first[axis], last[axis], grid.shape[axis])
        places = np.clip(places, 0, own.shape[axis] - 1)
        volume = along(volume, axis + 2, torch.from_numpy(places))
    return volume


def _folds(displacement: torch.Tensor) -> int:
    """At how many voxels the determinant of evaluation (central differences) is 0 or less."""
    return int((jacobian_determinant(displacement) <= 0).sum())


def unfolded(
    velocity: torch.Tensor,
    frame: Grid,
    matrix: np.ndarray,
    fixed: Grid,
    moving: Grid | None,
) -> tuple[DisplacementField, DisplacementField | None, torch.Tensor, int]:
    """The fields of a velocity on both images' grids, without a fold on either.

    The exponential of a velocity is a diffeomorphism; sampled on a grid it may still fold, where it
    changes much within a voxel. There the velocity is smoothed, and, should that not do, all of it
    made smaller, at last 0: what remains is the affine map. The determinants that decide are those
    of evaluation, of every voxel.

    Parameters
    ----------
    moving
        None: no inverse is made.

    Returns
    -------
    forward, inverse, velocity, repairs
        The number of repairs is 0 where nothing folded.
    """
    for attempt in range(TRIES + 1):
        if attempt == TRIES:
            velocity = torch.zeros_like(velocity)
        found = Map(velocity, frame, matrix)
        forward, folds = found.forward(fixed)
        inverse = None
        if moving is not None and (not folds or attempt == TRIES):
            inverse, more = found.inverse(moving)
            folds += more
        if not folds or attempt == TRIES:
            return forward, inverse, velocity, attempt
        velocity = _calmer(velocity, frame, attempt)
    raise AssertionError("the last attempt returns")


def _calmer(velocity: torch.Tensor, frame: Grid, attempt: int) -> torch.Tensor:
    """A velocity that changes less: where it changes most, or after some attempts everywhere."""
    smooth = mean_over_cube(mean_over_cube(velocity, 3), 3)
    if attempt >= SMOOTHINGS:
        return smooth * GENTLER
    spacing = spacing_of(frame.shape, frame.spacing[::-1], velocity.shape[2:])
    slope = _steepness(velocity, spacing)
    some = slope.flatten()[:: max(1, slope.numel() // 100_000)]
    share = (slope >= torch.quantile(some, STEEP)).to(velocity.dtype)
    share = mean_over_cube(F.max_pool3d(share, 3, stride=1, padding=1), 3)
    return velocity + share * (smooth - velocity)


def _steepness(velocity: torch.Tensor, spacing: Sequence[float]) -> torch.Tensor:
    """The squared change of a velocity, (1, 1, z, y, x), mm² per mm²."""
    return sum(
        torch.gradient(velocity, dim=axis + 2)[0].square().sum(1, keepdim=True) / size**2
        for axis, size in enumerate(spacing)
    )
