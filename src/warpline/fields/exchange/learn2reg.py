"""Learn2Reg: displacements in voxels of the fixed grid, from fixed to moving indices.

``disp_AAAA_BBBB.nii.gz`` is (i, j, k, 3); the ``.npz`` of 2020 holds ``arr_0``, (3, i, j, k) at
half the resolution, float16.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from warpline.fields import learn2reg
from warpline.fields.exchange.common import NIFTI, has_suffix, needed, one, unknown_suffix
from warpline.fields.exchange.nifti import filled, read_vectors, write_vectors
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid

WHY = "the file holds voxels of it"
KNOWN = (*NIFTI, ".npz")


def read(files: Sequence[str], fixed: Grid | None, moving: Grid | None) -> DisplacementField:
    """See `warpline.fields.exchange`; both images are needed."""
    path = one(files, "learn2reg")
    fixed = needed(fixed, "fixed", WHY, path)
    moving = needed(moving, "moving", WHY, path)
    if has_suffix(path, (".npz",)):
        return learn2reg.read_submission(path, fixed, moving)
    if not has_suffix(path, NIFTI):
        raise unknown_suffix(path, "learn2reg", KNOWN)
    array = filled(read_vectors(path).array, path)
    return learn2reg.from_learn2reg(array.transpose(2, 1, 0, 3), fixed, moving)


def write(path: Path, field: DisplacementField, moving: Grid | None) -> list[Path]:
    """A field as ``.nii.gz``, or as the coarse ``.npz`` of 2020."""
    moving = needed(moving, "moving", WHY, path)
    if has_suffix(path, (".npz",)):
        learn2reg.write_submission(path, field, moving)
    elif has_suffix(path, NIFTI):
        array = learn2reg.to_learn2reg(field, moving).transpose(2, 1, 0, 3)
        write_vectors(path, array, field.grid)
    else:
        raise unknown_suffix(path, "learn2reg", KNOWN)
    return [path]
