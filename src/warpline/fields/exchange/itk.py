"""ITK and SimpleITK: images of vectors in mm, LPS, and files of transforms.

A file of a transform (``.tfm``, ``.txt``, ``.h5``, ``.mat``) maps fixed to moving points, as
SimpleITK's resampling takes it. An image of vectors holds ``u`` with ``T(x) = x + u(x)``; ITK keeps
LPS components in NIfTI too.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from warpline.errors import WarplineError
from warpline.fields.exchange.common import IMAGES, has_suffix, needed, one, onto, unknown_suffix
from warpline.fields.exchange.matrices import needed_affine
from warpline.fields.io import from_sitk_transform, read_field, to_sitk_transform, write_field
from warpline.fields.physical import DisplacementField
from warpline.files import atomic_path
from warpline.images.grid import Grid
from warpline.images.itk import grid_of

AFFINE, COMPOSED = (".tfm", ".txt", ".mat"), (".h5", ".hdf5")


def read(files: Sequence[str], fixed: Grid | None, moving: Grid | None) -> DisplacementField:
    """See `warpline.fields.exchange`."""
    path = one(files, "itk")
    if has_suffix(path, IMAGES):
        return onto(read_field(path), fixed)
    return sampled(read_sitk(path), fixed, path)


def write(path: Path, field: DisplacementField, moving: Grid | None) -> list[Path]:
    """A field as an image or ``.h5``; an affine map as ``.tfm``, ``.txt`` or ``.mat``."""
    if has_suffix(path, IMAGES):
        write_field(path, field)
    elif has_suffix(path, COMPOSED):
        write_sitk(path, to_sitk_transform(field))
    elif has_suffix(path, AFFINE):
        write_sitk(path, sitk_affine(needed_affine(field, path)))
    else:
        raise unknown_suffix(path, "itk", (*IMAGES, *COMPOSED, *AFFINE))
    return [path]


def read_sitk(path: Path) -> sitk.Transform:
    """A three-dimensional transform of a file of ITK.

    Raises
    ------
    WarplineError
        If it cannot be read, or has another number of dimensions.
    """
    if not path.is_file():
        raise WarplineError("The file of the transform does not exist.", where=path)
    try:
        transform = sitk.ReadTransform(os.fspath(path))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise WarplineError(
            f"The file cannot be read as a transform of ITK ({reason}).",
            where=path,
            do="'warpline inspect' says what it may be; --from names another program.",
        ) from error
    if transform.GetDimension() != 3:
        raise WarplineError(
            f"The transform has {transform.GetDimension()} dimensions; three are needed.",
            where=path,
        )
    return transform


def write_sitk(path: Path, transform: sitk.Transform) -> None:
    """Write a transform of SimpleITK atomically."""
    with atomic_path(path) as temporary:
        sitk.WriteTransform(transform, os.fspath(temporary))


def sampled(transform: sitk.Transform, fixed: Grid | None, path: Path) -> DisplacementField:
    """A transform on the fixed grid, or on its own if that is not given and it has one."""
    if fixed is None:
        inner = transform.Downcast()
        if inner.GetTransformEnum() == sitk.sitkComposite and inner.GetNumberOfTransforms() == 1:
            inner = inner.GetNthTransform(0).Downcast()
        if inner.GetTransformEnum() == sitk.sitkDisplacementField:
            fixed = grid_of(inner.GetDisplacementField())
    fixed = needed(
        fixed, "fixed", "such a file does not say on which grid the field is to be", path
    )
    return from_sitk_transform(transform, fixed)


def sitk_affine(matrix: np.ndarray) -> sitk.AffineTransform:
    """A matrix (4, 4), mm, LPS, as a transform of SimpleITK."""
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    return transform
