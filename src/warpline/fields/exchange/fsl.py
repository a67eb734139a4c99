"""FSL: the matrices of FLIRT and the fields of FNIRT.

FSL's coordinates are voxels times their size, in mm; the first axis is turned round where the
determinant of the image's affine (RAS) is positive, so that it always runs as radiologists have it
(Jenkinson et al. 2002, NeuroImage 17:825; FSL's guide to FLIRT). A matrix takes points of the
moving image (``-in``) to those of the fixed one (``-ref``); a field of FNIRT lies on the fixed grid
and takes its points to the moving image, by their displacement (relative) or as they are
(absolute). The file does not say which: positions spread as the grid does, displacements do not.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from warpline.errors import WarplineError
from warpline.fields.exchange.common import (
    NIFTI,
    has_suffix,
    needed,
    one,
    onto,
    same_place,
    unknown_suffix,
)
from warpline.fields.exchange.matrices import needed_affine, read_matrix, write_matrix
from warpline.fields.exchange.nifti import filled, read_vectors, write_vectors
from warpline.fields.exchange.worlds import (
    field_of_targets,
    ijk,
    lps_of_voxels,
    targets_of_field,
    transformed,
)
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid

log = logging.getLogger(__name__)

WHY = "FSL's coordinates are those of its header"
MATRICES = (".mat", ".txt")
FIELD, COEFFICIENTS = 2006, (2007, 2008, 2009)  # intents of NIfTI files of FNIRT


def read(files: Sequence[str], fixed: Grid | None, moving: Grid | None) -> DisplacementField:
    """See `warpline.fields.exchange`; the moving image is needed, for a matrix both are."""
    path = one(files, "fsl")
    moving = needed(moving, "moving", WHY, path)
    if has_suffix(path, MATRICES):
        fixed = needed(fixed, "fixed", WHY, path)
        back = read_matrix(path)
        matrix = lps_of_fsl(moving) @ np.linalg.inv(back) @ np.linalg.inv(lps_of_fsl(fixed))
        return DisplacementField.from_matrix(matrix, fixed)
    if not has_suffix(path, NIFTI):
        raise unknown_suffix(path, "fsl", (*NIFTI, *MATRICES))
    vectors = read_vectors(path)
    if int(vectors.header["intent_code"]) in COEFFICIENTS:
        raise WarplineError(
            "The file holds coefficients of splines, not a field.",
            where=path,
            do="Make a field of it: fnirtfileutils -i COEFFICIENTS -r FIXED -o FIELD --withaff.",
        )
    grid = vectors.grid
    # What is said of the fixed image counts where both lie at one place.
    grid = fixed if fixed is not None and same_place(grid, fixed) else grid
    start = transformed(fsl_of_voxels(grid), ijk(grid))
    array = vectors.array
    if is_absolute(array, start):
        log.info("%s: taken for absolute positions", path)
        array = array - start
    there = start + filled(array, path)
    return onto(field_of_targets(transformed(lps_of_fsl(moving), there), grid), fixed)


def write(path: Path, field: DisplacementField, moving: Grid | None) -> list[Path]:
    """A field as relative displacements, or an affine map as FLIRT's ``.mat``."""
    moving = needed(moving, "moving", WHY, path)
    if has_suffix(path, MATRICES):
        matrix = needed_affine(field, path)
        to_moving = np.linalg.inv(lps_of_fsl(moving)) @ matrix @ lps_of_fsl(field.grid)
        write_matrix(path, np.linalg.inv(to_moving))
    elif has_suffix(path, NIFTI):
        there = transformed(np.linalg.inv(lps_of_fsl(moving)), targets_of_field(field))
        start = transformed(fsl_of_voxels(field.grid), ijk(field.grid))
        write_vectors(path, there - start, field.grid, intent=FIELD)
    else:
        raise unknown_suffix(path, "fsl", (*NIFTI, *MATRICES))
    return [path]


def is_absolute(array: np.ndarray, start: np.ndarray) -> bool:
    """Whether vectors (z, y, x, 3) are positions, not displacements, of voxels at `start`."""
    known = np.isfinite(array).all(axis=-1)
    return array[known].std(axis=0).sum() > (array - start)[known].std(axis=0).sum()


def fsl_of_voxels(grid: Grid) -> np.ndarray:
    """(4, 4) from indices (i, j, k) to FSL's coordinates."""
    matrix = np.diag([*grid.spacing, 1.0])
    # RAS and LPS have the same sense: two axes change their signs.
    if np.linalg.det(grid.matrix) > 0:
        matrix[0, 0] = -grid.spacing[0]
        matrix[0, 3] = (grid.shape[2] - 1) * grid.spacing[0]
    return matrix


def lps_of_fsl(grid: Grid) -> np.ndarray:
    """(4, 4) from FSL's coordinates to mm, LPS."""
    return lps_of_voxels(grid) @ np.linalg.inv(fsl_of_voxels(grid))
