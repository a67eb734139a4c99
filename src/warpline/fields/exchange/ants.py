"""ANTs: files in the order of ``antsApplyTransforms -t``, which is the order of points as well.

For the moving image on the fixed grid ANTs is given ``out_1Warp.nii.gz out_0GenericAffine.mat``:
a fixed point goes through the warp first, then through the affine map. The way back is
``[out_0GenericAffine.mat,1] out_1InverseWarp.nii.gz``: brackets and a 1 invert an affine map. A
prefix (``out_``) stands for the first list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from warpline.errors import WarplineError
from warpline.fields.exchange import itk
from warpline.fields.exchange.common import IMAGES, has_suffix, needed
from warpline.fields.io import from_ants
from warpline.fields.physical import DisplacementField
from warpline.images.files import read_grid
from warpline.images.grid import Grid

INVERTED = re.compile(r"\[\s*(?P<path>.+?)\s*,\s*(?P<flag>[01])\s*\]")
PARTS = ("1Warp.nii.gz", "0GenericAffine.mat")


def read(files: Sequence[str], fixed: Grid | None, moving: Grid | None) -> DisplacementField:
    """See `warpline.fields.exchange`; the grid is by default that of the first field."""
    found = [entry for name in files for entry in _entries(name)]
    paths, inverted = [path for path, _ in found], [flag for _, flag in found]
    for path in paths:
        if not path.is_file():
            raise WarplineError("The file of the transform does not exist.", where=path)
    if len(paths) == 1 and not inverted[0]:
        return itk.read([str(paths[0])], fixed, moving)
    if fixed is None and has_suffix(paths[0], IMAGES):
        fixed = read_grid(paths[0])
    fixed = needed(fixed, "fixed", "affine maps do not say on which grid it is", paths[0])
    return from_ants(paths, fixed, inverted)


def write(path: Path, field: DisplacementField, moving: Grid | None) -> list[Path]:
    """A field as an image or ``.h5``, an affine map as ``.mat``: what ``-t`` takes."""
    return itk.write(path, field, moving)


def _entries(name: str) -> list[tuple[Path, bool]]:
    """The files that an argument of ``-t`` stands for, and whether each is to be inverted."""
    if match := INVERTED.fullmatch(name):
        return [(Path(match["path"]), match["flag"] == "1")]
    parts = [Path(name + part) for part in PARTS]
    there = [part for part in parts if part.is_file()]
    if there and not Path(name).is_file():
        return [(part, False) for part in there]
    return [(Path(name), False)]
