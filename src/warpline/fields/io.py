"""Displacement fields as files, and to and from the transforms of SimpleITK, ANTs and elastix."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from warpline.errors import WarplineError
from warpline.fields.antspy import load_ants
from warpline.fields.physical import DisplacementField
from warpline.images.files import read_image, write_image
from warpline.images.grid import Grid, Image
from warpline.images.itk import to_sitk

if TYPE_CHECKING:
    import ants
    import itk


def read_field(path: str | os.PathLike) -> DisplacementField:
    """Read an ITK displacement field (``.nii.gz``, ``.mha``, ``.nrrd``, ANTs' ``Warp.nii.gz``).

    Raises
    ------
    WarplineError
        If the file is missing or unreadable, does not hold three components a voxel, or holds
        values that are not finite.
    """
    image = read_image(path)
    if image.array.ndim != 4 or image.array.shape[-1] != 3:
        components = image.array.shape[-1] if image.array.ndim == 4 else 1
        raise WarplineError(
            f"This is not a displacement field: a voxel has {components} "
            f"component{'s' * (components > 1)}, not three.",
            where=path,
            do="Give a vector image, displacements in mm; of another program's file say by --from "
            "whose it is ('warpline inspect' says what is in a file).",
        )
    if not np.isfinite(image.array).all():
        raise WarplineError(
            "The displacement field holds values that are not finite.",
            where=path,
            do="Delete the file and register the pair again.",
        )
    return DisplacementField(image.array, image.grid)


def write_field(path: str | os.PathLike, field: DisplacementField, *, quick: bool = False) -> None:
    """Write a field atomically as an ITK displacement field; the suffix chooses the format.

    ITK-SNAP, 3D Slicer, ANTs and SimpleITK open it. In NIfTI too the vectors are LPS: that is
    what ITK writes and reads under the intent ``NIFTI_INTENT_VECTOR``. `quick`: see `write_image`.

    Raises
    ------
    WarplineError
        If a value is not finite: NIfTI readers would silently take it for no displacement.
    """
    if not np.isfinite(field.vectors).all():
        raise WarplineError(
            "The displacement field holds values that are not finite.",
            where=path,
            do="Look at what made it: a training that diverged, or an image that is not finite.",
        )
    write_image(path, Image(field.vectors, field.grid), quick=quick)


def to_sitk_transform(field: DisplacementField) -> sitk.DisplacementFieldTransform:
    """The field as a SimpleITK transform (identity, not clamped, beyond the grid)."""
    vectors = Image(field.vectors.astype(np.float64), field.grid)
    return sitk.DisplacementFieldTransform(to_sitk(vectors))


def from_sitk_transform(transform: sitk.Transform, grid: Grid) -> DisplacementField:
    """Any three-dimensional SimpleITK transform, fixed → moving, sampled on a grid."""
    sampler = sitk.TransformToDisplacementFieldFilter()
    sampler.SetOutputPixelType(sitk.sitkVectorFloat32)
    sampler.SetSize(grid.shape[::-1])
    sampler.SetOutputSpacing(grid.spacing)
    sampler.SetOutputOrigin(grid.origin)
    sampler.SetOutputDirection(grid.direction)
    return DisplacementField(sitk.GetArrayFromImage(sampler.Execute(transform)), grid)


def matrix_of_transform(transform: sitk.Transform) -> np.ndarray:
    """The (4, 4) homogeneous matrix, mm, LPS, of an affine SimpleITK transform.

    Raises
    ------
    WarplineError
        If the transform is not affine.
    """
    if not transform.IsLinear():
        raise WarplineError(f"The transform is not affine: {transform.GetName()}.")
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    ends = [transform.TransformPoint(axis) for axis in np.eye(3).tolist()]
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(ends).T - origin[:, None]
    matrix[:3, 3] = origin
    return matrix


def from_ants(
    transforms: Sequence[str | os.PathLike],
    grid: Grid,
    inverted: Sequence[bool] | None = None,
) -> DisplacementField:
    """ANTs' list of transform files as one field on the fixed grid.

    Parameters
    ----------
    transforms
        As ``ants.registration`` returns them in ``fwdtransforms`` (say warp, then affine): the
        list that ``apply_transforms`` takes to bring the moving image onto the fixed grid, and
        that ``apply_transforms_to_points`` takes to bring *fixed* points to moving ones.
    grid
        The fixed grid.
    inverted
        For each file, whether an affine transform is to be inverted (ANTs' ``whichtoinvert``).

    Raises
    ------
    WarplineError
        If a file is no transform, or cannot be inverted.
    """
    flags = [False] * len(transforms) if inverted is None else list(inverted)
    steps = [_ants_transform(path, flag) for path, flag in zip(transforms, flags, strict=True)]
    # A CompositeTransform, too, applies its last member first; ANTs applies the first one first
    # to points.
    return from_sitk_transform(sitk.CompositeTransform([*reversed(steps)]), grid)


def _ants_transform(path: str | os.PathLike, inverted: bool) -> sitk.Transform:
    name = os.fspath(path)
    try:
        if name.endswith((".nii", ".nii.gz", ".mha", ".nrrd")):
            if inverted:
                raise WarplineError(
                    "A displacement field cannot be inverted by a flag.",
                    where=path,
                    do="Give the InverseWarp file that ANTs wrote beside it.",
                )
            return to_sitk_transform(read_field(path))
        transform = sitk.ReadTransform(name)
        return transform.GetInverse() if inverted else transform
    except RuntimeError as error:
        raise WarplineError(
            f"The transform cannot be used ({str(error).strip().splitlines()[-1]}).", where=path
        ) from error


def to_ants(field: DisplacementField) -> ants.ANTsTransform:
    """The field as an ANTs transform (to keep it as a file for ANTs, `write_field` it)."""
    ants = load_ants()

    # ANTs' arrays are indexed (x, y, z).
    vectors = ants.from_numpy(
        np.ascontiguousarray(field.vectors.transpose(2, 1, 0, 3)),
        origin=tuple(field.grid.origin),
        spacing=tuple(field.grid.spacing),
        direction=np.array(field.grid.direction).reshape(3, 3),
        has_components=True,
    )
    return ants.transform_from_displacement_field(vectors)


def from_elastix(parameters: itk.ParameterObject, grid: Grid) -> DisplacementField:
    """The result of an itk-elastix registration as a field on the fixed grid.

    Parameters
    ----------
    parameters
        The transform parameter object that the registration returned, or one read from
        ``TransformParameters.*.txt`` files; initial transforms in it are composed.
    grid
        The fixed grid.

    Raises
    ------
    WarplineError
        If the parameters describe another grid than `grid`.
    """
    from warpline.fields.elastix import run_transformix

    with tempfile.TemporaryDirectory() as folder:
        result = DisplacementField(*run_transformix(grid, parameters, folder))
    if not result.grid.close_to(grid):
        raise WarplineError(
            "The elastix transform was made for another fixed image: its grid differs.",
            where=f"size {result.grid.shape[::-1]}, fixed image {grid.shape[::-1]}",
            do="Give the fixed image that was registered.",
        )
    return DisplacementField(result.vectors, grid)
