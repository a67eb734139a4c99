"""greedy (Yushkevich et al. 2016, Alzheimer's & Dementia 12:P126) in a process of its own.

The program is GPL in its sources: nothing here imports it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from warpline.cases.case import Case
from warpline.fields.io import read_field
from warpline.fields.physical import DisplacementField
from warpline.plan.recipe import Parameters
from warpline.registration import rivals
from warpline.registration.rivals.process import drive, write_images

KEYS = ("metric", "affine_iterations", "iterations", "update_sigma", "field_sigma")
# greedy's matrices are of points in RAS.
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


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
    warp = read_field(place / "warp.nii.gz")
    matrix = np.eye(4)
    if own["affine_iterations"]:
        matrix = FLIP @ np.loadtxt(place / "affine.mat") @ FLIP
    # The deformation comes first to points of the fixed image, then the affine map.
    grid = fixed.grid
    points = grid.index_to_physical(grid.indices())
    moved = points + warp.vectors
    return DisplacementField(moved @ matrix[:3, :3].T + matrix[:3, 3] - points, grid), cost
