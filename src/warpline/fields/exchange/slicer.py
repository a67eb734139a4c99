"""3D Slicer: what 'Save' and 'Export' make of a transform node, ``.tfm``, ``.h5``, ``.nrrd``, …

A node takes its children to its parent: with the moving image under it, moving to fixed points. Its
file holds the other way, as ITK resamples: fixed to moving points, mm, LPS; so do the displacement
fields that Slicer exports. A node whose own direction is a field or a spline is saved as the
inverse of one, which only Slicer reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from warpline.errors import WarplineError
from warpline.fields.exchange import itk
from warpline.fields.exchange.common import one
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid

# Of transforms that Slicer adds to ITK.
OWN = (
    b"InverseDisplacementFieldTransform",
    b"InverseBSplineTransform",
    b"InverseThinPlateSplineKernelTransform",
)
PIECE = 1 << 20


def read(files: Sequence[str], fixed: Grid | None, moving: Grid | None) -> DisplacementField:
    """See `warpline.fields.exchange`."""
    path = one(files, "slicer")
    if _is_own(path):
        raise WarplineError(
            "The file holds the inverse of a field or of a spline, which only 3D Slicer reads.",
            where=path,
            do="In Slicer's module Transforms, convert the node to a displacement field "
            "('Convert', with the fixed image as reference) and save that.",
        )
    return itk.read([str(path)], fixed, moving)


def write(path: Path, field: DisplacementField, moving: Grid | None) -> list[Path]:
    """A field as ``.h5`` or an image, an affine map as ``.tfm``: to be loaded as a transform."""
    return itk.write(path, field, moving)


def _is_own(path: Path) -> bool:
    """Whether the file names a class of transforms that is not ITK's."""
    before = b""
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            if any(name in before + piece for name in OWN):
                return True
            before = piece[-64:]
    return False
