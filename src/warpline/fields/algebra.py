"""Composition, inversion, exponential and Jacobian of voxel displacements.

A voxel displacement is a tensor (B, 3, z, y, x), components (z, y, x) in voxels. Beyond its grid it
goes on with the value at its border, so a translation stays one and the identity is exact up to
the border.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch

from warpline.fields.arrays import jacobian_determinant
from warpline.fields.sampling import identity_grid, sample, warp


class Inverse(NamedTuple):
    """An inverse and how far it is from one."""

    displacement: torch.Tensor
    """(B, 3, z, y, x), voxels."""
    residual: torch.Tensor
    """(B, z, y, x): length of ``w(x) + v(x + w(x))`` in voxels; 0 for a true inverse."""


def compose(outer: torch.Tensor, inner: torch.Tensor) -> torch.Tensor:
    """Displacement of ``x → T_outer(T_inner(x))``.

    Parameters
    ----------
    outer, inner
        (B, 3, z, y, x) in voxels; `inner` maps into the grid on which `outer` lies, and the two
        grids may have different sizes.

    Returns
    -------
    torch.Tensor
        (B, 3, z, y, x) on the grid of `inner`.
    """
    return inner + warp(outer, inner)


def invert(displacement: torch.Tensor, iterations: int = 100, tolerance: float = 1e-3) -> Inverse:
    """Inverse of a voxel displacement by a damped fixed point.

    ``w ← w − s·(w + v(x + w))`` (Chen et al. 2008, Medical Physics 35:81). The plain iteration
    (s = 1) diverges where the field stretches by more than a factor of two; so s is halved,
    voxel by voxel, whenever the residual there has grown or overshot.

    Parameters
    ----------
    displacement
        (B, 3, z, y, x) in voxels.
    iterations
        At most so many steps.
    tolerance
        Of the residual, in voxels; a voxel is done once its own is a tenth of it.

    Returns
    -------
    Inverse
        With a residual for each voxel. A `RuntimeWarning` tells if the tolerance is not met, and
        where the worst residual lies, or if the field folds: then several points share an image,
        and the inverse holds one of them.
    """
    parts = [_invert(part, iterations, tolerance) for part in displacement.split(1)]
    inverse, residual = (torch.cat(part) for part in zip(*parts, strict=True))
    _warn_if_no_inverse(displacement, residual[:, None], tolerance)
    return Inverse(inverse, residual)


def _invert(
    displacement: torch.Tensor, iterations: int, tolerance: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Inverse and residual, (1, 3, z, y, x) and (1, z, y, x), of one field.

    Only voxels that still move are sampled: those well within the tolerance are done, and so are
    those, about folds, whose steps have become too small to lead anywhere.
    """
    place = identity_grid(displacement.shape[2:], displacement.device, displacement.dtype)
    place = place.reshape(3, -1)

    def error_of(inverse: torch.Tensor, place: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        there = (place + inverse).reshape(1, 3, -1, 1, 1)
        error = inverse + sample(displacement, there).reshape(3, -1)
        return error, (error * error).sum(0).sqrt_()

    inverse = -displacement.reshape(3, -1)
    error, residual = error_of(inverse, place)
    step = torch.ones_like(residual)
    done, left = (inverse.clone(), residual.clone()), torch.arange(len(step), device=step.device)
    for _ in range(iterations):
        moving = (residual > 0.1 * tolerance) & (step * residual > 0.01 * tolerance)
        moving = moving.nonzero()[:, 0]
        if len(moving) < 0.9 * len(left) or not len(moving):
            done[0].index_copy_(1, left, inverse)
            done[1].index_copy_(0, left, residual)
            left, step, residual = left[moving], step[moving], residual[moving]
            place, inverse, error = (
                part.index_select(1, moving) for part in (place, inverse, error)
            )
        if not len(left):
            break
        inverse = inverse - step * error
        previous_error, previous = error, residual
        error, residual = error_of(inverse, place)
        overshot = (error * previous_error).sum(0) < -(previous**2) / 3
        step = torch.where((residual > previous) | overshot, step * 0.5, step)
    done[0].index_copy_(1, left, inverse)
    done[1].index_copy_(0, left, residual)
    return done[0].reshape(displacement.shape), done[1].reshape(1, *displacement.shape[2:])


def _warn_if_no_inverse(
    displacement: torch.Tensor, residual: torch.Tensor, tolerance: float
) -> None:
    folds = int((jacobian_determinant(displacement) <= 0).sum())
    worst = float(residual.max())
    reasons = [f"it folds at {folds} voxels"] if folds else []
    if not worst <= tolerance:  # not a number is a failure too
        place = torch.unravel_index(residual.argmax(), residual.shape)
        index = tuple(int(i) for i in place[2:])
        reasons.append(f"residual {worst:.3g} voxels at index (z, y, x) = {index}")
    if reasons:
        warnings.warn(
            f"The displacement has no inverse everywhere: {'; '.join(reasons)}.",
            RuntimeWarning,
            stacklevel=3,
        )


def exponentiate(velocity: torch.Tensor, steps: int = 7) -> torch.Tensor:
    """Displacement after unit time of a stationary velocity, by scaling and squaring.

    Parameters
    ----------
    velocity
        (B, 3, z, y, x) in voxels per unit time.
    steps
        Number of squarings; the first step is ``velocity / 2**steps`` (Arsigny et al. 2006,
        MICCAI; Dalca et al. 2018, MICCAI).

    Returns
    -------
    torch.Tensor
        (B, 3, z, y, x) in voxels.
    """
    displacement = velocity / 2**steps
    for _ in range(steps):
        displacement = compose(displacement, displacement)
    return displacement
