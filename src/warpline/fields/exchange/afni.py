"""AFNI: ``.aff12.1D`` and ``.1D`` matrices, and the warps of 3dQwarp, in mm, LPS ("DICOM order").

A matrix takes points of the base (fixed) image to the source (moving) one; a warp holds
displacements on the base's grid, NIfTI of size (i, j, k, 1, 3). AFNI leaves out the obliquity of an
image: it places voxels along the nearest axes of the body, from the same origin, with the same
spacing. So a matrix of oblique images is one between those frames. In which frame a warp on an
oblique grid lies is not sure, and such a warp is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from warpline.errors import WarplineError
from warpline.fields.exchange.common import NIFTI, has_suffix, needed, one, onto, unknown_suffix
from warpline.fields.exchange.matrices import needed_affine, read_matrix
from warpline.fields.exchange.nifti import filled, read_vectors, write_vectors
from warpline.fields.exchange.worlds import lps_of_voxels
from warpline.fields.physical import DisplacementField
from warpline.files import atomic_path
from warpline.images.grid import Grid

WHY = "AFNI leaves out its obliquity"
MATRICES = (".1d",)
# Of a direction's cosines: 0.01 degrees, from which on AFNI calls an image oblique.
OBLIQUE = 1.75e-4


def read(files: Sequence[str], fixed: Grid | None, moving: Grid | None) -> DisplacementField:
    """See `warpline.fields.exchange`; a matrix needs both images."""
    path = one(files, "afni")
    if has_suffix(path, MATRICES):
        fixed, moving = needed(fixed, "fixed", WHY, path), needed(moving, "moving", WHY, path)
        matrix = lps_of_cardinal(moving) @ read_matrix(path) @ np.linalg.inv(lps_of_cardinal(fixed))
        return DisplacementField.from_matrix(matrix, fixed)
    if not has_suffix(path, NIFTI):
        raise unknown_suffix(path, "afni", (*NIFTI, *MATRICES))
    vectors = read_vectors(path)
    for grid in (vectors.grid, moving):
        _check_plumb(grid, path)
    return onto(DisplacementField(filled(vectors.array, path), vectors.grid), fixed)


def write(path: Path, field: DisplacementField, moving: Grid | None) -> list[Path]:
    """A field as a warp of 3dQwarp, or an affine map as ``.1D``."""
    if has_suffix(path, MATRICES):
        moving = needed(moving, "moving", WHY, path)
        matrix = needed_affine(field, path)
        matrix = np.linalg.inv(lps_of_cardinal(moving)) @ matrix @ lps_of_cardinal(field.grid)
        with atomic_path(path) as temporary:
            numbers = " ".join(f"{value:.12g}" for value in matrix[:3].ravel())
            temporary.write_text(f"# warpline (DICOM-to-DICOM, row-by-row):\n{numbers}\n")
    elif has_suffix(path, NIFTI):
        for grid in (field.grid, moving):
            _check_plumb(grid, path)
        write_vectors(path, field.vectors, field.grid, intent=1007, five=True)
    else:
        raise unknown_suffix(path, "afni", (*NIFTI, *MATRICES))
    return [path]


def lps_of_cardinal(grid: Grid) -> np.ndarray:
    """(4, 4) from the coordinates that AFNI gives to voxels to mm, LPS."""
    cardinal = np.eye(4)
    cardinal[:3, :3] = _nearest(grid) * np.asarray(grid.spacing)
    cardinal[:3, 3] = grid.origin
    return lps_of_voxels(grid) @ np.linalg.inv(cardinal)


def _nearest(grid: Grid) -> np.ndarray:
    """The direction whose axes are those of the body, nearest to the grid's."""
    direction = np.reshape(grid.direction, (3, 3))
    nearest = np.zeros((3, 3))
    for body, column in enumerate(grid.nearest_axes()):
        nearest[body, column] = np.sign(direction[body, column])
    return nearest


def _check_plumb(grid: Grid | None, path: Path) -> None:
    if grid is None:
        return
    direction = np.reshape(grid.direction, (3, 3))
    if np.abs(direction - _nearest(grid)).max() > OBLIQUE:
        raise WarplineError(
            "The grid is oblique, which AFNI leaves out: what its warp would mean is not sure.",
            where=path,
            do="Bring the images onto straight grids first (3dWarp -deoblique), or use a matrix.",
        )
