"""Fields that do not fold, and their inverses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid
from warpline.registration.variational.velocity import exponential, resized, spacing_of

LEAST = 1e-3  # of the determinant
GENTLER = 0.8  # by which a velocity shrinks where smoothing did not help
TRIES = 12


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

    def forward(self, grid: Grid) -> DisplacementField:
        """From fixed to moving points, on a fixed grid."""
        moved = self._moved(grid, np.eye(4), 1)
        return _field(moved @ self.matrix[:3, :3].T + self.matrix[:3, 3], grid)

    def inverse(self, grid: Grid) -> DisplacementField:
        """From moving to fixed points, on a moving grid: minus the velocity after the inverse."""
        return _field(self._moved(grid, np.linalg.inv(self.matrix), -1), grid)

    def _moved(self, grid: Grid, first: np.ndarray, sign: int) -> np.ndarray:
        """Where ``exp(± velocity)`` takes the points of a grid that `first` has moved, mm."""
        spacing = self.frame.spacing[::-1]
        own = spacing_of(self.frame.shape, spacing, self.velocity.shape[2:])
        vectors = resized(exponential(sign * self.velocity, own), self.frame.shape)
        axes = np.asarray(self.frame.direction).reshape(3, 3)[:, ::-1]
        physical = np.moveaxis(vectors[0].cpu().numpy(), 0, -1) @ axes.T.astype(np.float32)
        affine = DisplacementField.from_matrix(first, grid)
        field = DisplacementField(physical, self.frame).compose(affine)
        points = grid.index_to_physical(grid.indices())
        return points + field.vectors


def _field(moved: np.ndarray, grid: Grid) -> DisplacementField:
    points = grid.index_to_physical(grid.indices())
    return DisplacementField((moved - points).astype(np.float32), grid)


def folds(field: DisplacementField) -> int:
    """At how many voxels the determinant of evaluation (central differences) is 0 or less."""
    return int(np.count_nonzero(field.jacobian_determinant() <= 0))


def unfolded(
    velocity: torch.Tensor, frame: Grid, matrix: np.ndarray, fixed: Grid, moving: Grid
) -> tuple[DisplacementField, DisplacementField, torch.Tensor, int]:
    """The fields of a velocity on both images' grids, without a fold on either.

    The exponential of a velocity is a diffeomorphism; sampled on a grid it may still fold, where it
    changes much within a voxel. There the velocity is smoothed, and, should that not do, all of it
    made smaller, at last 0: what remains is the affine map.

    Returns
    -------
    forward, inverse, velocity, repairs
        The number of repairs is 0 where nothing folded.
    """
    for attempt in range(TRIES + 1):
        if attempt == TRIES:
            velocity = torch.zeros_like(velocity)
        found = Map(velocity, frame, matrix)
        forward, inverse = found.forward(fixed), found.inverse(moving)
        if attempt == TRIES or not (folds(forward) or folds(inverse)):
            return forward, inverse, velocity, attempt
        velocity = _calmer(velocity, frame, attempt)
    raise AssertionError("the last attempt returns")


def _calmer(velocity: torch.Tensor, frame: Grid, attempt: int) -> torch.Tensor:
    """A velocity that changes less where it changes most; from the fourth time, less everywhere."""
    smooth = velocity
    for _ in range(2):
        smooth = torch.nn.functional.avg_pool3d(
            torch.nn.functional.pad(smooth, [1] * 6, mode="replicate"), 3, stride=1
        )
    if attempt >= 3:
        return smooth * GENTLER
    spacing = spacing_of(frame.shape, frame.spacing[::-1], velocity.shape[2:])
    steep = sum(
        torch.gradient(velocity, dim=axis + 2)[0].square().sum(1, keepdim=True) / spacing[axis] ** 2
        for axis in range(3)
    )
    limit = torch.quantile(steep.flatten()[:: max(1, steep.numel() // 100_000)], 0.98)
    share = (steep > limit).to(velocity.dtype)
    share = torch.nn.functional.max_pool3d(share, 3, stride=1, padding=1)
    share = torch.nn.functional.avg_pool3d(
        torch.nn.functional.pad(share, [1] * 6, mode="replicate"), 3, stride=1
    )
    return velocity + share * (smooth - velocity)
