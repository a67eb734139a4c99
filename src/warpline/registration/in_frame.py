"""A registration that sees scans moved to a frame of their own, and its field brought back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from warpline.cases.case import Case
from warpline.cases.steps import prepare
from warpline.fields.exchange.worlds import (
    field_of_targets,
    grid_of_voxels,
    lps_of_voxels,
    targets_of_field,
    transformed,
)
from warpline.fields.physical import DisplacementField
from warpline.plan.recipe import Step

# Steps after which a voxel lies elsewhere than where the scanner saw it.
MOVING = ("unit_frame", "centre_frame")


def moves(steps: Sequence[Step]) -> bool:
    """Whether any of the steps moves scans."""
    return any(set(step) & set(MOVING) for step in steps)


def register_in_frame(
    register: Callable[[Case, Case], DisplacementField],
    fixed: Case,
    moving: Case,
    steps: Sequence[Step],
) -> DisplacementField:
    """Register a pair as `steps` leave it; the field is of the scans where they were.

    With F and M, which take points of the fixed and of the moving scan to where the steps move
    them, and the map S that was found there, it is ``M⁻¹ ∘ S ∘ F`` on the fixed scan's own grid.

    Raises
    ------
    WarplineError
        If a step fails.
    """
    (seen_fixed, there), (seen_moving, other) = _moved(fixed, steps), _moved(moving, steps)
    # The maps run along the axes of the grids: a moved grid is a grid.
    placed = grid_of_voxels(there @ lps_of_voxels(fixed.grid), fixed.grid.shape)
    found = register(seen_fixed, seen_moving).resample(placed)
    ends = transformed(np.linalg.inv(other), targets_of_field(found))
    return field_of_targets(ends, fixed.grid)


def _moved(case: Case, steps: Sequence[Step]) -> tuple[Case, np.ndarray]:
    """A case as steps leave it, and the map (4, 4) of its points, mm, LPS."""
    frame = np.eye(4)
    for step in steps:
        after = prepare(case, [step])
        if moves([step]):
            frame = lps_of_voxels(after.grid) @ np.linalg.inv(lps_of_voxels(case.grid)) @ frame
        case = after
    return case, frame
