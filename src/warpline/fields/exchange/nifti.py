"""Vectors in NIfTI files, as the programs that do not use ITK keep them.

Axes are (i, j, k) with i fastest, world coordinates RAS. These programs place voxels by the sform
where its code is not 0, else by the qform, as nibabel does.
"""

from __future__ import annotations

import logging
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from warpline.errors import WarplineError
from warpline.fields.exchange.matrices import FLIP
from warpline.fields.exchange.worlds import grid_of_voxels, lps_of_voxels
from warpline.files import atomic_path
from warpline.images.grid import Grid

log = logging.getLogger(__name__)

DAMAGED = (OSError, EOFError, ValueError, zlib.error)


@dataclass(frozen=True)
class Vectors:
    """What a NIfTI file of vectors holds.

    Attributes
    ----------
    array
        (z, y, x, 3) float64; components in the file's order and unit.
    grid
        Where its voxels lie.
    header
        nibabel's header.
    """

    array: np.ndarray
    grid: Grid
    header: Any


def read_vectors(path: Path) -> Vectors:
    """The vectors of a NIfTI file of the size (i, j, k, 3) or (i, j, k, 1, 3).

    Raises
    ------
    WarplineError
        If the file cannot be read or has another size.
    """
    import nibabel

    try:
        image = nibabel.load(path)
        array = np.asarray(image.dataobj, dtype=np.float64)
    except (*DAMAGED, nibabel.filebasedimages.ImageFileError) as error:
        raise WarplineError(f"The file cannot be read as NIfTI ({error}).", where=path) from error
    if array.ndim == 5 and array.shape[3] == 1:
        array = array[:, :, :, 0]
    if array.ndim != 4 or array.shape[3] != 3:
        size = " × ".join(map(str, image.shape))
        raise WarplineError(f"This is no field: its size is {size}, not i × j × k × 3.", where=path)
    return Vectors(
        np.ascontiguousarray(array.transpose(2, 1, 0, 3)),
        grid_of_affine(image.affine, image.shape[:3]),
        image.header,
    )


def write_vectors(
    path: Path,
    array: np.ndarray,
    grid: Grid,
    *,
    intent: int = 0,
    name: str = "",
    parameter: float = 0.0,
    five: bool = False,
) -> None:
    """Write vectors (z, y, x, 3) as float32, (i, j, k, 3) or, if `five`, (i, j, k, 1, 3)."""
    import nibabel

    data = np.asarray(array, dtype=np.float32).transpose(2, 1, 0, 3)
    image = nibabel.Nifti1Image(data[:, :, :, None] if five else data, ras_affine(grid))
    image.set_sform(image.affine, 1)
    image.set_qform(image.affine, 1)
    image.header.set_xyzt_units("mm")
    image.header["intent_code"] = intent
    image.header["intent_name"] = name.encode()
    image.header["intent_p1"] = parameter
    with atomic_path(path) as temporary:
        nibabel.save(image, temporary)


def grid_of_affine(affine: np.ndarray, size: tuple[int, int, int]) -> Grid:
    """The grid of a matrix from (i, j, k) to mm, RAS."""
    lps = FLIP @ np.asarray(affine, dtype=np.float64)
    return grid_of_voxels(lps, tuple(int(n) for n in size[::-1]))


def ras_affine(grid: Grid) -> np.ndarray:
    """The matrix (4, 4) from (i, j, k) to mm, RAS, of a grid."""
    return FLIP @ lps_of_voxels(grid)


def filled(array: np.ndarray, path: Path) -> np.ndarray:
    """Displacements (z, y, x, 3); those that are no finite numbers become the nearest finite one.

    Raises
    ------
    WarplineError
        If none is finite.
    """
    bad = ~np.isfinite(array).all(axis=-1)
    if not bad.any():
        return array
    if bad.all():
        raise WarplineError("No voxel of the field holds finite numbers.", where=path)
    from scipy import ndimage

    nearest = ndimage.distance_transform_edt(bad, return_distances=False, return_indices=True)
    log.warning(
        "%s: %d of %d voxels hold no finite numbers; they take the nearest displacement",
        path,
        np.count_nonzero(bad),
        bad.size,
    )
    return array[tuple(nearest)]
