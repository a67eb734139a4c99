"""Synthetic pairs made where the network computes: as `pairs.synthetic_pair`, on tensors.

The points and vectors of a field are drawn by the same random numbers, so that a seed gives the
same field, and the images are sampled by the same spline; only the noise is drawn on the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from warpline.fields.sampling import sample
from warpline.images.grid import Grid, Image
from warpline.registration.synthetic.pairs import (
    OF_MOVING,
    Frequency,
    Seed,
    SyntheticPair,
    drawn_points,
    slabs,
)

MARGIN = 2  # coefficients beyond each border that a cubic spline reaches


@dataclass(frozen=True)
class PairOnDevice:
    """A `SyntheticPair` as tensors.

    Attributes
    ----------
    fixed, moving
        (z, y, x).
    displacement
        (3, z, y, x) in voxels; None where it is made when it is asked for.
    mask
        (z, y, x) of bools, if there is one.
    """

    fixed: torch.Tensor
    moving: torch.Tensor
    displacement: torch.Tensor | None
    mask: torch.Tensor | None

    @classmethod
    def of(cls, pair: SyntheticPair, device: torch.device | str) -> PairOnDevice:
        """A pair that was made by the CPU."""

        def moved(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(array).to(device)

        mask = None if pair.mask is None else moved(pair.mask.array != 0)
        images = moved(pair.fixed.array), moved(pair.moving.array)
        return cls(*images, moved(pair.displacement), mask)


def synthetic_pair(
    image: Image,
    mask: Image | None = None,
    *,
    frequency: str | Frequency,
    seed: Seed,
    deform_moving: bool = True,
    noise: float = 5.0,
    moving_noise: float = 3.0,
    device: torch.device | str,
) -> PairOnDevice:
    """A moving image and the fixed image made of it, see `pairs.synthetic_pair`."""
    field_rng, noise_rng, moving_rng, moving_noise_rng = np.random.default_rng(seed).spawn(4)
    moving = torch.from_numpy(image.array.astype(np.float32)).to(device)
    lungs = None if mask is None else torch.from_numpy(mask.array != 0).to(device).float()
    if deform_moving:
        first = random_field(image.grid, OF_MOVING, moving_rng, device)
        moving = _with_noise(warp_cubic(moving, first), moving_noise, moving_noise_rng)
        lungs = None if lungs is None else _warp_linear(lungs, first)
        del first
    displacement = random_field(image.grid, frequency, field_rng, device)
    fixed = _with_noise(warp_cubic(moving, displacement), noise, noise_rng)
    if lungs is not None:
        lungs = _warp_linear(lungs, displacement) >= 0.5
    return PairOnDevice(fixed, moving, displacement, lungs)


def random_field(
    grid: Grid, frequency: str | Frequency, seed: Seed, device: torch.device | str
) -> torch.Tensor:
    """The field of `pairs.random_field`: (3, z, y, x), voxels."""
    points = drawn_points(grid, frequency, seed)
    z, y, x, vectors = (
        torch.from_numpy(part).to(device) for part in (*points.weights, points.vectors)
    )
    # Smoothing by a Gaussian is a product along the axes, summed over the points.
    planes = torch.einsum("pz,py->zyp", z, y).flatten(0, 1)
    field = torch.stack([planes @ (part[:, None] * x) for part in vectors.T])
    largest = field.abs().amax(dim=1).amax(dim=1)
    field *= (torch.from_numpy(points.amplitudes).to(field) / largest)[:, None, None]
    return field.reshape(3, *grid.shape)


def warp_cubic(volume: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
    """A volume (z, y, x) sampled at ``i + u(i)`` by the cubic B-spline through its voxels.

    The sum over 4³ coefficients is one over 2³ linear samples between pairs of them, weighted
    (Sigg and Hadwiger, GPU Gems 2, chapter 20, 2005). Points outside take the border's value.
    """
    coefficients = volume
    for axis, size in enumerate(volume.shape):
        solve = torch.from_numpy(_coefficients_of(size)).to(volume)
        coefficients = torch.tensordot(solve, coefficients, ([1], [axis])).movedim(0, axis)
    padded = _mirrored(coefficients)[None, None]
    result = torch.empty(displacement.shape[1:], dtype=volume.dtype, device=volume.device)
    for part in slabs(tuple(result.shape)):
        result[part] = _spline_at(padded, _places(displacement, part, volume.shape))
    return result


def _spline_at(padded: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """The spline at places (3, n, y, x) within the volume."""
    before = places.floor()
    part = places - before
    rest = 1 - part
    early = rest**3 / 6 + (4 - 6 * part**2 + 3 * part**3) / 6  # the two weights before, in sum
    late = 1 - early
    # Where between two coefficients a linear sample has their ratio.
    ends = (
        before + MARGIN - 1 + (4 - 6 * part**2 + 3 * part**3) / (6 * early),
        before + MARGIN + 1 + part**3 / (6 * late),
    )
    weights = early, late
    total = torch.zeros_like(places[0])
    for corner in np.ndindex(2, 2, 2):
        at = torch.stack([ends[side][axis] for axis, side in enumerate(corner)])
        weight = weights[corner[0]][0] * weights[corner[1]][1] * weights[corner[2]][2]
        total += weight * sample(padded, at[None])[0, 0]
    return total


def _warp_linear(volume: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
    result = torch.empty_like(volume)
    for part in slabs(tuple(volume.shape)):
        places = _places(displacement, part, volume.shape)
        result[part] = sample(volume[None, None], places[None])[0, 0]
    return result


def _places(displacement: torch.Tensor, part: slice, shape: torch.Size) -> torch.Tensor:
    """Indices (3, n, y, x) that a slab of a field points to, within a volume."""
    axes = [
        torch.arange(n, dtype=displacement.dtype, device=displacement.device)
        for n in displacement.shape[1:]
    ]
    axes[0] = axes[0][part]
    places = displacement[:, part] + torch.stack(torch.meshgrid(*axes, indexing="ij"))
    for axis, size in enumerate(shape):
        places[axis].clamp_(0, size - 1)
    return places


def _mirrored(coefficients: torch.Tensor) -> torch.Tensor:
    """With `MARGIN` more beyond every border, mirrored at the last one."""
    for axis, size in enumerate(coefficients.shape):
        index = torch.arange(-MARGIN, size + MARGIN, device=coefficients.device).abs()
        last = max(size - 1, 1)
        index = (last - (index % (2 * last) - last).abs()) if size > 1 else index * 0
        coefficients = coefficients.index_select(axis, index)
    return coefficients


@lru_cache(maxsize=32)
def _coefficients_of(size: int) -> np.ndarray:
    """(n, n): a line's spline coefficients from its values, mirrored at both ends."""
    if size == 1:
        return np.ones((1, 1), np.float32)
    values = (4 * np.eye(size) + np.eye(size, k=1) + np.eye(size, k=-1)) / 6
    values[0, 1] = values[-1, -2] = 2 / 6
    return np.linalg.inv(values).astype(np.float32)


def _with_noise(volume: torch.Tensor, deviation: float, rng: np.random.Generator) -> torch.Tensor:
    generator = torch.Generator(volume.device)
    generator.manual_seed(int(rng.integers(2**62)))
    noise = torch.randn(volume.shape, generator=generator, device=volume.device)
    return volume.add_(noise, alpha=deviation)
