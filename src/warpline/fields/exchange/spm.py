"""SPM: ``y_*.nii``, positions in mm, RAS, of size (i, j, k, 1, 3).

A file of positions lies on the grid of the image that it deforms onto (the fixed one) and takes its
points to the other image; ``iy_*`` is the way back. Where SPM knows nothing it writes NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from warpline.fields.exchange.common import (
    NIFTI,
    has_suffix,
    one,
    onto,
    positions,
    unknown_suffix,
)
from warpline.fields.exchange.nifti import filled, read_vectors, write_vectors
from warpline.fields.exchange.worlds import ras, targets_of_field
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid


def read(files: Sequence[str], fixed: Grid | None, moving: Grid | None) -> DisplacementField:
    """See `warpline.fields.exchange`."""
    path = one(files, "spm")
    if not has_suffix(path, NIFTI):
        raise unknown_suffix(path, "spm", NIFTI)
    vectors = read_vectors(path)
    array = filled(ras(vectors.array) - positions(vectors.grid), path)
    return onto(DisplacementField(array, vectors.grid), fixed)


def write(path: Path, field: DisplacementField, moving: Grid | None) -> list[Path]:
    """A field as positions."""
    if not has_suffix(path, NIFTI):
        raise unknown_suffix(path, "spm", NIFTI)
    there = ras(targets_of_field(field))
    write_vectors(path, there, field.grid, intent=1007, name="Mapping", five=True)
    return [path]
