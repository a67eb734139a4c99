"""NiftyReg: matrices, fields and grids of control points in mm, RAS, from fixed to moving points.

A NIfTI file of size (i, j, k, 1, 3) says in ``intent_p1`` what it holds: positions (0),
displacements (1) or, of cubic splines, positions of control points (2); the intent's name is
``NREG_TRANS``. A matrix is a text of 4 × 4 numbers (Modat et al. 2010, Computer Methods and
Programs in Biomedicine 98:278; NiftyReg's own headers).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from warpline.errors import WarplineError
from warpline.fields.exchange.common import (
    NIFTI,
    has_suffix,
    needed,
    one,
    onto,
    positions,
    unknown_suffix,
)
from warpline.fields.exchange.matrices import needed_affine, read_matrix, write_matrix
from warpline.fields.exchange.nifti import Vectors, filled, read_vectors, write_vectors
from warpline.fields.exchange.worlds import ras, ras_matrix, targets_of_field
from warpline.fields.io import from_sitk_transform
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid, Image
from warpline.images.itk import to_sitk

NAME, VECTOR = "NREG_TRANS", 1007
POSITIONS, DISPLACEMENTS, SPLINE = 0, 1, 2
KINDS = {3: "a velocity", 4: "a velocity", 5: "a spline of a velocity", 6: "a linear spline"}
MATRICES = (".txt", ".mat")


def read(files: Sequence[str], fixed: Grid | None, moving: Grid | None) -> DisplacementField:
    """See `warpline.fields.exchange`; matrices and control points need the fixed image."""
    path = one(files, "niftyreg")
    if has_suffix(path, MATRICES):
        fixed = needed(fixed, "fixed", "a matrix does not say on which grid it is to be", path)
        return DisplacementField.from_matrix(ras_matrix(read_matrix(path)), fixed)
    if not has_suffix(path, NIFTI):
        raise unknown_suffix(path, "niftyreg", (*NIFTI, *MATRICES))
    vectors = read_vectors(path)
    kind = int(vectors.header["intent_p1"])
    if kind in KINDS:
        raise WarplineError(
            f"The file holds {KINDS[kind]}, not a deformation.",
            where=path,
            do="Make a field of it: reg_transform -ref FIXED -def FILE FIELD.nii.gz.",
        )
    if kind == SPLINE:
        fixed = needed(fixed, "fixed", "control points lie on a grid of their own", path)
        return from_sitk_transform(_spline(vectors), fixed)
    if kind == DISPLACEMENTS:
        array = ras(vectors.array)
    else:
        array = ras(vectors.array) - positions(vectors.grid)
    return onto(DisplacementField(filled(array, path), vectors.grid), fixed)


def write(path: Path, field: DisplacementField, moving: Grid | None) -> list[Path]:
    """A field as positions (a deformation field), or an affine map as ``.txt``."""
    if has_suffix(path, MATRICES):
        write_matrix(path, ras_matrix(needed_affine(field, path)))
    elif has_suffix(path, NIFTI):
        there = ras(targets_of_field(field))
        write_vectors(
            path, there, field.grid, intent=VECTOR, name=NAME, parameter=POSITIONS, five=True
        )
    else:
        raise unknown_suffix(path, "niftyreg", (*NIFTI, *MATRICES))
    return [path]


def _spline(vectors: Vectors) -> sitk.BSplineTransform:
    """Positions of control points as a spline of displacements: splines keep straight lines."""
    grid = vectors.grid
    displacements = ras(vectors.array) - positions(grid)
    # ITK's spline is none from rounding beyond the outermost cell on, where images begin.
    displacements = np.pad(displacements, ((1, 1), (1, 1), (1, 1), (0, 0)), "edge")
    origin = tuple(map(float, grid.index_to_physical(np.full(3, -1.0))))
    padded = replace(grid, shape=displacements.shape[:3], origin=origin)
    images = [to_sitk(Image(component, padded)) for component in np.moveaxis(displacements, -1, 0)]
    return sitk.BSplineTransform(images, 3)
