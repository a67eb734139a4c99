"""A registration that sees scans moved to a frame of their own, and its field brought back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from warpline.cases.case import Case
from warpline.cases.steps import prepare
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid
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
    found = register(seen_fixed, seen_moving).resample(_placed(fixed.grid, there))
    points = found.grid.index_to_physical(found.grid.indices())
    back = np.linalg.inv(other)
    ends = (points + found.vectors) @ back[:3, :3].T + back[:3, 3]
    own = fixed.grid.index_to_physical(fixed.grid.indices())
    return DisplacementField((ends - own).astype(np.float32), fixed.grid)


def _moved(case: Case, steps: Sequence[Step]) -> tuple[Case, np.ndarray]:
    """A case as steps leave it, and the map (4, 4) of its points, mm, LPS."""
    frame = np.eye(4)
    for step in steps:
        after = prepare(case, [step])
        if moves([step]):
            frame = _matrix(after.grid) @ np.linalg.inv(_matrix(case.grid)) @ frame
        case = after
    return case, frame


def _matrix(grid: Grid) -> np.ndarray:
    """From indices (x, y, z) to mm."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = grid.matrix, grid.origin
    return matrix


def _placed(grid: Grid, frame: np.ndarray) -> Grid:
    """A grid that a map along its axes has moved."""
    matrix = frame @ _matrix(grid)
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    return Grid(
        grid.shape,
        tuple(map(float, spacing)),
        tuple(map(float, matrix[:3, 3])),
        tuple(map(float, (matrix[:3, :3] / spacing).ravel())),
    )
