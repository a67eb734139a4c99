"""From a trained network and a pair to a displacement field."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from warpline.errors import WarplineError
from warpline.fields import algebra
from warpline.fields.physical import DisplacementField
from warpline.networks import RegistrationNetwork, padding_to
from warpline.preprocess import Case


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
    if fixed.grid.shape != moving.grid.shape:
        raise WarplineError(
            f"The images differ in shape: {fixed.grid.shape} and {moving.grid.shape}.",
            where=f"pair {fixed.id}, {moving.id}",
            do="End the dataset's 'prepare' list with a 'pad_crop' step.",
        )
    shape = fixed.grid.shape
    width = padding_to(shape, network.stride)
    images = [
        F.pad(torch.from_numpy(case.image.array).float().to(device)[None, None], width)
        for case in (moving, fixed)
    ]
    device = torch.device(device)
    enabled = precision != "single"
    dtype = getattr(torch, precision) if enabled else None
    with torch.autocast(device.type, dtype=dtype, enabled=enabled):
        field = network(*images).displacement
    field = field[:, :, : shape[0], : shape[1], : shape[2]].float().cpu()
    return DisplacementField.from_voxel(field, fixed.grid, moving.grid)


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
