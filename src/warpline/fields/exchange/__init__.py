"""Transforms of other programs, read as the project's field and written from it.

A format is a module with two functions, chosen by its name:

``read(files, fixed, moving)``
    The files of one transform, in the program's own order, as a `DisplacementField` on the fixed
    grid; where that is None, on the grid of the file if it has one.
``write(path, field, moving)``
    Writes the field and returns the paths of what it wrote.

Grids are those of the two images; a format that does not need one takes None for it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from warpline.registry import lookup

if TYPE_CHECKING:
    from warpline.fields.physical import DisplacementField
    from warpline.images.grid import Grid

FORMATS = {
    "itk": "warpline.fields.exchange.itk",
    "ants": "warpline.fields.exchange.ants",
    "elastix": "warpline.fields.exchange.elastix",
    "fsl": "warpline.fields.exchange.fsl",
    "niftyreg": "warpline.fields.exchange.niftyreg",
    "spm": "warpline.fields.exchange.spm",
    "afni": "warpline.fields.exchange.afni",
    "slicer": "warpline.fields.exchange.slicer",
    "learn2reg": "warpline.fields.exchange.learn2reg",
    "voxelmorph": "warpline.fields.exchange.voxelmorph",
}


def read_transform(
    files: Sequence[str | os.PathLike] | str | os.PathLike,
    format: str = "itk",
    fixed: Grid | None = None,
    moving: Grid | None = None,
) -> DisplacementField:
    """A transform of another program as the project's field.

    Parameters
    ----------
    files
        One file, or several in the program's own order (ANTs: as for ``antsApplyTransforms -t``).
    format
        One of `FORMATS`.
    fixed, moving
        The grids of the two images.

    Returns
    -------
    DisplacementField
        From fixed to moving points, mm, LPS.

    Raises
    ------
    WarplineError
        If the format is unknown, a file is not of it, or it needs a grid that is not given.
    """
    names = [files] if isinstance(files, str | os.PathLike) else list(files)
    module = lookup(format, FORMATS, "format of transforms")
    return module.read([os.fspath(name) for name in names], fixed, moving)


def write_transform(
    path: str | os.PathLike,
    field: DisplacementField,
    format: str = "itk",
    moving: Grid | None = None,
) -> list[Path]:
    """Write a field as another program reads it; the suffix of `path` chooses among its kinds.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    WarplineError
        If the format is unknown, does not know the suffix, needs the moving grid, or holds affine
        maps alone under this suffix and the field is none.
    """
    module = lookup(format, FORMATS, "format of transforms")
    return module.write(Path(path), field, moving)
