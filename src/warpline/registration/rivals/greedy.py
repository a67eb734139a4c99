"""greedy (Yushkevich et al. 2016, Alzheimer's & Dementia 12:P126) in a process of its own.

The program is GPL in its sources: nothing here imports it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from warpline.cases.case import Case
from warpline.fields.exchange.worlds import (
    field_of_targets,
    ras_matrix,
    targets_of_field,
    transformed,
)
from warpline.fields.io import read_field
from warpline.fields.physical import DisplacementField
from warpline.plan.recipe import Parameters
from warpline.registration import rivals
from warpline.registration.rivals.process import drive, write_images

KEYS = ("metric", "affine_iterations", "iterations", "update_sigma", "field_sigma")


def register(
    fixed: Case, moving: Case, parameters: Parameters, place: Path, *, threads: int, seed: int
) -> tuple[DisplacementField, dict[str, float]]:
    """Affine registration from the images' centres, then a deformation; both by greedy.

    Parameters
    ----------
    parameters
        ``metric`` as greedy writes it, such as ``NCC 2x2x2``; ``affine_iterations`` and
        ``iterations`` of the levels, coarse to fine (none of the former: no affine stage);
        ``update_sigma`` and ``field_sigma``, voxels by which updates and field are smoothed.
    seed
        Not used: greedy draws nothing here.
    """
    own = rivals.settings(parameters, KEYS, "greedy")
    files = write_images(place, fixed, moving)
    cost = drive("greedy", place, {**own, **files}, threads)
    warp = DisplacementField(read_field(place / "warp.nii.gz").vectors, fixed.grid)
    if not own["affine_iterations"]:
        return warp, cost
    # The deformation comes first to points of the fixed image, then the affine map, in RAS.
    matrix = ras_matrix(np.loadtxt(place / "affine.mat"))
    return field_of_targets(transformed(matrix, targets_of_field(warp)), fixed.grid), cost
