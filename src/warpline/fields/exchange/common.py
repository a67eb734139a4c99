"""What the formats share: files, the grids that they need, the field on the fixed grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from warpline.errors import WarplineError
from warpline.fields.io import from_sitk_transform, to_sitk_transform
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid

IMAGES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr")
NIFTI = (".nii", ".nii.gz")
# Of a voxel: headers of an image and of what belongs to it differ in their last digits.
SAME = 0.1


class MissingGrid(WarplineError):
    """A format cannot do without the grid of an image that was not given."""


def one(files: Sequence[str], format: str) -> Path:
    """The only file of a format that has one."""
    if len(files) != 1:
        raise WarplineError(
            f"A transform of the format '{format}' is one file, not {len(files)}.",
            where=", ".join(files),
            do="Read each by itself and join them by 'warpline compose'.",
        )
    path = Path(files[0])
    if not path.is_file():
        raise WarplineError("The file of the transform does not exist.", where=path)
    return path


def has_suffix(path: str | Path, suffixes: Sequence[str]) -> bool:
    """Whether a file's name ends so, in whatever capitals."""
    return str(path).lower().endswith(tuple(suffixes))


def needed(grid: Grid | None, which: str, why: str, where: object) -> Grid:
    """A grid that a format cannot do without."""
    if grid is None:
        raise MissingGrid(
            f"The {which} image is needed: {why}.", where=where, do=f"Give it with --{which}."
        )
    return grid


def unknown_suffix(path: Path, format: str, known: Sequence[str]) -> WarplineError:
    """The error of a name whose end says nothing."""
    return WarplineError(
        f"The format '{format}' has no file that is called so.",
        where=path,
        do=f"Names end in {', '.join(known)}.",
    )


def same_place(grid: Grid, other: Grid) -> bool:
    """Whether two grids are one, to a tenth of a voxel."""
    return grid.close_to(other, SAME * min(grid.spacing))


def onto(field: DisplacementField, fixed: Grid | None) -> DisplacementField:
    """A field of a file on the fixed grid; as in ITK it moves nothing beyond the file's own."""
    if fixed is None or field.grid == fixed:
        return field
    if same_place(field.grid, fixed):
        return DisplacementField(field.vectors, fixed)
    return from_sitk_transform(to_sitk_transform(field), fixed)


def positions(grid: Grid) -> np.ndarray:
    """Physical points of all voxels, (z, y, x, 3) float64 in mm, LPS."""
    return grid.index_to_physical(grid.indices())
