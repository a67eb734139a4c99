"""VoxelMorph: displacements in voxels of the network's grid, in the order of the array.

A ``.npz`` holds one array (``warp``, ``vol``, ``arr_0``), a NIfTI file the same: (i, j, k, 3) or
(3, i, j, k), from fixed to moving indices. A network that integrates at half the resolution may
give its field so; then its voxels are twice as large, and the field is enlarged as the network
does, corners on corners.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from warpline.errors import WarplineError
from warpline.fields.exchange.common import NIFTI, has_suffix, needed, one, unknown_suffix
from warpline.fields.exchange.nifti import filled, write_vectors
from warpline.fields.learn2reg import from_learn2reg, to_learn2reg
from warpline.fields.physical import DisplacementField
from warpline.files import atomic_path
from warpline.images.grid import Grid

WHY = "the file holds voxels of it"
NAMES = ("warp", "vol", "arr_0", "flow")


def read(files: Sequence[str], fixed: Grid | None, moving: Grid | None) -> DisplacementField:
    """See `warpline.fields.exchange`; both images are needed."""
    path = one(files, "voxelmorph")
    fixed = needed(fixed, "fixed", WHY, path)
    moving = needed(moving, "moving", WHY, path)
    array = np.squeeze(_array(path))
    if array.ndim == 4 and array.shape[-1] != 3 and array.shape[0] == 3:
        array = np.moveaxis(array, 0, -1)
    size = fixed.shape[::-1]
    if array.ndim != 4 or array.shape[-1] != 3:
        raise WarplineError(f"The field has the shape {array.shape}, not (i, j, k, 3).", where=path)
    if array.shape[:3] != size:
        if any(abs(n - 2 * m) > 1 for n, m in zip(size, array.shape, strict=False)):
            raise WarplineError(
                f"The field has the size {array.shape[:3]}; the fixed image has {size}.",
                where=path,
                do="Give the image as the network had it: cropped, padded, resampled.",
            )
        array = _enlarged(array, size)
    array = filled(array.astype(np.float64), path)
    return from_learn2reg(array, fixed, moving)


def write(path: Path, field: DisplacementField, moving: Grid | None) -> list[Path]:
    """A field as ``.npz`` (``warp``) or NIfTI, (i, j, k, 3)."""
    moving = needed(moving, "moving", WHY, path)
    array = to_learn2reg(field, moving)
    if has_suffix(path, (".npz",)):
        with atomic_path(path) as temporary:
            np.savez_compressed(temporary, warp=array)
    elif has_suffix(path, NIFTI):
        write_vectors(path, array.transpose(2, 1, 0, 3), field.grid)
    else:
        raise unknown_suffix(path, "voxelmorph", (".npz", *NIFTI))
    return [path]


def _array(path: Path) -> np.ndarray:
    if has_suffix(path, NIFTI):
        import nibabel

        try:
            return np.asarray(nibabel.load(path).dataobj, dtype=np.float32)
        except (OSError, EOFError, nibabel.filebasedimages.ImageFileError) as error:
            raise WarplineError(f"The file cannot be read ({error}).", where=path) from error
    if not has_suffix(path, (".npz",)):
        raise unknown_suffix(path, "voxelmorph", (".npz", *NIFTI))
    try:
        with np.load(path, allow_pickle=False) as content:
            names = list(content)
            name = next((name for name in NAMES if name in names), None)
            if name is None and len(names) == 1:
                name = names[0]
            if name is None:
                raise WarplineError(
                    f"Which array is the field? The file holds: {', '.join(names) or 'none'}.",
                    where=path,
                    do=f"Save it as one of {', '.join(NAMES)}.",
                )
            return content[name].astype(np.float32)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise WarplineError(f"The file cannot be read ({error}).", where=path) from error


def _enlarged(array: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """A field (i, j, k, 3) of half the resolution at the full one, its voxels halved."""
    from scipy import ndimage

    lines = [np.linspace(0, m - 1, n) for n, m in zip(size, array.shape, strict=False)]
    place = np.stack(np.meshgrid(*lines, indexing="ij"))
    parts = [
        ndimage.map_coordinates(array[..., k], place, order=1, mode="nearest") for k in range(3)
    ]
    return 2 * np.stack(parts, axis=-1)
