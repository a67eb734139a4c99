"""Of which program the vectors of a file seem to be, and what they mean if so."""

from __future__ import annotations

from typing import Any

import numpy as np

from warpline.fields.exchange.common import positions
from warpline.fields.exchange.fsl import COEFFICIENTS, FIELD, fsl_of_voxels, is_absolute
from warpline.fields.exchange.niftyreg import DISPLACEMENTS, NAME, SPLINE
from warpline.fields.exchange.worlds import ijk, ras, transformed
from warpline.images.grid import Grid

# An AFNI extension of a NIfTI header.
AFNI = 4


def of_nifti(
    name: str, header: Any, axes: int, array: np.ndarray, grid: Grid
) -> tuple[str | None, str]:
    """The format of vectors in NIfTI, and why.

    Parameters
    ----------
    name
        Of the file.
    header
        nibabel's.
    axes
        4 for (i, j, k, 3), 5 for (i, j, k, 1, 3).
    array
        (z, y, x, 3), as in the file.
    """
    intent, said = int(header["intent_code"]), header["intent_name"].item().decode(errors="replace")
    kind, name = int(header["intent_p1"]), name.lower()
    if said == NAME:
        of = {0: "positions", DISPLACEMENTS: "displacements", SPLINE: "control points"}
        return "niftyreg", f"the intent's name is {NAME}: {of.get(kind, 'a velocity')} in mm, RAS"
    if intent == FIELD:
        return "fsl", "the intent is that of FNIRT's fields"
    if intent in COEFFICIENTS:
        return "fsl", "the intent is that of FNIRT's coefficients, which are no field yet"
    finite = np.isfinite(array).all()
    if finite and is_absolute(array, ras(positions(grid))):
        if name.startswith(("y_", "iy_")) or said == "Mapping":
            return "spm", "positions in mm, RAS, under SPM's name"
        return "spm", "values follow the voxels' positions in RAS: SPM, or a field of NiftyReg"
    if finite and is_absolute(array, transformed(fsl_of_voxels(grid), ijk(grid))):
        return "fsl", "values follow the voxels' positions in FSL's mm: an absolute warp"
    if any(int(extension.get_code()) == AFNI for extension in header.extensions):
        return "afni", "the header has an extension of AFNI: displacements in mm, LPS"
    if axes == 5:
        of = "ants" if name.endswith(("warp.nii.gz", "warp.nii")) else "itk"
        return of, "five axes as ITK writes vectors: displacements in mm, LPS"
    if name.startswith("disp"):
        return "learn2reg", "four axes under Learn2Reg's name: displacements in voxels"
    return None, (
        "four axes and no intent: voxels (learn2reg, voxelmorph) or mm (a relative warp of fsl); "
        "the file does not say"
    )


def displacements(format: str, array: np.ndarray, grid: Grid) -> np.ndarray | None:
    """Displacements (z, y, x, 3) in mm, LPS, if vectors are of a format that needs no other image.

    Formats that do are read as if the moving image lay where the fixed one does.
    """
    if format == "spm":
        return ras(array) - positions(grid)
    if format in ("learn2reg", "voxelmorph"):
        return array @ grid.matrix.T
    if format in ("itk", "ants", "afni", "slicer"):
        return array
    if format == "niftyreg":
        here = positions(grid)
        return ras(array) - here if is_absolute(array, ras(here)) else ras(array)
    if format == "fsl":
        start = transformed(fsl_of_voxels(grid), ijk(grid))
        moves = array - start if is_absolute(array, start) else array
        turn = grid.matrix @ np.linalg.inv(fsl_of_voxels(grid)[:3, :3])
        return moves @ turn.T
    return None
