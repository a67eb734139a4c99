"""The normal equations of a step of Gauss-Newton, and their solution.

Of images F and M that a velocity v brings to each other half the way each, F∘exp(−v/2) and
M∘exp(v/2), a step d changes the difference r of their features by G·d, where G is the mean of both
gradients (efficient second-order minimisation; Benhimane & Malis 2004, Vercauteren et al. 2009).
The step minimises

    Σ w · mean_c (r_c + G_c · d)² + α |∇(v + d)|² + μ |d|²

in which lengths are mm: α has no unit and means the same on every grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from warpline.fields.sampling import warp
from warpline.registration.variational.velocity import exponential, in_voxels, resized

CHUNK = 4  # channels at a time


class Equations(NamedTuple):
    """What the images say of a step, voxel by voxel.

    Attributes
    ----------
    curvature
        (1, 6, z, y, x): mean of G Gᵀ over the channels, as zz, yy, xx, zy, zx, yx.
    slope
        (1, 3, z, y, x): mean of G r.
    residual
        (1, 1, z, y, x): mean of r², weighted.
    weight
        (1, 1, z, y, x).
    """

    curvature: torch.Tensor
    slope: torch.Tensor
    residual: torch.Tensor
    weight: torch.Tensor

    @property
    def mean(self) -> float:
        """The weighted mean of the squared difference."""
        return float(self.residual.sum() / self.weight.sum().clamp_min(1e-6))


def equations(
    fixed: torch.Tensor,
    moving: torch.Tensor,
    weights: tuple[torch.Tensor, torch.Tensor],
    velocity: torch.Tensor,
    spacings: tuple[Sequence[float], Sequence[float]],
    robust: float | None,
) -> Equations:
    """The equations at a velocity.

    Parameters
    ----------
    fixed, moving
        Features (1, C, z, y, x) on one grid.
    weights
        Of their voxels, (1, 1, z, y, x) each.
    velocity
        (1, 3, …) in mm, perhaps on a coarser grid.
    spacings
        Of the features' grid and of the velocity's, (z, y, x) in mm.
    robust
        A voxel whose mean squared difference is this has half its weight (Cauchy's);
        None: all have their full weight.
    """
    spacing, own = spacings
    halves = exponential(torch.cat([velocity, -velocity]) * 0.5, own)
    halves = resized(in_voxels(halves, spacing), fixed.shape[2:])
    ahead, back = halves[:1], halves[1:]
    channels = fixed.shape[1]
    curvature = fixed.new_zeros(1, 6, *fixed.shape[2:])
    slope = fixed.new_zeros(1, 3, *fixed.shape[2:])
    squares = torch.zeros_like(weights[0])
    for start in range(0, channels, CHUNK):
        part = slice(start, start + CHUNK)
        m, f = moving[:, part], fixed[:, part]
        if start == 0:  # with the weights: where to read is found once for all channels
            m, f = torch.cat([m, weights[1]], dim=1), torch.cat([f, weights[0]], dim=1)
        m, f = warp(m, ahead), warp(f, back)
        if start == 0:
            weight, m, f = m[:, -1:] * f[:, -1:], m[:, :-1], f[:, :-1]
        difference, both = m - f, m.add_(f)
        for c in range(both.shape[1]):
            unlike = difference[:, c]
            gradients = [
                torch.gradient(both[:, c], dim=axis + 1)[0].mul_(0.5 / spacing[axis])
                for axis in range(3)
            ]
            squares[:, 0].addcmul_(unlike, unlike)
            for k, (i, j) in enumerate(((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))):
                curvature[:, k].addcmul_(gradients[i], gradients[j])
            for k in range(3):
                slope[:, k].addcmul_(gradients[k], unlike)
    squares /= channels
    if robust is not None:
        weight = weight / (1 + squares / robust)
    scale = weight / channels
    return Equations(curvature.mul_(scale), slope.mul_(scale), squares.mul_(weight), weight)


def apply_curvature(curvature: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """The symmetric matrices of all voxels times their vectors."""
    zz, yy, xx, zy, zx, yx = curvature.unbind(1)
    z, y, x = vectors.unbind(1)
    return torch.stack(
        [zz * z + zy * y + zx * x, zy * z + yy * y + yx * x, zx * z + yx * y + xx * x], dim=1
    )


def stiffness(vectors: torch.Tensor, spacing: Sequence[float]) -> torch.Tensor:
    """Half the gradient of Σ |∇ vectors|² with free faces: −div grad, per mm²."""
    out = torch.zeros_like(vectors)
    for axis, size in enumerate(spacing, start=2):
        n = vectors.shape[axis]
        step = vectors.narrow(axis, 1, n - 1) - vectors.narrow(axis, 0, n - 1)
        step /= size**2
        out.narrow(axis, 0, n - 1).sub_(step)
        out.narrow(axis, 1, n - 1).add_(step)
    return out


def solve(
    curvature: torch.Tensor,
    slope: torch.Tensor,
    velocity: torch.Tensor,
    spacing: Sequence[float],
    smoothness: float,
    damping: float,
    iterations: int,
) -> torch.Tensor:
    """The step in mm by conjugate gradients with the diagonal as preconditioner.

    Parameters
    ----------
    curvature, slope
        Of `Equations`, on the velocity's grid.
    smoothness, damping
        α, and μ in 1/mm².
    """
    diagonal = curvature[:, :3] + (smoothness * 2 * sum(s**-2 for s in spacing) + damping)
    rest = -slope - smoothness * stiffness(velocity, spacing)
    step = torch.zeros_like(velocity)
    preconditioned = rest / diagonal
    direction = preconditioned
    energy = (rest * preconditioned).sum()
    for _ in range(iterations):
        image = apply_curvature(curvature, direction)
        image += smoothness * stiffness(direction, spacing) + damping * direction
        along = (direction * image).sum()
        if not float(along) > 0:
            break
        length = energy / along
        step = step + length * direction
        rest = rest - length * image
        preconditioned = rest / diagonal
        previous, energy = energy, (rest * preconditioned).sum()
        direction = preconditioned + (energy / previous) * direction
    return step
