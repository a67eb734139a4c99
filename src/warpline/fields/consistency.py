"""How far two fields, one of each direction, or a field and its own inverse, undo each other."""

from __future__ import annotations

import numpy as np

from warpline.fields.inverse import invert_points
from warpline.fields.physical import ROUNDING, DisplacementField

CLOSE = 1e-3  # mm: how near a field's own inverse is sought


def inverse_consistency(forward: DisplacementField, backward: DisplacementField) -> float:
    """Mean of ``|T_forward(T_backward(x)) − x|`` over the voxels x of the backward field's grid.

    Voxels that the backward field takes off the forward field's grid do not count: nothing is
    known of the way back from there.

    Parameters
    ----------
    forward, backward
        From fixed to moving points, on the fixed grid, and from moving to fixed ones, on the
        moving grid.

    Returns
    -------
    float
        In mm; NaN if no voxel stays on the grid.
    """
    from warpline.fields.sampling import identity_grid

    size = np.array(forward.grid.shape).reshape(3, 1, 1, 1)
    index = (backward.to_voxel(forward.grid) + identity_grid(backward.grid.shape))[0].numpy()
    inside = ((index >= 0) & (index <= size - 1)).all(axis=0)
    residual = np.linalg.norm(forward.compose(backward).vectors[inside], axis=-1)
    return float(residual.mean(dtype=np.float64)) if residual.size else float("nan")


def distance_after_return(
    forward: DisplacementField, points: np.ndarray, backward: DisplacementField | None = None
) -> np.ndarray:
    """``|T_backward(T_forward(x)) − x|`` of fixed points x; both fields are read linearly.

    Parameters
    ----------
    forward
        From fixed to moving points, on the fixed grid.
    points
        (n, 3) in mm, LPS.
    backward
        From moving to fixed points, on the moving grid. Without it the way back is the forward
        field's own numerical inverse (`invert_points`): it leads back to x where that is the only
        point that goes to T_forward(x), and maybe to another one where the field folds.

    Returns
    -------
    numpy.ndarray
        (n,) in mm; NaN where the backward field is not known, off its grid.
    """
    there = forward.transform_points(points, order=1)
    if backward is None:
        back, _ = invert_points(forward, there, CLOSE)
        return np.linalg.norm(back - points, axis=1)
    distance = np.linalg.norm(backward.transform_points(there, order=1) - points, axis=1)
    index = backward.grid.physical_to_index(there)
    last = np.array(backward.grid.shape) - 1
    inside = (index >= -ROUNDING) & (index <= last + ROUNDING)
    return np.where(inside.all(axis=1), distance, np.nan)
