"""From a trained network and a pair to a displacement field."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.fields import algebra
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Image
from warpline.networks import RegistrationNetwork, padding_to


@torch.no_grad()
def predict(
    network: RegistrationNetwork,
    fixed: Case,
    moving: Case,
    device: torch.device | str = "cpu",
    precision: str = "single",
) -> DisplacementField:
    """The field of a pair, on the fixed grid; both cases must have one shape.

    The images are padded at their ends to a multiple of the network's stride, and the field is
    cut back.

    Raises
    ------
    WarplineError
        If the shapes differ.
    """
    images = _padded(network, fixed, moving, device)
    device = torch.device(device)
    enabled = precision != "single"
    dtype = getattr(torch, precision) if enabled else None
    with torch.autocast(device.type, dtype=dtype, enabled=enabled):
        displacement = network(*images).displacement
    return _field(displacement, fixed, moving)


@torch.no_grad()
def predict_both(
    network: RegistrationNetwork,
    fixed: Case,
    moving: Case,
    device: torch.device | str = "cpu",
) -> tuple[DisplacementField, DisplacementField]:
    """The fields of both directions, from one pass of the network where it can.

    Returns
    -------
    forward, backward
        From fixed to moving points on the fixed grid, as `predict` gives it, and from moving to
        fixed points on the moving grid.

    Raises
    ------
    WarplineError
        If the shapes differ.
    """
    forward, backward = network.predict_directions(*_padded(network, fixed, moving, device))
    return (
        _field(forward.displacement, fixed, moving),
        _field(backward.displacement, moving, fixed),
    )


@torch.no_grad()
def spread(
    network: RegistrationNetwork,
    fixed: Case,
    moving: Case,
    samples: int,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Image:
    """How uncertain a network that predicts a `Velocity` is of a pair's field.

    Velocities are drawn and integrated; at every voxel of the fixed grid the root of the sum, over
    the three axes, of the variances of the displacement is the spread, in mm.

    Parameters
    ----------
    samples
        How many are drawn, at least two. The network's convolutions run only once.
    seed
        Of the draws, the same for every pair.

    Raises
    ------
    WarplineError
        If the shapes differ.
    """
    velocity = network.velocity(*_padded(network, fixed, moving, device))
    mean, squares = np.zeros((*fixed.grid.shape, 3)), np.zeros(fixed.grid.shape)
    devices = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        for count in range(1, samples + 1):
            displacement = network.transformation(velocity.draw())
            vectors = _field(displacement, fixed, moving).vectors
            away = vectors - mean
            mean += away / count  # Welford's update: no difference of large numbers
            squares += (away * (vectors - mean)).sum(axis=-1)
    deviation = np.sqrt(squares / (samples - 1))
    return Image(deviation.astype(np.float32), fixed.grid)


def _padded(
    network: RegistrationNetwork, fixed: Case, moving: Case, device: torch.device | str
) -> list[torch.Tensor]:
    """The moving and the fixed image, padded at their ends to a multiple of the stride."""
    if fixed.grid.shape != moving.grid.shape:
        raise WarplineError(
            f"The images differ in shape: {fixed.grid.shape} and {moving.grid.shape}.",
            where=f"pair {fixed.id}, {moving.id}",
            do="End the dataset's 'prepare' list with a 'pad_crop' step.",
        )
    width = padding_to(fixed.grid.shape, network.stride)
    return [
        F.pad(torch.from_numpy(case.image.array).float().to(device)[None, None], width)
        for case in (moving, fixed)
    ]


def _field(displacement: torch.Tensor, fixed: Case, moving: Case) -> DisplacementField:
    """The field of a voxel displacement, without the padding."""
    z, y, x = fixed.grid.shape
    cut = displacement[:, :, :z, :y, :x].float().cpu()
    return DisplacementField.from_voxel(cut, fixed.grid, moving.grid)


def predict_through_atlas(
    network: RegistrationNetwork,
    fixed: Case,
    moving: Case,
    atlas: Case,
    device: torch.device | str = "cpu",
) -> DisplacementField:
    """The field of any pair by way of an atlas, on the fixed grid.

    The network registers both cases to the atlas, ``A = S∘φ_S = T∘φ_T`` for the moving image S and
    the fixed image T; then ``T ≈ S∘φ_S∘φ_T⁻¹``. A `RuntimeWarning` tells of a ``φ_T`` that folds
    and so has no inverse everywhere. Source: Bouabid et al. 2019, section 4.4.

    Raises
    ------
    WarplineError
        If the shapes differ.
    """
    to_fixed = predict(network, atlas, fixed, device)
    to_moving = predict(network, atlas, moving, device)
    # Between indices: the scans may lie anywhere in their scanners' frames.
    inverse = algebra.invert(to_fixed.to_voxel(fixed.grid)).displacement
    return to_moving.compose(DisplacementField.from_voxel(inverse, fixed.grid, atlas.grid))


def check_size(network: RegistrationNetwork, shape: tuple[int, ...]) -> None:
    """Refuse a grid that the network reduces to nothing, before any step is taken.

    Raises
    ------
    WarplineError
        If every axis, padded to a multiple of the stride, would have one voxel at the coarsest
        level: instance normalisation has nothing to normalise there.
    """
    coarse = [-(-size // network.stride) for size in shape]
    if max(coarse) < 2:
        raise WarplineError(
            f"The grid {tuple(shape)} is too small for the network: it halves each axis down by "
            f"{network.stride}, to {tuple(coarse)}.",
            where="pad_crop of the dataset, network.parameters of the recipe",
            do="Use a larger grid or fewer levels.",
        )
