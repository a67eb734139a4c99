"""Displacement fields in the layouts of the Learn2Reg challenge.

Its displacements are in voxels and map fixed to moving indices; its array axes and components go
in NIfTI's order (i, j, k), that is (x, y, z), where warpline's go (z, y, x). Voxel indices know
no LPS or RAS, so nothing is flipped.
"""

from __future__ import annotations

import os
import zipfile

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from warpline.errors import WarplineError
from warpline.fields.physical import DisplacementField
from warpline.files import atomic_path
from warpline.images.grid import Grid


def from_learn2reg(array: np.ndarray, fixed: Grid, moving: Grid) -> DisplacementField:
    """A field from the challenge's array.

    Parameters
    ----------
    array
        (i, j, k, 3), components (i, j, k), in voxels.
    fixed, moving
        The grids of the two images.

    Raises
    ------
    WarplineError
        If the array does not have the shape of the fixed grid.
    """
    expected = (*fixed.shape[::-1], 3)
    if array.shape != expected:
        raise WarplineError(
            f"The Learn2Reg displacement has shape {array.shape}, "
            f"but the fixed image asks for {expected}."
        )
    voxel = array.astype(np.float32).transpose(3, 2, 1, 0)[::-1]
    return DisplacementField.from_voxel(torch.from_numpy(voxel.copy()), fixed, moving)


def to_learn2reg(field: DisplacementField, moving: Grid) -> np.ndarray:
    """The challenge's array of a field: (i, j, k, 3) float32, components (i, j, k), in voxels."""
    voxel = field.to_voxel(moving)[0].numpy()
    return np.ascontiguousarray(voxel[::-1].transpose(3, 2, 1, 0))


def write_submission(path: str | os.PathLike, field: DisplacementField, moving: Grid) -> None:
    """Write a field as a submission to the challenge of 2020.

    A compressed ``.npz`` whose ``arr_0`` is float16, (3, i/2, j/2, k/2): displacements in voxels
    of the full grid, on half of it. The corners of the two grids coincide, as the evaluation's
    ``scipy.ndimage.zoom`` has it.
    """
    voxel = field.to_voxel(moving).flip(1).permute(0, 1, 4, 3, 2)
    half = [n // 2 for n in voxel.shape[2:]]
    coarse = F.interpolate(voxel, half, mode="trilinear", align_corners=True)[0]
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, coarse.numpy().astype(np.float16))


def read_submission(path: str | os.PathLike, fixed: Grid, moving: Grid) -> DisplacementField:
    """Read a submission of 2020, enlarged to the fixed grid by splines of order 2.

    Raises
    ------
    WarplineError
        If the file is no such submission, or does not fit the fixed grid.
    """
    half = tuple(n // 2 for n in fixed.shape[::-1])
    try:
        with np.load(path, allow_pickle=False) as content:
            coarse = content["arr_0"].astype(np.float32)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise WarplineError(
            f"The file is not a Learn2Reg submission ({error}).",
            where=path,
            do="Give a .npz file with one array, arr_0.",
        ) from error
    if coarse.shape != (3, *half):
        raise WarplineError(
            f"The Learn2Reg submission has shape {coarse.shape}, "
            f"but the fixed image asks for {(3, *half)}.",
            where=path,
        )
    factors = [full / n for full, n in zip(fixed.shape[::-1], half, strict=True)]
    full = np.stack([ndimage.zoom(component, factors, order=2) for component in coarse], axis=-1)
    return from_learn2reg(full, fixed, moving)
